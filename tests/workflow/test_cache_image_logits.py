import argparse
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from dissent import parts
from dissent.classifiers import Card, build, save_checkpoint
from dissent.commandline import InputError
from dissent.encoded_images import by_label, images_beside, write_images
from dissent.examples import read_examples, write_examples
from dissent.image_shards import Encoded
from dissent.image_views import View
from dissent.logits import open_predictions
from made_images import encoded

PATH = Path("workflow/scripts/logits/cache_image_logits.py")
SPEC = importlib.util.spec_from_file_location(PATH.stem, PATH)
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)

VIEW = View(size=[64, 64], interpolation="bicubic", crop_pct=0.9, crop_mode="center", fill=[])


def checkpoint(path, classes, view=VIEW):
    torch.manual_seed(0)
    card = Card(
        architecture="test_resnet",
        options={},
        classes=classes,
        preprocessing={"size": 64, "mean": [0.5] * 3, "std": [0.2] * 3},
        zero_shot={},
    )
    if view:
        card["view"] = view
    save_checkpoint(path, build(card), card)
    return path


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "FOLDER", tmp_path / "parts")
    rng = np.random.default_rng(0)
    images = [Encoded(f"{label}.jpg", encoded(rng), label) for label in ("cat", "dog")]
    data = tmp_path / "pets.safetensors"
    write_examples(data, by_label("pets", write_images(images_beside(data), images), None, {}, 0))
    return argparse.Namespace(
        checkpoints=[checkpoint(tmp_path / "mine.safetensors", ["dog", "bird", "cat"])],
        data=[data],
        batch_size=2,
        precision="float32",
        features=1,
        gpus=0,
        threads=1,
        output=tmp_path / "logits",
    )


def test_classes_are_found_by_their_names(arguments):
    script.main(arguments)
    examples = read_examples(arguments.data[0])
    opened = open_predictions([arguments.output / "pets/mine.safetensors"], examples, "logits")
    assert opened["mine"].key.label_map == ["cat", "dog"]
    assert opened["mine"]["logits"].shape == (2, 2)
    assert not any(parts.FOLDER.iterdir())
    assert opened["mine"].key.preprocessing == {**VIEW, "mean": [0.5] * 3, "std": [0.2] * 3}


def test_a_class_that_a_model_does_not_know_is_one_sentence(arguments, tmp_path):
    arguments.checkpoints = [checkpoint(tmp_path / "other.safetensors", ["dog", "bird"])]
    with pytest.raises(InputError, match="other knows no class 'cat' of data set 'pets'") as told:
        script.main(arguments)
    assert "\n" not in str(told.value)


def test_a_model_that_does_not_say_how_images_are_cropped_is_one_sentence(arguments, tmp_path):
    arguments.checkpoints = [checkpoint(tmp_path / "own.safetensors", ["dog", "cat"], view=None)]
    with pytest.raises(InputError, match="does not say how images are resized") as told:
        script.main(arguments)
    assert "\n" not in str(told.value)
