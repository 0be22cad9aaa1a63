import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from dissent.commandline import InputError
from dissent.examples import Examples, read_examples, stratified_splits, write_examples


def examples(**changes):
    fields = {
        "name": "toy",
        "ids": ("a", "b", "c"),
        "images_NHW": np.arange(12, dtype=np.uint8).reshape(3, 2, 2),
        "labels": np.array([1, 0, 1]),
        "splits_N": np.array(["train", "report", "train"]),
        "classes": ("no", "yes"),
        "captions": ("one", "two", "three"),
        "prompts": (("a no", "the no"), ("a yes",)),
    }
    return Examples(**(fields | changes))


def test_reads_back_what_was_written(tmp_path):
    written = examples()
    write_examples(tmp_path / "toy.safetensors", written)
    read = read_examples(tmp_path / "toy.safetensors")
    for name in ("name", "ids", "classes", "captions", "prompts"):
        assert getattr(read, name) == getattr(written, name)
    for name in ("images_NHW", "labels", "splits_N"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))


def test_files_say_nothing_of_what_is_not_there(tmp_path):
    # So that those of data sets with images alone keep their bytes.
    write_examples(tmp_path / "toy", examples())
    with safe_open(tmp_path / "toy", "np") as file:
        header = json.loads(file.metadata()["examples"])
    kept = ["name", "classes", "splits", "ids", "captions", "prompts"]
    assert list(header) == kept
    labels = {"images_NHW": None, "groups": ("x", "y", "x"), "row_order": "by name"}
    labels |= {"labels": np.eye(3, 2, dtype=np.uint8), "relabels": "other"}
    write_examples(tmp_path / "labels", examples(**labels))
    with safe_open(tmp_path / "labels", "np") as file:
        assert sorted(file.keys()) == ["labels", "split_codes"]
    read = read_examples(tmp_path / "labels")
    assert read.images_NHW is None
    assert (read.groups, read.row_order, read.relabels) == (("x", "y", "x"), "by name", "other")
    np.testing.assert_array_equal(read.labels, labels["labels"])


def test_content_digest_of_labels_alone_depends_on_them():
    alone = examples(images_NHW=None)
    assert alone.content_sha256 != examples().content_sha256
    assert alone.content_sha256 != examples(images_NHW=None, labels=np.zeros(3)).content_sha256
    assert alone.content_sha256 == examples(images_NHW=None, groups=("x",) * 3).content_sha256


def test_sentences_are_kept_and_part_of_the_content(tmp_path):
    pairs = (("A dog.", "Ein Hund – 'so'."), ("a\tb", '"c"'), ("x", "y"))
    written = examples(images_NHW=None, sentences=pairs)
    write_examples(tmp_path / "pairs", written)
    assert read_examples(tmp_path / "pairs").sentences == pairs
    others = [(), pairs[::-1], tuple((first + second, "") for first, second in pairs)]
    digests = {examples(images_NHW=None, sentences=other).content_sha256 for other in others}
    assert len(digests | {written.content_sha256}) == 4
    write_examples(tmp_path / "none", examples())
    assert read_examples(tmp_path / "none").sentences == ()


def test_digests_without_sentences_stay_as_they_were():
    # Computed before there were any; files of predictions hold such digests.
    before = "966e7a2972e82e2edd3a59ca8ccc5dd11141ee3152146d67243219cf2a1fba7c"
    assert examples().content_sha256 == before


def test_ids_digest_depends_on_the_order():
    assert examples().ids_sha256 != examples(ids=("b", "a", "c")).ids_sha256


def test_equal_examples_make_equal_bytes(tmp_path):
    for i in range(8):
        write_examples(tmp_path / str(i), examples())
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"labels": np.array([1, 0, 0])},
        {"images_NHW": np.zeros((3, 2, 2), np.uint8)},
        {"images_NHW": np.arange(12, dtype=np.uint8).reshape(3, 4, 1)},
    ],
)
def test_content_digest_depends_on_images_and_labels(other):
    assert examples().content_sha256 == examples(ids=("x", "y", "z")).content_sha256
    assert examples().content_sha256 != examples(**other).content_sha256


def test_unknown_split_is_named_with_the_known_ones():
    with pytest.raises(InputError, match=r"'tune'.* report, train"):
        examples().where("tune")


@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=80),
    share=st.floats(0, 1),
    seed=st.integers(0, 5),
)
def test_splits_have_their_sizes_and_balanced_classes(labels, share, seed):
    labels_N = np.array(labels)
    sizes = {"train": int(share * len(labels)) // 2, "report": int(share * len(labels)) // 2}
    splits_N = stratified_splits(labels_N, sizes, np.random.default_rng(seed))
    for split, size in sizes.items():
        assert (splits_N == split).sum() == size
    # The split dealt first gets every class in turn until a class runs out.
    taken = np.bincount(labels_N[splits_N == "report"], minlength=4)
    there = np.bincount(labels_N, minlength=4)
    assert all(taken[c] in (there[c], taken.max(), taken.max() - 1) for c in range(4))


def test_splits_larger_than_the_data_are_refused():
    with pytest.raises(InputError, match="ask for 5 examples, there are 3"):
        stratified_splits(np.zeros(3, int), {"train": 5}, np.random.default_rng(0))


def test_the_order_in_which_splits_are_named_does_not_matter():
    labels_N = np.arange(30) % 3
    sizes = {"train": 9, "tune": 6, "report": 12}
    dealt = [
        stratified_splits(labels_N, dict(order), np.random.default_rng(0))
        for order in (sizes.items(), reversed(sizes.items()))
    ]
    np.testing.assert_array_equal(*dealt)
