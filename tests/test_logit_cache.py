import io
import json
import shutil

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from timm.data import create_transform, resolve_data_config

from dissent import encoded_images, image_views, logit_cache, parts
from dissent.classifiers import Card, load_checkpoint, save_checkpoint
from dissent.commandline import InputError
from dissent.encoded_images import by_label, images_beside, write_images
from dissent.examples import write_examples
from dissent.image_shards import Encoded
from dissent.image_views import view_of
from dissent.logit_cache import Member, cache_together, forward, halving
from dissent.logits import Key, of_examples, open_predictions
from made_images import encoded

N, BATCH = 23, 4
CLASSES = tuple(f"c{i}" for i in range(7))
# Two of equal view, one that is 64 pixels large, and one that pads the borders of images.
NAMES = ("test_resnet.r160_in1k", "test_vit.r160_in1k", "small", "border")


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(3)
    return [Encoded(f"c{i % 5}/{i:02d}.jpg", encoded(rng), f"c{i % 5}") for i in range(N)]


@pytest.fixture
def data(tmp_path, images):
    path = tmp_path / "data.safetensors"
    examples = by_label("data", write_images(images_beside(path), images), None, {}, 0)
    write_examples(path, examples)
    return path, examples


@pytest.fixture(autouse=True)
def small_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "FOLDER", tmp_path / "parts")
    monkeypatch.setattr(logit_cache, "BATCHES_PER_PART", 2)


def pretrained(name):
    known = timm.get_pretrained_cfg(name if "." in name else "test_resnet.r160_in1k")
    if name == "small":
        known.test_input_size, known.test_crop_pct, known.interpolation = (
            (3, 64, 80),
            0.8,
            "bilinear",
        )
    if name == "border":
        known.crop_mode, known.crop_pct, known.mean = "border", 1.0, (0.1, 0.5, 0.9)
    return known


def member(name, examples, precision="float32", digest="0"):
    known = pretrained(name)
    torch.manual_seed(len(name))
    model = timm.create_model(known.architecture, num_classes=len(CLASSES)).eval()
    for weight in model.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    view = view_of(known)
    key = Key(
        weights_sha256=digest,
        preprocessing={**view},
        **of_examples(examples),
        label_map=list(examples.classes),
        output="logits",
        libraries={},
        precision=precision,
    )
    columns = [CLASSES.index(label) for label in examples.classes]
    return Member(name, model, view, list(known.mean), list(known.std), columns, key, BATCH)


def cache(tmp_path, data, members, keep_features=True, workers=0):
    path, examples = data
    outputs = [tmp_path / "logits" / f"{one.name}.safetensors" for one in members]
    device = torch.device("cpu")
    cache_together(members, examples, path, outputs, device, BATCH, workers, keep_features)
    return outputs


@torch.no_grad()
def by_timm(one, images, examples):
    """Logits [N, C] of the data's classes as timm's own evaluation has them, image by image."""
    known = pretrained(one.name)
    config = resolve_data_config(pretrained_cfg=known.to_dict(), use_test_size=True)
    transform = create_transform(**config)
    of_id = {image.id: image.content for image in images}
    logits = [
        one.model(transform(Image.open(io.BytesIO(of_id[id])).convert("RGB"))[None])[0]
        for id in examples.ids
    ]
    return torch.stack(logits)[:, one.columns_C].numpy()


@pytest.mark.parametrize("workers", [0, 2])
def test_logits_are_those_of_timms_own_evaluation(tmp_path, data, images, workers):
    _, examples = data
    members = [member(name, examples) for name in NAMES]
    outputs = cache(tmp_path, data, members, workers=workers)
    opened = open_predictions(outputs, examples, "logits")
    for one in members:
        expected_NC = by_timm(one, images, examples)
        found = opened[one.name]
        scale = np.abs(expected_NC).max()
        np.testing.assert_allclose(found["logits"], expected_NC, atol=2e-3 * scale)
        np.testing.assert_array_equal(found["predicted"], expected_NC.argmax(axis=1))
        logp_NC = torch.log_softmax(torch.from_numpy(expected_NC), 1).numpy()
        true_N = logp_NC[np.arange(N), examples.labels]
        np.testing.assert_allclose(found["true_log_probability"], true_N, atol=1e-4)
        np.testing.assert_allclose(found["max_log_probability"], logp_NC.max(1), atol=1e-4)
        assert found["features"].shape == (N, one.model.num_features)


