import argparse
import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissent.commandline import InputError
from dissent.examples import Examples, read_examples
from dissent.files import sha256
from dissent.label_sets import class_names, proportional_splits, read_label_set, read_new_labels

SCRIPT = Path("workflow/scripts/data/read_labels.py")
SPEC = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)
LAYOUT = {
    **dict.fromkeys(("location", "sha256", "licence", "citation", "label", "groups", "array")),
    "ids": "id",
    "first": 0,
}
NUMBERED = {"ids": "x-{:05d}"}
CLASSES = ("cat", "dog", "fish")


def write(folder: Path, name: str, content) -> Path:
    path = folder / name
    if isinstance(content, str):
        path.write_text(content)
    elif isinstance(content, pd.DataFrame):
        content.to_parquet(path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(content))
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, content)
    return path


def read(path, classes=CLASSES, splits=None, seed=0, row_order="", **layout):
    return read_label_set(path, LAYOUT | layout, classes, seed, splits or {"report": 3}, row_order)


def old(**changes):
    fields = {
        "name": "old",
        "ids": ("a", "b", "c"),
        "images_NHW": np.zeros((3, 2, 2), np.uint8),
        "labels": np.array([2, 1, 0]),
        "splits_N": np.array(["tune", "report", "unused"]),
        "classes": CLASSES,
        "groups": ("x", "y", "z"),
        "row_order": "by letter",
    }
    return Examples(**(fields | changes))


def test_a_table_gives_ids_labels_and_groups_in_its_order(tmp_path):
    path = write(tmp_path, "a.csv", "file,class,kind\n007,dog,b\n3,cat,a\nNA,fish,b\n")
    made = read(path, ids="file", label="class", groups="kind", row_order="as published")
    assert made.ids == ("007", "3", "NA")
    assert made.labels.tolist() == [1, 0, 2]
    assert made.labels.dtype == np.int64
    assert made.groups == ("b", "a", "b")
    assert made.splits_N.tolist() == ["report"] * 3
    assert (made.classes, made.row_order, made.relabels) == (CLASSES, "as published", "")
    assert made.images_NHW is None


def test_all_that_have_labels_are_reported_on_where_there_are_no_splits(tmp_path):
    path = write(tmp_path, "a.json", [["cat"], [], ["dog", "fish"]])
    made = read_label_set(path, LAYOUT | NUMBERED, CLASSES, 0, {}, "")
    assert made.splits_N.tolist() == ["report", "unused", "report"]


@pytest.mark.parametrize(
    ("name", "content", "array"),
    [
        ("a.npy", np.array([2, 0, 1], np.uint16), None),
        ("a.npy", np.array(["2", "0", "1"]), None),
        ("a.npy", np.array([2.0, 0.0, 1.0]), None),
        ("a.npz", {"truth": np.array([2, 0, 1]), "other": np.zeros(3)}, "truth"),
        ("a.json", [2, 0, 1], None),
        ("a.json", [{"label": 2}, {"label": 0}, {"label": 1.0}], None),
        ("a.csv", "label\n2\n0\n1\n", None),
    ],
)
def test_rows_are_numbered_where_the_layout_says_so(tmp_path, name, content, array):
    path = write(tmp_path, name, content)
    made = read(path, class_names(3), ids="x-{:03d}", first=9, array=array)
    assert made.ids == ("x-009", "x-010", "x-011")
    assert made.labels.tolist() == [2, 0, 1]
    assert made.classes == ("0", "1", "2")


@given(
    labels=st.lists(st.integers(0, 2), min_size=4, max_size=30),
    shares=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)),
    seed=st.integers(0, 9),
)
def test_splits_have_their_sizes_and_depend_on_the_seed(tmp_path_factory, labels, shares, seed):
    path = write(tmp_path_factory.mktemp("l"), "a.json", labels)
    sizes = [int(share * len(labels)) for share in shares]
    splits = dict(zip(("tune", "report"), sizes, strict=True))
    made, again = (read(path, class_names(3), splits, seed, **NUMBERED) for _ in range(2))
    np.testing.assert_array_equal(made.splits_N, again.splits_N)
    for split, size in splits.items():
        assert (made.splits_N == split).sum() == size
    assert (made.splits_N == "unused").sum() == len(labels) - sum(sizes)


