import logging

import numpy as np
import pytest
from PIL import Image

from dissent.commandline import InputError
from dissent.domain_folder import read_domain_folder
from dissent.domains import leave_out
from dissent.image_files import image_files

COUNTS = {
    "photo": {"cat": 3, "dog": 20, "eel": 7},
    "sketch": {"cat": 10, "dog": 4, "eel": 13},
    "art": {"cat": 8, "dog": 5, "eel": 50},
}


def fill(folder, counts=COUNTS, seed=0, size=6):
    """Images of random pixels, some in each class of each domain."""
    rng = np.random.default_rng(seed)
    for domain, of_domain in counts.items():
        for name, n in of_domain.items():
            (folder / domain / name).mkdir(parents=True, exist_ok=True)
            for i in range(n):
                pixels = rng.integers(256, size=(size, size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / domain / name / f"{i:03d}.png")
    return folder


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "mine")


def test_domains_classes_and_pixels_are_those_of_the_folder(folder):
    made = read_domain_folder(folder, 6, 0, "mine")
    assert (made.name, made.classes) == ("mine", ("cat", "dog", "eel"))
    assert tuple(dict.fromkeys(made.groups)) == ("art", "photo", "sketch")
    for at, name in enumerate(made.ids):
        domain, label, _ = name.split("/")
        assert made.groups[at] == domain
        assert made.classes[made.labels[at]] == label
        np.testing.assert_array_equal(made.images_NHW[at], np.asarray(Image.open(folder / name)))


def test_all_images_that_are_not_hidden_are_read_once(folder):
    expected = sorted(str(path) for path in folder.rglob("*.png"))
    (folder / ".git/cat").mkdir(parents=True)
    (folder / "art/.hidden").mkdir()
    for name in ("readme.md", "art/notes.txt", "art/cat/.x.png", ".git/cat/x.png"):
        (folder / name).write_text("no image")
    (folder / "art/cat/inner").mkdir()
    Image.new("RGB", (3, 3)).save(folder / "art/cat/inner/deep.png")
    made = read_domain_folder(folder, 4, 0, "mine")
    assert sorted(str(folder / name) for name in made.ids) == expected
    assert image_files(folder, 2) == expected
    assert image_files(folder) == []
    assert image_files(folder / "art") == [name for name in expected if "/art/" in name]
    assert image_files(folder / "nowhere", 2) == []


def test_a_fifth_is_reported_on_and_a_fifth_of_the_rest_is_tune(folder):
    made = read_domain_folder(folder, 4, 0, "mine")
    splits = {3: (1, 1, 1), 4: (1, 1, 2), 5: (1, 1, 3), 7: (1, 1, 5), 8: (2, 1, 5)}
    splits |= {10: (2, 2, 6), 13: (3, 2, 8), 20: (4, 3, 13), 50: (10, 8, 32)}
    for domain, of_domain in COUNTS.items():
        for name, n in of_domain.items():
            own = np.array([one.startswith(f"{domain}/{name}/") for one in made.ids])
            found = [(made.splits_N[own] == s).sum() for s in ("report", "tune", "train")]
            assert found == list(splits[n])
    assert leave_out(made, "photo").unseen.size == 30


def test_the_first_of_each_split_have_the_classes_in_the_shares_of_the_whole(folder):
    made = read_domain_folder(folder, 4, 0, "mine")
    labels_n = made.labels[leave_out(made, "photo").train["art"]]
    shares_C = np.bincount(labels_n) / len(labels_n)
    for end in range(1, len(labels_n) + 1):
        counts_C = np.bincount(labels_n[:end], minlength=3)
        np.testing.assert_allclose(counts_C, shares_C * end, atol=2)


