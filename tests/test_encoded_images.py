import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from dissent.commandline import InputError
from dissent.encoded_images import (
    by_label,
    check_whole,
    decode,
    images_beside,
    with_labels,
    write_images,
)
from dissent.examples import read_examples, write_examples
from dissent.image_shards import Encoded, read_shards
from dissent.label_sets import read_label_set, read_new_labels
from made_images import encoded, write_tar

RNG = np.random.default_rng(1)
NAMES = ("n01", "n02", "n03")
IMAGES = [Encoded(f"{NAMES[i % 3]}/{9 - i}.jpg", encoded(RNG), NAMES[i % 3]) for i in range(9)]
LAYOUT = {"ids": "file", "label": "label", "groups": None, "array": None, "first": 0}


@pytest.fixture
def folder(tmp_path):
    members = {f"top/{image.id}": image.content for image in IMAGES}
    write_tar(tmp_path / "a.tar", members)
    return tmp_path


def made(folder, classes=None, splits=(), seed=0):
    output = folder / "made.safetensors"
    found = write_images(images_beside(output), read_shards([folder / "a.tar"]))
    write_examples(output, by_label("made", found, classes, dict(splits), seed))
    return output


def test_every_image_is_there_whole_under_its_id_and_label(folder):
    path = made(folder)
    examples = read_examples(path)
    of_id = {image.id: image for image in IMAGES}
    assert set(examples.ids) == set(of_id)
    assert list(examples.ids) == sorted(examples.ids)
    for i, id in enumerate(examples.ids):
        assert examples.classes[examples.labels[i]] == of_id[id].label
        assert examples.image_digests[i] == hashlib.sha256(of_id[id].content).hexdigest()
        expected = Image.open(io.BytesIO(of_id[id].content)).convert("RGB")
        found = decode(images_beside(path), examples.spans_N2[i], id)
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_one_pixel_changes_the_digest_of_the_content(folder):
    before = read_examples(made(folder)).content_sha256
    assert read_examples(made(folder)).content_sha256 == before
    members = {f"top/{image.id}": image.content for image in IMAGES}
    name = next(iter(members))
    members[name] = encoded(np.random.default_rng(2))
    write_tar(folder / "a.tar", members)
    assert read_examples(made(folder)).content_sha256 != before


def test_labels_are_names_or_numbers_of_the_classes(folder):
    by_name = read_examples(made(folder, ("n03", "n02", "n01")))
    assert by_name.classes == ("n03", "n02", "n01")
    assert {id[:3]: int(label) for id, label in zip(by_name.ids, by_name.labels, strict=True)} == {
        "n01": 2,
        "n02": 1,
        "n03": 0,
    }
    numbered = [image._replace(label=str(NAMES.index(image.label))) for image in IMAGES]
    found = write_images(folder / "x.images", numbered)
    examples = by_label("x", found, NAMES, {}, 0)
    assert all(NAMES[examples.labels[i]] == id[:3] for i, id in enumerate(examples.ids))


def test_classes_that_are_numbers_are_in_the_order_of_numbers(folder):
    images = [image._replace(id=f"{i}.jpg", label=str(11 - i)) for i, image in enumerate(IMAGES)]
    examples = by_label("x", write_images(folder / "x.images", images), None, {}, 0)
    assert examples.classes == tuple(map(str, range(3, 12)))
    assert [examples.classes[label] for label in examples.labels] == [
        str(11 - int(id[0])) for id in examples.ids
    ]


def test_splits_are_of_the_sizes_asked_for_and_by_default_one(folder):
    examples = read_examples(made(folder, splits={"tune": 3, "report": 4}.items()))
    names, counts = np.unique(examples.splits_N, return_counts=True)
    assert dict(zip(names, counts, strict=True)) == {"tune": 3, "report": 4, "unused": 2}
    assert set(read_examples(made(folder)).splits_N) == {"report"}


def test_a_file_of_labels_names_the_images_and_their_order(folder):
    ids = [image.id for image in IMAGES][::-1][:5]
    lines = [f"{id},{NAMES.index(id[:3])}" for id in ids]
    (folder / "labels.csv").write_text("\n".join(["file,label", *lines]))
    labelled = read_label_set(folder / "labels.csv", LAYOUT, NAMES, 0, {}, "", numbered=True)
    found = write_images(folder / "x.images", read_shards([folder / "a.tar"]), labelled.ids)
    assert set(found) == set(ids)
    examples = with_labels(labelled, found)
    assert list(examples.ids) == ids
    assert [NAMES[label] for label in examples.labels] == [id[:3] for id in ids]
    # Also for other labels of these examples: numbers, of classes that have names.
    (folder / "again.csv").write_text("\n".join(["file,label", *(f"{id},1" for id in ids)]))
    again = read_new_labels(folder / "again.csv", LAYOUT, examples)
    assert set(again.labels) == {1}
    assert again.classes == NAMES


def twice(folder):
    write_images(folder / "x.images", [IMAGES[0], IMAGES[0]])


def unlabelled(folder):
    images = [image._replace(label=None) for image in IMAGES]
    by_label("x", write_images(folder / "x.images", images), None, {}, 0)


def unknown(folder):
    by_label("x", write_images(folder / "x.images", IMAGES), ("n01", "n02"), {}, 0)


def lacking(folder):
    (folder / "labels.csv").write_text("file,label\nn01/9.jpg,n01\nn02/77.jpg,n02\n")
    labelled = read_label_set(folder / "labels.csv", LAYOUT, NAMES, 0, {}, "")
    with_labels(labelled, write_images(folder / "x.images", IMAGES, labelled.ids))


def cut_off(folder):
    path = made(folder)
    content = images_beside(path).read_bytes()
    images_beside(path).write_bytes(content[:-1])
    check_whole(images_beside(path), read_examples(path))


def damaged(folder):
    path = made(folder)
    examples = read_examples(path)
    start, end = examples.spans_N2[0]
    content = bytearray(images_beside(path).read_bytes())
    content[start:end] = bytes(end - start)
    images_beside(path).write_bytes(bytes(content))
    decode(images_beside(path), examples.spans_N2[0], examples.ids[0])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (twice, "two images are called 'n01/9.jpg'"),
        (unlabelled, "nothing says what 'n01/9.jpg' shows"),
        (unknown, "'n03/7.jpg' is labelled 'n03', which is no class"),
        (lacking, r"no image of 1 of the 2 labels, such as 'n02/77.jpg'"),
        (cut_off, "is cut off"),
        (damaged, "the image 'n01/3.jpg' cannot be decoded"),
    ],
)
def test_what_does_not_fit_is_one_sentence(folder, make, sentence):
    with pytest.raises(InputError, match=sentence) as refused:
        make(folder)
    assert "\n" not in str(refused.value)