def test_each_image_is_decoded_once_for_all_models(tmp_path, data, monkeypatch):
    decoded = []

    def counted(path, span, id):
        decoded.append(id)
        return encoded_images.decode(path, span, id)

    monkeypatch.setattr(image_views, "decode", counted)
    cache(tmp_path, data, [member(name, data[1]) for name in NAMES])
    assert sorted(decoded) == sorted(data[1].ids)


def test_a_run_that_was_killed_goes_on_with_equal_bytes(tmp_path, data, monkeypatch):
    members = [member(name, data[1]) for name in NAMES[:3]]
    expected = [path.read_bytes() for path in cache(tmp_path, data, members)]
    forget(tmp_path)
    seen, stops = [], [True]

    def stopping(one, pixels, keep):
        seen.append(len(pixels))
        if stops and len(seen) == 3 * 3 + 2:
            raise OSError
        return forward(one, pixels, keep)

    monkeypatch.setattr(logit_cache, "forward", stopping)
    with pytest.raises(OSError):
        cache(tmp_path, data, members)
    (kept,) = (tmp_path / "parts").glob("*/*.safetensors")
    # What a job leaves that is killed as it renames a part.
    kept.with_name(f".{kept.stem}.123.partial.safetensors").write_bytes(kept.read_bytes())
    seen.clear()
    stops.clear()
    assert [path.read_bytes() for path in cache(tmp_path, data, members)] == expected
    # One part of two batches was there: of 23 images, 15 were looked at, by each of three.
    assert sum(seen) == 15 * 3


def forget(tmp_path):
    for folder in ("parts", "logits"):
        shutil.rmtree(tmp_path / folder)


def test_what_was_finished_needs_no_model_again(tmp_path, data, monkeypatch):
    members = [member(name, data[1]) for name in NAMES[:2]]
    expected = [path.read_bytes() for path in cache(tmp_path, data, members)]
    shutil.rmtree(tmp_path / "logits")
    monkeypatch.setattr(logit_cache, "forward", None)
    assert [path.read_bytes() for path in cache(tmp_path, data, members)] == expected


@pytest.mark.parametrize("damage", ["cut", "empty", "short"])
def test_a_damaged_part_is_made_anew(tmp_path, data, damage):
    members = [member(NAMES[0], data[1])]
    expected = [path.read_bytes() for path in cache(tmp_path, data, members)]
    second = sorted((tmp_path / "parts").glob("*/*.safetensors"))[1]
    if damage == "short":
        save_file({name: tensor[:-1] for name, tensor in load_file(second).items()}, second)
    else:
        second.write_bytes(second.read_bytes()[:-1] if damage == "cut" else b"")
    assert [path.read_bytes() for path in cache(tmp_path, data, members)] == expected


def test_a_damaged_image_is_one_sentence_from_another_process_too(tmp_path, data):
    path, examples = data
    start, end = examples.spans_N2[5]
    content = bytearray(images_beside(path).read_bytes())
    content[start:end] = bytes(end - start)
    images_beside(path).write_bytes(bytes(content))
    with pytest.raises(InputError, match=f"^the image '{examples.ids[5]}' cannot be") as told:
        cache(tmp_path, data, [member(NAMES[0], examples)], workers=1)
    assert "\n" not in str(told.value)


def test_logits_that_are_no_numbers_are_one_sentence(tmp_path, data):
    one = member(NAMES[0], data[1])
    one.model.get_classifier().bias.data[0] = torch.nan
    with pytest.raises(InputError, match="gives logits that are no finite numbers") as told:
        cache(tmp_path, data, [one])
    assert "\n" not in str(told.value)