@given(
    lists=st.lists(st.lists(st.integers(0, 4), max_size=4), min_size=1, max_size=12).filter(any),
    suffix=st.sampled_from([".json", ".parquet"]),
)
def test_lists_accept_any_number_of_labels(tmp_path_factory, lists, suffix):
    n = sum(map(bool, lists))
    content = lists if suffix == ".json" else pd.DataFrame({"label": lists})
    path = write(tmp_path_factory.mktemp("l"), f"a{suffix}", content)
    made = read(path, class_names(5), {"report": n}, **NUMBERED)
    assert made.labels.shape == (len(lists), 5)
    assert made.labels.dtype == np.uint8
    for row, accepted in enumerate(lists):
        assert set(np.flatnonzero(made.labels[row])) == set(accepted)
        assert made.splits_N[row] == ("report" if accepted else "unused")


def test_new_labels_keep_ids_order_classes_and_splits(tmp_path):
    path = write(tmp_path, "a.csv", "id,label\nc,cat\nb,fish\nother,dog\na,cat\n")
    made = read_new_labels(path, LAYOUT, old())
    assert made.labels.tolist() == [0, 2, 0]
    assert made.splits_N.tolist() == ["tune", "report", "unused"]
    assert made.images_NHW is None
    kept = ("ids", "classes", "groups", "row_order")
    assert [getattr(made, name) for name in kept] == [getattr(old(), name) for name in kept]
    assert made.relabels == "old"


def test_new_labels_may_be_several_or_none(tmp_path):
    path = write(tmp_path, "a.json", [["fish", "dog"], ["cat"], []])
    made = read_new_labels(path, LAYOUT | {"ids": "{}", "first": 5}, old(ids=("7", "6", "5")))
    assert made.labels.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 1]]
    assert made.splits_N.tolist() == ["unused", "report", "unused"]


def test_new_labels_may_bring_groups(tmp_path):
    path = write(tmp_path, "a.csv", "id,label,kind\nc,cat,1\nb,fish,2\na,cat,3\n")
    assert read_new_labels(path, LAYOUT | {"groups": "kind"}, old()).groups == ("3", "2", "1")


TABLE = "id,label\na,cat\nb,dog\nc,fish\n"


@pytest.mark.parametrize(
    ("name", "content", "layout", "sentence"),
    [
        (
            "a.csv",
            TABLE,
            {"ids": "file"},
            "no column 'file': give one of 'id', 'label' as `ids` under `labels`",
        ),
        (
            "a.csv",
            TABLE,
            {"label": "class"},
            "no column 'class': give one of 'id', 'label' as `label` under `labels`",
        ),
        (
            "a.csv",
            TABLE,
            {"groups": "kind"},
            "no column 'kind': give one of 'id', 'label' as `groups` under `labels`",
        ),
        ("a.csv", TABLE + "b,cat\n", {}, "the id 'b' in row 2 and in row 4: keep one"),
        (
            "a.csv",
            TABLE.replace("dog", "dig"),
            {},
            r"row 2: 'dig' is no class \(did you mean 'dog'",
        ),
        ("a.csv", TABLE.replace("dog", ""), {}, "row 2: has no label: give one"),
        (
            "a.csv",
            TABLE.replace("cat", "0"),
            {},
            "row 1: has the number 0 .* give as `classes` the",
        ),
        (
            "a.npy",
            np.arange(3),
            {},
            r"has no columns, .* 'id': give under `labels` .* text .*\{:05d\}",
        ),
        ("a.npy", np.arange(3), {**NUMBERED, "groups": "kind"}, "no columns: leave `groups` out"),
        ("a.npy", np.eye(3), NUMBERED, r"holds an array \(3, 3\): give one label an example"),
        ("a.npz", {"a": np.eye(3)}, {**NUMBERED, "array": "b"}, "no array 'b'"),
        ("a.json", [["cat"], "dog", []], NUMBERED, "row 2: should be a list of labels, as other"),
        ("a.json", [["cat"], ["cat", "dig"]], NUMBERED, "row 2: 'dig' is no class"),
        ("a.json", [[["cat"]]], NUMBERED, r"row 1: \"\['cat'\]\" is no class"),
    ],
)
def test_what_cannot_be_read_so_is_refused(tmp_path, name, content, layout, sentence):
    path = write(tmp_path, name, content)
    with pytest.raises(InputError, match=sentence) as refused:
        read(path, **layout)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


