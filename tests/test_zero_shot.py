import argparse
import importlib.util
import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip import pretrained
from safetensors.torch import save_file

from dissent import zero_shot
from dissent.classifiers import load_checkpoint
from dissent.commandline import InputError
from dissent.encoded_images import by_label, decode, images_beside, write_images
from dissent.examples import read_examples, write_examples
from dissent.files import sha256
from dissent.image_shards import Encoded
from dissent.image_views import Views
from made_images import encoded

PATH = Path("workflow/scripts/checkpoints/import_zero_shot.py")
SPEC = importlib.util.spec_from_file_location(PATH.stem, PATH)
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)

NAME = "tiny-clip/made"
CLASSES = ("polar bear", "cat", "n_3")
CONFIG = {
    "embed_dim": 12,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}


@pytest.fixture(autouse=True)
def tiny(tmp_path, monkeypatch):
    """An architecture that takes no time, published as others are."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/tiny-clip.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(tmp_path / "configs")
    known = dict(pretrained._PRETRAINED["ViT-B-32"]["openai"])
    monkeypatch.setitem(pretrained._PRETRAINED, "tiny-clip", {"made": known})


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    made = open_clip.create_model("tiny-clip", force_quick_gelu=True).eval()
    for weight in made.parameters():
        weight.data += 0.3 * torch.randn_like(weight)
    save_file(made.state_dict(), tmp_path / "open_clip_model.safetensors")
    return made


@pytest.fixture
def arguments(tmp_path, model):
    rng = np.random.default_rng(0)
    images = [Encoded(f"{label}.jpg", encoded(rng), label) for label in CLASSES]
    data = tmp_path / "data.safetensors"
    found = write_images(images_beside(data), images)
    write_examples(data, by_label("data", found, CLASSES, {}, 0))
    return argparse.Namespace(
        weights=tmp_path / "open_clip_model.safetensors",
        sha256=sha256(tmp_path / "open_clip_model.safetensors"),
        architecture=NAME,
        data=data,
        threads=1,
        output=tmp_path / "made.safetensors",
    )


@torch.no_grad()
def test_logits_are_scaled_cosines_with_the_mean_sentence_of_a_class(arguments, model):
    script.main(arguments)
    made, card = load_checkpoint(arguments.output)
    assert card["classes"] == list(CLASSES)
    inputs = torch.randn(5, 3, 32, 32)
    tokenizer = open_clip.get_tokenizer("tiny-clip")
    expected = []
    for label in CLASSES:
        sentences = [make(label.replace("_", " ")) for make in open_clip.OPENAI_IMAGENET_TEMPLATES]
        each = model.encode_text(tokenizer(sentences))
        mean = (each / each.norm(dim=1, keepdim=True)).mean(dim=0)
        image = model.encode_image(inputs)
        image = image / image.norm(dim=1, keepdim=True)
        expected.append(model.logit_scale.exp() * image @ (mean / mean.norm()))
    expected_NC = torch.stack(expected, dim=1)
    torch.testing.assert_close(made.eval()(inputs), expected_NC, rtol=1e-4, atol=1e-4)


def test_images_are_seen_as_open_clip_evaluates_them(arguments):
    script.main(arguments)
    _, card = load_checkpoint(arguments.output)
    _, known = zero_shot.published(NAME)
    transform = open_clip.image_transform(
        32,
        is_train=False,
        mean=known["mean"],
        std=known["std"],
        interpolation=known["interpolation"],
        resize_mode=known["resize_mode"],
    )
    examples = read_examples(arguments.data)
    path = images_beside(arguments.data)
    views = Views(path, examples.spans_N2, examples.ids, [card["view"]])
    mean, std = (torch.tensor(card["preprocessing"][n])[:, None, None] for n in ("mean", "std"))
    for i, id in enumerate(examples.ids):
        expected = transform(decode(path, examples.spans_N2[i], id))
        torch.testing.assert_close((views[i][0] / 255 - mean) / std, expected)


def test_a_subset_of_imagenets_classes_is_told_among_all_of_them():
    classes, words = script.named(("n01440764", "n01443537"))
    assert len(classes) == len(words) == 1000
    assert words[classes.index("n01443537")] == "goldfish"
    assert words[classes.index("n02134084")] == "polar bear"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"architecture": "ViT-B-32/opanai"}, r"did you mean 'ViT-B-32/openai'"),
        ({"architecture": "ViT-B-16-SigLIP/webli"}, "tokenizer of .* is not part of open_clip"),
        ({"architecture": "coca_ViT-L-14/laion2b_s13b_b90k"}, "writes captions"),
        ({"sha256": "0" * 64}, "the model table expects 0000"),
    ],
)
def test_what_is_not_as_the_table_says_is_one_sentence(arguments, change, sentence):
    vars(arguments).update(change)
    with pytest.raises(InputError, match=sentence) as refused:
        script.main(arguments)
    assert "\n" not in str(refused.value)
    assert not arguments.output.exists()


def test_weights_of_another_architecture_are_one_sentence(arguments):
    save_file({"other": torch.zeros(3)}, arguments.weights)
    arguments.sha256 = sha256(arguments.weights)
    with pytest.raises(InputError, match="do not fit 'tiny-clip/made'") as refused:
        script.main(arguments)
    assert "\n" not in str(refused.value)