# Heads of all kinds: two, several, a convolution, normalised, pooled by attention.
HEADS = [
    *("dpn68", "dla34", "crossvit_9_dagger_240", "levit_128s", "levit_conv_128s"),
    *("deit_tiny_distilled_patch16_224", "pit_ti_distilled_224", "efficientformerv2_s0"),
    *("resnetv2_50x1_bit", "mobilenetv3_large_100", "poolformer_s12", "coat_lite_tiny"),
]


@pytest.mark.parametrize("name", HEADS)
def test_heads_of_all_kinds_say_what_the_whole_model_says(name, tmp_path):
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=11).eval()
    # As loaded ones are: in other formats convolutions round differently.
    model.to(memory_format=torch.channels_last)
    card = Card(
        architecture=name,
        options={},
        classes=[str(i) for i in range(11)],
        preprocessing={"size": 224, "mean": [0.0] * 3, "std": [1.0] * 3},
        zero_shot={},
    )
    save_checkpoint(tmp_path / "m.safetensors", model, card)
    again = load_checkpoint(tmp_path / "m.safetensors")[0].eval()
    _, height, width = model.pretrained_cfg["input_size"]
    pixels = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8)
    key = Key("0", {}, "", "", [], "logits", "float16", {})
    one = Member(name, again, {}, [0.0] * 3, [1.0] * 3, list(range(11)), key, 2)
    logits_NC, features_ND = forward(one, pixels, keep_features=True)
    with torch.inference_mode():
        torch.testing.assert_close(logits_NC, model(pixels.float() / 255))
    assert features_ND.ndim == 2


def test_parts_of_other_weights_are_not_taken(tmp_path, data):
    cache(tmp_path, data, [member(NAMES[0], data[1], digest="1")])
    cache(tmp_path, data, [member(NAMES[0], data[1], digest="2")])
    assert len(list((tmp_path / "parts").iterdir())) == 2


def test_features_are_kept_only_where_they_are_asked_for(tmp_path, data):
    (path,) = cache(tmp_path, data, [member(NAMES[0], data[1])], keep_features=False)
    with safe_open(path, "np") as file:
        assert "features" not in file.keys()  # noqa: SIM118
        assert "precision" not in json.loads(file.metadata()["key"])


def test_half_precision_is_near_and_is_said(tmp_path, data, images):
    one = member(NAMES[0], data[1], "bfloat16")
    (path,) = cache(tmp_path, data, [one])
    expected_NC = by_timm(one, images, data[1])
    found = open_predictions([path], data[1], "logits")[one.name]
    assert np.abs(found["logits"] - expected_NC).max() > 1e-3 * np.abs(expected_NC).max()
    np.testing.assert_allclose(found["logits"], expected_NC, atol=0.1 * np.abs(expected_NC).max())
    assert found["logsumexp"].dtype == np.float32
    assert found.key.precision == "bfloat16"


@pytest.mark.parametrize("largest", [1, 2, 3, 5, 10])
def test_a_batch_is_halved_until_memory_takes_it(largest):
    asked = []

    def narrow(piece):
        asked.append(len(piece))
        if len(piece) > largest:
            raise torch.OutOfMemoryError
        return 2 * piece, piece + 1

    batch = torch.arange(10)
    (doubled, raised), limit = halving(narrow, batch, 64, "m")
    assert doubled.tolist() == (2 * batch).tolist()
    assert raised.tolist() == (batch + 1).tolist()
    assert limit == {1: 1, 2: 2, 3: 2, 5: 5, 10: 64}[largest]
    asked.clear()
    halving(narrow, batch, limit, "m")
    assert max(asked) <= largest


def test_one_image_that_does_not_fit_is_one_sentence():
    def full(_):
        raise torch.OutOfMemoryError

    with pytest.raises(InputError, match="m does not fit into the device's memory"):
        halving(full, torch.arange(10), 8, "m")