def test_the_seed_alone_splits_each_domain_whatever_the_others_hold(folder):
    first, again = (read_domain_folder(folder, 4, 0, "mine") for _ in range(2))
    other = read_domain_folder(folder, 4, 1, "mine")
    assert first.ids == again.ids != other.ids
    np.testing.assert_array_equal(first.splits_N, again.splits_N)
    fill(folder, {"art": {"cat": 12}, "baroque": COUNTS["art"]}, seed=1)
    grown = read_domain_folder(folder, 4, 0, "mine")

    def splits(made, domain):
        rows = zip(made.ids, made.splits_N, made.groups, strict=True)
        return [(name, split) for name, split, group in rows if group == domain]

    for domain in ("photo", "sketch"):
        assert splits(grown, domain) == splits(first, domain) != splits(other, domain)


def _copy(folder, original, copy):
    Image.open(folder / original).save(folder / copy, optimize=True)


def test_images_in_two_domains_are_told_of(folder, caplog):
    with caplog.at_level(logging.WARNING):
        made = read_domain_folder(folder, 4, 0, "mine")
    assert not caplog.messages
    train = [name for i, name in enumerate(made.ids) if made.splits_N[i] == "train"]
    art, sketch = ([name for name in train if name.startswith(d)] for d in ("art", "sketch"))
    # One thrice, another twice in one domain alone.
    _copy(folder, art[0], sketch[0])
    _copy(folder, art[0], sketch[1])
    _copy(folder, art[1], art[2])
    with caplog.at_level(logging.WARNING):
        read_domain_folder(folder, 4, 0, "mine")
    (message,) = caplog.messages
    assert "mine: 3 images are in another domain as well, pixel by pixel" in message


def test_images_in_report_and_train_are_told_of(folder, caplog):
    made = read_domain_folder(folder, 4, 0, "mine")
    art = [i for i, domain in enumerate(made.groups) if domain == "art"]
    first = {split: next(i for i in art if made.splits_N[i] == split) for split in made.splits_N}
    _copy(folder, made.ids[first["train"]], made.ids[first["report"]])
    with caplog.at_level(logging.WARNING):
        read_domain_folder(folder, 4, 0, "mine")
    (message,) = caplog.messages
    assert "of the images in report, 1 are in train or tune as well" in message


def _empty(folder):
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()


def _remove(folder, *names):
    for name in names:
        _empty(folder / name)
        (folder / name).rmdir()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: f.rename(f.parent / "x"), "there is no folder .*mine: give"),
        (_empty, "mine has no sub-folders: give a folder that holds, for each domain"),
        (lambda f: _remove(f, "art", "sketch"), "mine has one domain, 'photo', alone: give"),
        (
            lambda f: (f / "art/cat/000.png").rename(f / "loose.png"),
            "mine holds images outside of sub-folders, such as loose.png: move",
        ),
        (
            lambda f: (f / "art/cat/000.png").rename(f / "art/loose.png"),
            "mine/art holds images outside of sub-folders, such as loose.png: move",
        ),
        (lambda f: (f / "baroque").mkdir(), "mine/baroque is a domain without images: give"),
        (
            lambda f: _remove(f, "art/dog"),
            r"mine: domain 'art' has no class 'dog', which domain '(photo|sketch)' has: add images "
            "of it in .*mine/art/dog, or remove the class",
        ),
        (
            lambda f: fill(f, {"art": {"ant": 3}}),
            "mine: domain 'photo' has no class 'ant', which domain 'art' has: add images",
        ),
        (lambda f: _empty(f / "art/dog"), r"mine/art/dog holds no images \(.*\): fill it or rem"),
        (
            lambda f: _remove(f, *(f"{d}/{c}" for d in COUNTS for c in ("cat", "dog"))),
            "mine/art has one sub-folder, 'eel', alone: give",
        ),
        (
            lambda f: (f / "photo/cat/000.png").unlink(),
            "mine/photo/cat holds too few images, 2, and 3 of each class of a domain are needed",
        ),
        (
            lambda f: (f / "sketch/eel/x.jpg").write_text("x"),
            r"sketch/eel/x\.jpg cannot be read as an image .*: mend it or remove it",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(folder, damage, message):
    damage(folder)
    with pytest.raises(InputError, match=message) as error:
        read_domain_folder(folder, 4, 0, "mine")
    assert "\n" not in str(error.value)
