"""Packed images, against the same images in folders."""

import io

import numpy as np
import pytest
from PIL import Image

from dissent.commandline import InputError
from dissent.domain_folder import read_domain_folder
from dissent.image_folder import read_folder
from dissent.packed_folder import Packed, read_packed, read_packed_domains
from made_images import encoded, write_parquet, write_tar, write_zip

CLASSES = ("cat", "dog", "owl")
DOMAINS = ("photo", "sketch", "toy")
SPLITS = {"train": 8, "tune": 4}
SIZE = 16


@pytest.fixture(scope="module")
def pictures():
    """Encoded images by domain, class and name; names come again in other classes."""
    rng = np.random.default_rng(3)
    return {
        (domain, name, f"{i}.{'png' if i % 2 else 'jpg'}"): encoded(rng, "PNG" if i % 2 else "JPEG")
        for domain in DOMAINS
        for name in CLASSES
        for i in range(6 + len(name + domain) % 3)
    }


def of_photos(pictures):
    return {key[1:]: content for key, content in pictures.items() if key[0] == "photo"}


def written(folder, pictures):
    for parts, content in pictures.items():
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def shuffled(pictures):
    """As archives have them: in no order, below another folder."""
    order = np.random.default_rng(0).permutation(len(pictures))
    items = list(pictures.items())
    return {"/".join(("top", *items[i][0])): items[i][1] for i in order}


def in_tar(path, pictures):
    return [Packed(write_tar(path / "a.tar.gz", shuffled(pictures), "w:gz"), None)]


def in_two_zips(path, pictures):
    members = list(shuffled(pictures).items())
    half = len(members) // 2
    parts = dict(members[:half]), dict(members[half:])
    return [Packed(write_zip(path / f"{i}.zip", part), None) for i, part in enumerate(parts)]


def in_parquet(path, pictures):
    keys = list(pictures)
    images = [(key[-1], pictures[key]) for key in keys]
    labels = [CLASSES.index(key[-2]) for key in keys]
    domains = [key[0] for key in keys] if len(keys[0]) == 3 else None
    return [Packed(write_parquet(path / "a.parquet", images, labels, domains), None)]


def assert_same(made, expected):
    assert made.ids == expected.ids and made.classes == expected.classes
    assert made.groups == expected.groups
    for array in ("images_NHW", "labels", "splits_N"):
        np.testing.assert_array_equal(getattr(made, array), getattr(expected, array))


@pytest.mark.parametrize("pack", [in_tar, in_two_zips, in_parquet])
@pytest.mark.parametrize("splits", [SPLITS, SPLITS | {"report": 5}], ids=["all", "some"])
def test_packed_images_are_those_of_the_folder(tmp_path, pictures, pack, splits):
    pictures = of_photos(pictures)
    expected = read_folder(written(tmp_path / "folder", pictures), SIZE, splits, 1, "mine")
    classes = CLASSES if pack is in_parquet else None
    assert_same(read_packed(pack(tmp_path, pictures), SIZE, splits, 1, "mine", classes), expected)


@pytest.mark.parametrize("pack", [in_tar, in_two_zips, in_parquet])
def test_packed_domains_are_those_of_the_folder(tmp_path, pictures, pack):
    expected = read_domain_folder(written(tmp_path / "folder", pictures), SIZE, 1, "mine")
    files, classes = pack(tmp_path, pictures), CLASSES if pack is in_parquet else None
    # In any order: the folder's are sorted.
    assert_same(read_packed_domains(files, SIZE, 1, "mine", DOMAINS[::-1], classes), expected)