def test_numbers_from_one_are_told_from_numbers_that_are_no_class(tmp_path):
    for labels in ([1, 3, 2], [[1], [2, 3], []]):
        path = write(tmp_path, "a.json", labels)
        with pytest.raises(InputError, match="look numbered from 1: subtract one, or give as `cl"):
            read(path, class_names(3), **NUMBERED)
        assert read(path, ("1", "2", "3"), {"report": 2}, **NUMBERED).labels.shape[0] == 3
    for labels in ([0, 3, 2], [1, 4, 2], [3, -1, 1]):
        with pytest.raises(InputError, match=r"is no class.*; the classes are '0', '1', '2': give"):
            read(write(tmp_path, "a.json", labels), class_names(3), **NUMBERED)


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_names_that_look_like_something_else_stay_text(tmp_path, suffix):
    names = ("nan", "None", "NA", "null", "True")
    table = pd.DataFrame({"id": ["007", "7", "NA", "1e3", "1.0"], "label": names, "kind": names})
    if suffix == ".csv":
        content = table.to_csv(index=False, sep=";")
    else:
        content = table if suffix == ".parquet" else table.to_dict("records")
    made = read(write(tmp_path, f"a{suffix}", content), names, {"report": 5}, groups="kind")
    assert made.ids == tuple(table["id"])
    assert made.labels.tolist() == list(range(5))
    assert made.groups == names


COLA = 'gj04\t1\t\tThe cat\'s "toy", she said\ngj04\t0\t*\t"Cat the sat.\ncj99\t1\t\tNA\n'
COLA_LAYOUT = {
    "ids": "cola-{:05d}",
    "label": "label",
    "groups": "source",
    "sentences": ["sentence"],
    "header": ["source", "label", "star", "sentence"],
}
ACCEPTABILITY = ("unacceptable", "acceptable")


def test_a_tsv_of_sentences_needs_neither_header_nor_quoting(tmp_path):
    made = read(write(tmp_path, "a.tsv", COLA), ACCEPTABILITY, **COLA_LAYOUT)
    assert made.sentences == (('The cat\'s "toy", she said',), ('"Cat the sat.',), ("NA",))
    assert made.labels.tolist() == [1, 0, 1]
    assert made.ids == ("cola-00000", "cola-00001", "cola-00002")
    assert made.groups == ("gj04", "gj04", "cj99")
    assert made.images_NHW is None


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".parquet"])
@pytest.mark.parametrize("labels", [["dog", "fish", "cat"], ["1", "2", "0"], [1, 2, 0]])
def test_pairs_of_sentences_have_labels_by_name_or_number(tmp_path, suffix, labels):
    pairs = [("007", "one, two"), ("null", "1.0"), ("A – b;", "c")]
    table = pd.DataFrame(pairs, columns=["premise", "hypothesis"]).assign(label=labels)
    if suffix in (".csv", ".tsv"):
        content = table.to_csv(index=False, sep="," if suffix == ".csv" else "\t")
    else:
        content = table if suffix == ".parquet" else table.to_dict("records")
    layout = NUMBERED | {"sentences": ["premise", "hypothesis"]}
    made = read(write(tmp_path, f"a{suffix}", content), **layout)
    assert made.sentences == tuple(pairs)
    assert made.labels.tolist() == [1, 2, 0]


def test_names_that_are_numbers_come_before_numbers_of_classes(tmp_path):
    path = write(tmp_path, "a.csv", "label,text\n1,a\n0,b\n1,c\n")
    layout = NUMBERED | {"sentences": ["text"]}
    assert read(path, ("1", "0"), **layout).labels.tolist() == [0, 1, 0]
    assert read(path, ("no", "yes"), **layout).labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("content", "layout", "sentence"),
    [
        (
            COLA.replace("\t0\t", "\t2\t"),
            {},
            "row 2: has the number 2 for a class, and the classes have names, 'unacceptable', "
            "'acceptable': give as `classes` the names in the file, or number its labels from 0",
        ),
        (
            COLA.replace("\t0\t", "\tunaceptable\t"),
            {},
            "row 2: 'unaceptable' is no class .did you mean 'unac",
        ),
        (COLA.replace("\t0\t", "\t\t"), {}, "row 2: has no label: give one"),
        (COLA.replace('"Cat the sat.', " "), {}, "row 2: has no sentence in column 'sentence': g"),
        (COLA.replace('\t"Cat the sat.', ""), {}, "row 2: has no sentence in column 'sentence'"),
        (COLA, {"sentences": ["text"]}, "no column 'text': .* as `sentences` under `labels`"),
        (COLA, {"header": ["a", "label"]}, "4 columns in its first row: name each as `header`"),
        (COLA.replace("sat.", "sat.\tfast"), {}, "cannot be read as tsv"),
        ("", {}, "holds no rows: give a file with one for each example"),
    ],
)
def test_sentences_that_cannot_be_read_are_refused(tmp_path, content, layout, sentence):
    path = write(tmp_path, "a.tsv", content)
    with pytest.raises(InputError, match=sentence) as refused:
        read(path, ACCEPTABILITY, **COLA_LAYOUT | layout)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


