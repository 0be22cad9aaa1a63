from itertools import pairwise

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression

from dissent import datasets
from dissent.classifiers import (
    build,
    classify,
    features,
    head,
    linear_head,
    load_checkpoint,
    predict,
    prepare,
    read_card,
    save_checkpoint,
)
from dissent.commandline import InputError
from dissent.training.optimise import factor, shuffled_batches
from dissent.training.recipes import fit_linear_head, labelled_examples, small_patches, train

# One whose head is a convolution.
CONVOLUTION = "resnetv2_18"
OPTIONS = {
    "test_vit": small_patches(32),
    CONVOLUTION: {"layers": [1, 1, 1, 1], "channels": [4, 8, 8, 16], "stem_chs": 8},
}
RECIPE = {
    "framework": "supervised",
    "architecture": "test_efficientnet",
    "options": {},
    "labels_per_class": {"handwritten": 3},
    "unlabelled": ["handwritten"],
    "pretraining_steps": 0,
    "pretraining_batch_size": 8,
    "pretraining_learning_rate": 0.002,
    "steps": 4,
    "batch_size": 8,
    "optimizer": "adamw",
    "learning_rate": 0.002,
    "weight_decay": 0.05,
    "label_smoothing": 0.0,
    "drop_rate": 0.0,
    "augmentation": "light",
    "schedule": "cosine",
    "temperature": 0.2,
    "mask_ratio": 0.5,
    "teacher": None,
}
FRAMEWORKS = {
    "supervised": {},
    "sgd": {"optimizer": "sgd"},
    "simclr": {"framework": "simclr", "pretraining_steps": 2, "steps": 0},
    "barlow": {"framework": "barlow_twins", "pretraining_steps": 2},
    "masked": {"framework": "masked_autoencoder", "pretraining_steps": 2},
    "rotation": {"framework": "rotation", "pretraining_steps": 2},
    "supcon": {"framework": "supervised_contrastive", "pretraining_steps": 2, "steps": 0},
    "zero-shot": {
        "framework": "captions",
        "unlabelled": ["glyphs"],
        "labels_per_class": {},
        "pretraining_steps": 2,
        "steps": 0,
    },
    "captions-linear": {
        "framework": "captions",
        "unlabelled": ["glyphs"],
        "pretraining_steps": 2,
        "steps": 0,
    },
}


@pytest.fixture(scope="module")
def data():
    return {
        "handwritten": datasets.handwritten(0, 32, {"train": 300, "report": 200}),
        "glyphs": datasets.glyphs(0, 32, {"train": 60}),
    }


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(name, data, tmp_path):
    recipe = RECIPE | FRAMEWORKS[name]
    for file, seed in (("first", 0), ("again", 0), ("other", 1)):
        save_checkpoint(tmp_path / file, *train(recipe, seed, data))
    first, again, other = ((tmp_path / f).read_bytes() for f in ("first", "again", "other"))
    assert first == again
    assert first != other
    assert all(tensor.isfinite().all() for tensor in load_file(tmp_path / "first").values())


def test_what_else_was_trained_before_does_not_matter(data, tmp_path):
    save_checkpoint(tmp_path / "alone", *train(RECIPE, 5, data))
    train(RECIPE | FRAMEWORKS["simclr"], 3, data)
    save_checkpoint(tmp_path / "after", *train(RECIPE, 5, data))
    assert (tmp_path / "alone").read_bytes() == (tmp_path / "after").read_bytes()


def test_data_of_the_batchs_other_models_does_not_matter(data, tmp_path):
    letters = {"a-letters": datasets.letters(0, 64, {"train": 20})}
    save_checkpoint(tmp_path / "alone", *train(RECIPE, 5, data))
    save_checkpoint(tmp_path / "beside", *train(RECIPE, 5, letters | data))
    assert (tmp_path / "alone").read_bytes() == (tmp_path / "beside").read_bytes()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"labels_per_class": {"handwritten": 40}}, "asks for 40 examples .* has 30 of '0'"),
        ({"architecture": "vit_tiny_patch16_224"}, "cannot take images of 32 x 32 pixels"),
        ({"architecture": "resnet999"}, "timm cannot build 'resnet999'"),
        (
            {"architecture": "resnet14t", "options": {"chanels": [8, 16, 32, 128]}},
            "timm cannot build 'resnet14t' with the options {'chanels': .* argument 'chanels'",
        ),
        (
            {"architecture": "test_resnet", "options": {"output_stride": 3}},
            "timm cannot build 'test_resnet' with the options .* \\(AssertionError",
        ),
        (
            {"architecture": "resnet14t", "options": {"channels": [8, 16]}},
            "'resnet14t' with the options {'channels': .* cannot take images of 32 x 32 pixels",
        ),
    ],
)
def test_recipes_that_cannot_be_followed_are_refused(data, change, sentence):
    with pytest.raises(InputError, match=sentence):
        train(RECIPE | change, 0, data)