@pytest.mark.parametrize("n_report", [5, None])
def test_a_file_may_hold_a_split_alone(tmp_path, pictures, n_report):
    pictures = of_photos(pictures)
    shards = {}
    for k, (_, name, file) in enumerate(("", *key) for key in pictures):
        stem = file.split(".")[0] + name
        shard = shards.setdefault(k % 2, {})
        shard |= {f"{stem}.cls": str(CLASSES.index(name)).encode()}
        shard |= {f"{stem}.{file.split('.')[1]}": pictures[name, file]}
    paths = [write_tar(tmp_path / f"{k}.tar", shard) for k, shard in shards.items()]
    files = [Packed(paths[0], None), Packed(paths[1], "report")]
    splits = {"train": 5, "tune": 3} | ({"report": n_report} if n_report else {})
    made = read_packed(files, SIZE, splits, 0, "mine", None)
    in_second = {name.split(".")[0] for name in shards[1]}
    for id, split in zip(made.ids, made.splits_N, strict=True):
        assert (split == "report") == (id.split("/")[-1].split(".")[0] in in_second)
        assert id.startswith("report/") == (split == "report")
    counts = dict(zip(*np.unique(made.splits_N, return_counts=True), strict=True))
    assert counts == {"train": 5, "tune": 3, "report": n_report or len(shards[1]) // 2}
    for id, image in zip(made.ids, made.images_NHW, strict=True):
        *_, label, file = id.split("/")
        key = CLASSES[int(label)], file.replace(CLASSES[int(label)], "")
        with Image.open(io.BytesIO(pictures[key])) as opened:
            square = opened.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(image, np.asarray(square))


def test_a_file_with_fewer_images_than_its_split_asks_for_gives_all(tmp_path, pictures, caplog):
    (first,) = in_tar(tmp_path, of_photos(pictures))
    members = {f"cat/{i}.jpg": content for i, content in enumerate(pictures.values())}
    files = [first, Packed(write_tar(tmp_path / "more.tar", members), "report")]
    made = read_packed(files, SIZE, SPLITS | {"report": 500}, 0, "mine", None)
    assert (made.splits_N == "report").sum() == len(pictures)
    assert f"hold {len(pictures)} images for report, and 500 are asked for" in caplog.text


def with_owls(pictures, n):
    """With but n images of an owl among the toys."""
    owls = [key for key in pictures if key[:2] == ("toy", "owl")]
    return {key: content for key, content in pictures.items() if key not in owls[n:]}


@pytest.mark.parametrize(
    ("change", "domains", "sentence"),
    [
        (lambda p: p, DOMAINS[:2], r"'toy', and `domains` in the run file has 'photo', 'sketch'"),
        (lambda p: p, (*DOMAINS, "clay"), "domain 'clay' has no class 'cat', which domain"),
        (lambda p: with_owls(p, 0), DOMAINS, "domain 'toy' has no class 'owl', which"),
        (lambda p: with_owls(p, 1), DOMAINS, "a.tar.gz/toy/owl holds too few images, 1, and 3 of"),
    ],
)
def test_domains_that_cannot_be_dealt_are_refused(tmp_path, pictures, change, domains, sentence):
    with pytest.raises(InputError, match=sentence):
        read_packed_domains(in_tar(tmp_path, change(pictures)), SIZE, 0, "mine", domains, None)


@pytest.mark.parametrize(
    ("members", "classes", "sentence"),
    [
        (
            {"0.jpg": None},
            None,
            "nothing says what '0.jpg' shows: put images into a folder a class",
        ),
        ({"cat/0.jpg": None}, ("dog", "owl"), "labelled 'cat', which is no class; the classes are"),
        ({"cat/0.jpg": None, "x/cat/0.jpg": None}, None, "two images are called 'cat/0.jpg'"),
        ({"cat/0.jpg": None, "cat/1.jpg": None, "dog/0.jpg": None}, None, "train and tune"),
    ],
)
def test_images_that_cannot_be_dealt_are_refused(tmp_path, pictures, members, classes, sentence):
    some = next(iter(pictures.values()))
    path = write_tar(tmp_path / "a.tar", dict.fromkeys(members, some))
    with pytest.raises(InputError, match=sentence):
        read_packed([Packed(path, None)], SIZE, {"train": 2}, 0, "mine", classes)