def test_an_array_has_no_sentences(tmp_path):
    path = write(tmp_path, "a.npy", np.arange(3))
    with pytest.raises(InputError, match="has no columns: leave `sentences` out, or give a table"):
        read(path, **NUMBERED, sentences=["text"])


def test_splits_larger_than_the_labels_are_refused(tmp_path):
    with pytest.raises(InputError, match="splits ask for 4 examples, there are 3"):
        read(write(tmp_path, "a.csv", TABLE), splits={"report": 4})
    with pytest.raises(InputError, match="splits ask for 3 examples, there are 2"):
        read(write(tmp_path, "a.json", [["cat"], [], ["dog"]]), **NUMBERED)


def test_new_labels_are_needed_of_every_example(tmp_path):
    path = write(tmp_path, "a.csv", TABLE.replace("b,dog\n", ""))
    with pytest.raises(InputError, match=r"no row for 1 of the 3 examples of 'old', such as 'b'"):
        read_new_labels(path, LAYOUT, old())


@pytest.fixture
def arguments(tmp_path):
    return argparse.Namespace(
        name="new",
        labels=write(tmp_path, "a.csv", TABLE),
        layout=LAYOUT,
        classes=list(CLASSES),
        seed=0,
        splits={"report": 3},
        row_order="by letter",
        relabels=None,
        output=tmp_path / "first.safetensors",
    )


def test_the_script_writes_a_data_set_and_then_another_with_new_labels(tmp_path, arguments):
    arguments.layout = LAYOUT | {"sha256": sha256(arguments.labels)}
    script.main(arguments)
    made = read_examples(arguments.output)
    assert (made.name, made.ids, made.row_order) == ("new", ("a", "b", "c"), "by letter")
    labels = write(tmp_path, "b.json", [{"id": id, "label": ["dog"]} for id in "cab"])
    new = {"name": "newer", "labels": labels, "layout": LAYOUT, "relabels": arguments.output}
    new |= {"output": tmp_path / "second.safetensors", "classes": None, "splits": {}}
    script.main(argparse.Namespace(**vars(arguments) | new))
    made = read_examples(tmp_path / "second.safetensors")
    assert (made.name, made.relabels, made.ids) == ("newer", "new", ("a", "b", "c"))
    assert made.labels.tolist() == [[0, 1, 0]] * 3


def test_the_script_refuses_other_bytes(arguments):
    arguments.layout = LAYOUT | {"sha256": "0" * 64}
    with pytest.raises(InputError, match="the run file expects 0000"):
        script.main(arguments)
    assert not arguments.output.exists()


def test_real_labels_of_imagenet(mirror):
    mirrored = {path.name: path for path in mirror.rglob("*") if path.is_file()}
    columns = {"ids": "file_name", "label": "label"}
    classes = class_names(1000)
    imagenet = read(mirrored["filename_label.csv"], classes, {"report": 50000}, **columns)
    numbered = {"ids": "ILSVRC2012_val_{:08d}.JPEG", "first": 1}
    real = read_new_labels(mirrored["imagenet_real_labels.jsonl"], LAYOUT | numbered, imagenet)
    report = real.where("report")
    assert len(report) == 46837
    said = pd.read_csv(mirrored["ResNet50.csv"], index_col="file_name")["predicted_class"]
    right = real.labels[np.arange(50000), said[list(imagenet.ids)]]
    assert right[report].mean() == pytest.approx(0.8296, abs=5e-5)


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=400), st.integers(0, 400), st.integers(0, 9)
)
def test_splits_have_the_classes_in_the_shares_of_the_whole(labels, tune, seed):
    labels_N = np.array(labels)
    sizes = {"tune": min(tune, len(labels)), "report": len(labels) - min(tune, len(labels))}
    splits_N = proportional_splits(labels_N, sizes, np.random.default_rng(seed))
    for name, size in sizes.items():
        assert (splits_N == name).sum() == size
        expected_C = np.bincount(labels_N) * size / len(labels_N)
        assert (
            np.abs(
                np.bincount(labels_N[splits_N == name], minlength=len(expected_C)) - expected_C
            ).max()
            <= 3
        )


def test_splits_of_a_rare_class_are_not_all_of_it():
    labels_N = np.repeat([0, 1], [950, 50])
    splits_N = proportional_splits(labels_N, {"tune": 200, "report": 700}, np.random.default_rng(0))
    assert 8 <= (labels_N[splits_N == "tune"] == 1).sum() <= 12
    assert (splits_N == "unused").sum() == 100