def test_training_learns(data):
    recipe = RECIPE | {"labels_per_class": {"handwritten": None}, "steps": 60, "batch_size": 32}
    handwritten = data["handwritten"]
    report = handwritten.where("report")
    model, card = train(recipe, 0, data)
    batches = predict(model, handwritten.images_NHW[report], card["preprocessing"])
    predicted_N = torch.cat([logits for _, logits in batches]).argmax(dim=1).numpy()
    assert (predicted_N == handwritten.labels[report]).mean() > 0.6


def test_a_student_learns_from_its_teacher_alone(data):
    recipe = RECIPE | {"framework": "distillation", "labels_per_class": {}}
    first, second = (train(RECIPE, seed, data) for seed in (0, 1))
    taught_by_first, _ = train(recipe, 2, data, first)
    taught_by_second, _ = train(recipe, 2, data, second)
    weights = [next(model.parameters()) for model in (taught_by_first, taught_by_second)]
    assert not torch.equal(*weights)


def test_labelled_examples_are_the_first_of_each_class_of_the_train_split(data):
    images, labels = labelled_examples(data, {"handwritten": 2, "glyphs": None})
    assert np.bincount(labels[:20]).tolist() == [2] * 10
    assert len(labels) == 20 + 60
    handwritten = data["handwritten"]
    zeros = [i for i in handwritten.where("train") if handwritten.labels[i] == 0]
    np.testing.assert_array_equal(images[:2], handwritten.images_NHW[zeros[:2]])
    assert labelled_examples(data, {}) is None


def test_linear_head_is_scikit_learns_logistic_regression(data):
    handwritten = data["handwritten"]
    train_split = handwritten.where("train")
    images, labels = handwritten.images_NHW[train_split], handwritten.labels[train_split]
    model, card = train(RECIPE, 0, data)
    outputs_ND = torch.cat([f for f, _ in predict(model, images, card["preprocessing"])]).numpy()
    scaled_ND = (outputs_ND - outputs_ND.mean(axis=0)) / outputs_ND.std(axis=0, ddof=1)
    penalty = 1e-2
    reference = LogisticRegression(C=1 / (2 * penalty * len(labels)), max_iter=5000, tol=1e-8)
    expected_NC = reference.fit(scaled_ND, labels).predict_proba(scaled_ND)
    fit_linear_head(model, images, labels, card["preprocessing"], penalty)
    logits = torch.cat([out for _, out in predict(model, images, card["preprocessing"])])
    np.testing.assert_allclose(logits.softmax(dim=1).numpy(), expected_NC, atol=0.02)


@pytest.mark.parametrize(
    "architecture",
    [
        "test_resnet",
        "test_convnext",
        "test_efficientnet",
        "test_byobnet",
        "test_mambaout",
        "test_nfnet",
        "test_vit",
        CONVOLUTION,
    ],
)
def test_features_and_head_make_timms_forward(architecture, data):
    card = {
        "architecture": architecture,
        "options": OPTIONS.get(architecture, {}),
        "classes": list(datasets.DIGITS),
        "preprocessing": {"size": 32, "mean": [0.5], "std": [0.5]},
        "zero_shot": {},
    }
    model = build(card).eval()
    inputs = prepare(data["handwritten"].images_NHW[:4], card["preprocessing"])
    with torch.inference_mode():
        torch.testing.assert_close(classify(model, features(model, inputs)), model(inputs))


