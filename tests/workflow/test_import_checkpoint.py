import argparse
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from dissent import datasets
from dissent.classifiers import load_checkpoint, predict
from dissent.commandline import InputError
from dissent.encoded_images import by_label, images_beside, write_images
from dissent.examples import write_examples
from dissent.files import sha256
from dissent.image_shards import Encoded
from made_images import encoded

PATH = Path("workflow/scripts/checkpoints/import_checkpoint.py")
SPEC = importlib.util.spec_from_file_location(PATH.stem, PATH)
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)


@pytest.fixture
def arguments(tmp_path):
    model = timm.create_model("test_resnet", num_classes=10)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    write_examples(tmp_path / "data.safetensors", datasets.glyphs(0, 32, {"report": 20}))
    return argparse.Namespace(
        weights=tmp_path / "weights.safetensors",
        sha256=sha256(tmp_path / "weights.safetensors"),
        architecture="test_resnet",
        data=tmp_path / "data.safetensors",
        threads=1,
        output=tmp_path / "out" / "mine.safetensors",
    )


def test_a_timm_checkpoint_is_taken_over_with_timms_preprocessing(arguments):
    script.main(arguments)
    model, card = load_checkpoint(arguments.output)
    default = timm.get_pretrained_cfg("test_resnet")
    assert card["preprocessing"]["size"] == default.input_size[-1]
    assert card["preprocessing"]["mean"] == list(default.mean)
    assert card["classes"] == list(datasets.DIGITS)
    images_NHW = datasets.glyphs(0, 32, {"report": 20}).images_NHW
    (batch,) = predict(model, images_NHW, card["preprocessing"])
    assert batch[1].shape == (20, 10)
    assert np.isfinite(batch[1].numpy()).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"weights": Path("nowhere.safetensors")}, "there is no file nowhere.safetensors"),
        ({"sha256": "0" * 64}, "the model table expects 0000"),
        ({"architecture": "resnet999"}, "no architecture 'resnet999'"),
        ({"architecture": "test_convnext"}, r"do not fit .* \d+ missing .* \d+ unexpected"),
    ],
)
def test_what_is_not_as_the_table_says_is_refused_in_one_line(arguments, change, sentence):
    vars(arguments).update(change)
    with pytest.raises(InputError, match=sentence) as refused:
        script.main(arguments)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400
    assert not arguments.output.exists()


def test_another_number_of_classes_is_refused(arguments):
    model = timm.create_model("test_resnet", num_classes=7)
    save_file(model.state_dict(), arguments.weights)
    arguments.sha256 = sha256(arguments.weights)
    with pytest.raises(InputError, match=r"2 of another shape \(first: fc.weight\)"):
        script.main(arguments)


@pytest.mark.parametrize(
    ("architecture", "n_classes"),
    [("test_resnet.r160_in1k", 7), ("test_vit", 3), ("test_convnext", 0)],
)
def test_without_data_it_keeps_the_classes_it_has(arguments, architecture, n_classes):
    source = timm.create_model(architecture, num_classes=n_classes).eval()
    take_over(arguments, architecture, source)
    model, card = load_checkpoint(arguments.output)
    source.to(memory_format=torch.channels_last)
    assert card["architecture"] == architecture
    assert card["classes"] == [str(label) for label in range(n_classes)]
    default = timm.get_pretrained_cfg(architecture)
    assert card["preprocessing"] == {
        "size": default.input_size[-1],
        "mean": list(default.mean),
        "std": list(default.std),
    }
    inputs = torch.randn(2, *default.input_size)
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(inputs), source(inputs), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("architecture", "sentence"),
    [
        ("test_resnet.no_such_tag", "no architecture 'test_resnet.no_such_tag'"),
        ("test_convnext", r"do not fit the architecture \(KeyError"),
        ("test_vit", r"do not fit the architecture \(.* Missing key"),
    ],
)
def test_without_data_what_does_not_fit_is_refused(arguments, architecture, sentence):
    with pytest.raises(InputError, match=sentence) as refused:
        take_over(arguments, architecture, timm.create_model("test_resnet"))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400
    assert not arguments.output.exists()


def test_without_data_damaged_weights_are_refused(arguments):
    arguments.weights.write_bytes(b"no weights")
    arguments.sha256, arguments.data = sha256(arguments.weights), None
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        script.main(arguments)


def take_over(arguments, architecture, model):
    """Import the weights of a model as those of an architecture, with no data set."""
    save_file(model.state_dict(), arguments.weights)
    arguments.sha256 = sha256(arguments.weights)
    arguments.architecture, arguments.data = architecture, None
    script.main(arguments)


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("evil"),)


@pytest.mark.parametrize("suffix", ["pth", "bin"])
def test_weights_of_torch_are_taken_over_and_code_in_them_is_not_run(
    arguments, tmp_path, suffix, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    weights = tmp_path / f"weights.{suffix}"
    model = timm.create_model("test_resnet", num_classes=7)
    torch.save({"state_dict": model.state_dict()}, weights)
    vars(arguments).update(weights=weights, sha256=sha256(weights), data=None)
    script.main(arguments)
    taken, _ = load_checkpoint(arguments.output)
    assert all((taken.state_dict()[name] == w).all() for name, w in model.state_dict().items())
    torch.save({"state_dict": model.state_dict(), "more": Evil()}, weights)
    arguments.sha256 = sha256(weights)
    with pytest.raises(InputError, match="cannot be read as tensors of torch alone") as refused:
        script.main(arguments)
    assert "\n" not in str(refused.value)
    assert not Path("evil").exists()


def encoded_data(path, classes):
    """A data set of encoded images with some classes."""
    rng = np.random.default_rng(0)
    images = [Encoded(f"{label}/{i}.jpg", encoded(rng), label) for label in classes for i in (0, 1)]
    write_examples(path, by_label("data", write_images(images_beside(path), images), None, {}, 0))


def test_of_encoded_images_the_classes_are_imagenets_and_timms_view_is_told(arguments):
    encoded_data(arguments.data, ["n01443537", "n01440764"])
    model = timm.create_model("test_resnet")
    save_file(model.state_dict(), arguments.weights)
    arguments.sha256 = sha256(arguments.weights)
    arguments.architecture = "test_resnet.r160_in1k"
    script.main(arguments)
    _, card = load_checkpoint(arguments.output)
    assert card["classes"][:2] == ["n01440764", "n01443537"]
    assert len(card["classes"]) == 1000
    known = timm.get_pretrained_cfg("test_resnet.r160_in1k")
    assert card["view"]["size"] == list(known.input_size[1:])
    assert card["view"]["crop_pct"] == known.crop_pct
    assert card["view"]["interpolation"] == known.interpolation


def test_of_encoded_images_as_many_classes_are_those_of_the_data(arguments):
    encoded_data(arguments.data, [f"c{i}" for i in range(10)])
    script.main(arguments)
    _, card = load_checkpoint(arguments.output)
    assert card["classes"] == [f"c{i}" for i in range(10)]