def test_a_head_that_is_a_convolution_learns_and_is_fitted(data):
    recipe = RECIPE | {"architecture": CONVOLUTION, "options": OPTIONS[CONVOLUTION], "steps": 2}
    model, card = train(recipe, 0, data)
    images, labels = labelled_examples(data, {"handwritten": None})
    fit_linear_head(model, images, labels, card["preprocessing"])
    fitted = torch.cat([out for _, out in predict(model, images, card["preprocessing"])])
    outputs_ND = torch.cat([out for out, _ in predict(model, images, card["preprocessing"])])
    weight_CD, bias_C = linear_head(model)
    torch.testing.assert_close(outputs_ND @ weight_CD.T + bias_C, fitted, rtol=1e-3, atol=1e-4)
    assert (fitted.argmax(dim=1).numpy() == labels).mean() > 0.3


@pytest.mark.parametrize(
    ("architecture", "which", "sentence"),
    [
        ("deit_tiny_distilled_patch16_224", head, "networks of timm have 2 heads, and this needs"),
        ("crossvit_9_240", head, "networks of timm have 2 heads, and this needs"),
        ("caformer_s18", linear_head, "MetaFormer networks is a MlpHead, and this needs a linear"),
    ],
)
def test_heads_of_other_kinds_are_refused(architecture, which, sentence):
    with pytest.raises(InputError, match=sentence):
        which(timm.create_model(architecture))


def test_checkpoint_reads_back(data, tmp_path):
    model, card = train(RECIPE | FRAMEWORKS["zero-shot"], 0, data)
    save_checkpoint(tmp_path / "model.safetensors", model, card)
    loaded, loaded_card = load_checkpoint(tmp_path / "model.safetensors")
    assert loaded_card == card == read_card(tmp_path / "model.safetensors")
    images = data["handwritten"].images_NHW[:5]
    for model_output, loaded_output in zip(
        predict(model, images, card["preprocessing"]),
        predict(loaded, images, card["preprocessing"]),
        strict=True,
    ):
        torch.testing.assert_close(model_output, loaded_output)


def test_options_make_the_architecture_and_are_kept_with_it(data, tmp_path):
    options = {"channels": [8, 8, 8, 16], "stem_width": 4}
    recipe = RECIPE | {"architecture": "resnet14t", "options": options, "steps": 1}
    model, card = train(recipe, 0, data)
    # Blocks of this architecture widen to four times their channels.
    assert head(model).in_features == 4 * 16
    assert card["options"] == options
    save_checkpoint(tmp_path / "model.safetensors", model, card)
    loaded, loaded_card = load_checkpoint(tmp_path / "model.safetensors")
    assert loaded_card == card
    assert head(loaded).in_features == 4 * 16


def test_small_patches_remain_beside_other_options(data):
    recipe = RECIPE | {"architecture": "test_vit", "options": {"depth": 1}, "steps": 1}
    model, card = train(recipe, 0, data)
    assert card["options"] == {"img_size": 32, "patch_size": 8, "depth": 1}
    assert len(model.blocks) == 1


def test_weights_that_do_not_fit_are_refused(data, tmp_path):
    model, card = train(RECIPE, 0, data)
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, card | {"architecture": "test_convnext"})
    with pytest.raises(InputError, match=r"weights in .*model\.safetensors do not fit"):
        load_checkpoint(path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        load_checkpoint(path)


def test_images_are_resized_and_spread_over_channels(data):
    preprocessing = {"size": 64, "mean": [0.2, 0.4, 0.6], "std": [1.0, 0.5, 0.25]}
    images = np.full((2, 32, 32), 102, np.uint8)
    inputs = prepare(images, preprocessing)
    assert inputs.shape == (2, 3, 64, 64)
    torch.testing.assert_close(inputs[0, :, 5, 5], torch.tensor([0.2, 0.0, -0.8]))


def test_learning_rate_warms_up_then_falls_to_nothing():
    rates = [factor(step, 100, "cosine") for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == pytest.approx(1.0)
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))
    assert rates[-1] < 0.001
    assert [factor(step, 100, "constant") for step in (0, 10, 99)] == [pytest.approx(0.1), 1.0, 1.0]


def test_batches_show_every_example_once_a_round():
    batches = shuffled_batches(10, 4, torch.Generator().manual_seed(0))
    seen = torch.cat([next(batches) for _ in range(5)])
    assert sorted(seen[:10].tolist()) == sorted(seen[10:].tolist()) == list(range(10))
