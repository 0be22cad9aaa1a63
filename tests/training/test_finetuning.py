import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dissent import datasets, finetuning
from dissent.classifiers import (
    Card,
    Preprocessing,
    build,
    load_checkpoint,
    prepare,
    save_checkpoint,
)
from dissent.commandline import InputError
from dissent.finetuned import FineTuning
from dissent.finetuning import (
    Member,
    fine_tune,
    load_ensemble,
    log_probabilities,
    predict_ensemble,
    rate_factor,
    save_ensemble,
    uniform_if_diverged,
)
from dissent.training.optimise import shuffled_batches
from dissent.training.recipes import small_patches

CLASSES = ("even", "odd")
RECIPE = {
    "batch_size": 8,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "warm_up": 0.1,
    "decays": [1 / 3, 2 / 3, 0.9],
}
RUN = FineTuning(learning_rate=0.01, steps=3, head=0, seed=0)
ARCHITECTURES = (
    "test_resnet",
    "test_convnext",
    "test_convnext2",
    "test_efficientnet",
    "test_efficientnet_gn",
    "test_byobnet",
    "test_mambaout",
    "test_nfnet",
    "test_vit",
)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


SEED = 7


@pytest.fixture
def one_start(monkeypatch):
    """All fine-tunings begin with the same random numbers."""
    monkeypatch.setattr(finetuning, "seed_of", lambda run, start: SEED)


@pytest.fixture(scope="module")
def task():
    """Images [N, H, W] of digits and whether they are odd."""
    digits = datasets.glyphs(0, 32, {"train": 24})
    return digits.images_NHW, digits.labels % 2


@pytest.fixture
def checkpoint(tmp_path):
    return pretrained(tmp_path / "model.safetensors", "test_efficientnet_gn")


def pretrained(path, architecture, zero_shot=False):
    """A checkpoint of random weights for grey images of 32 x 32 pixels and ten classes."""
    torch.manual_seed(5)
    card = Card(
        architecture=architecture,
        options=small_patches(32) if architecture == "test_vit" else {},
        classes=list(datasets.DIGITS),
        preprocessing=Preprocessing(size=32, mean=[0.5], std=[0.5]),
        zero_shot={"embedding": 16, "scale": 10.0} if zero_shot else {},
    )
    save_checkpoint(path, build(card), card)
    return path


def weights_after(checkpoint, run, task, recipe=RECIPE):
    model, _ = next(fine_tune(checkpoint, [run], *task, CLASSES, recipe))
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit"])
def test_on_a_gpu_it_is_the_same(tmp_path, task, architecture, request):
    start = pretrained(tmp_path / "model.safetensors", architecture)

    def said():
        model, card = next(fine_tune(start, [RUN], *task, CLASSES, RECIPE))
        return log_probabilities(model, task[0], card["preprocessing"])

    here = said()
    request.getfixturevalue("pretended_gpu")
    np.testing.assert_allclose(said(), here, rtol=1e-3, atol=1e-4)


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


@pytest.mark.parametrize(
    ("step", "factor"),
    # Warm-up over 3 of 30 steps; a tenth from steps 10, 20 and 27 on each.
    [(0, 1 / 3), (1, 2 / 3), (2, 1), (9, 1), (10, 0.1), (19, 0.1), (20, 0.01), (27, 1e-3)],
)
def test_the_learning_rate_follows_the_protocol(step, factor):
    assert rate_factor(step, 30, RECIPE) == pytest.approx(factor)


def test_without_warm_up_and_decays_the_rate_stays_at_its_peak():
    recipe = {**RECIPE, "warm_up": 0.0, "decays": []}
    assert {rate_factor(step, 30, recipe) for step in range(30)} == {1}


def test_fine_tuning_is_sgd_with_momentum_on_cross_entropy(checkpoint, task, one_start):
    images, labels_N = task
    recipe = {**RECIPE, "weight_decay": 0.1}
    runs = [FineTuning(0.01, steps, head=0, seed=0) for steps in (0, 4)]
    start, after = (weights_after(checkpoint, run, task, recipe) for run in runs)
    model, card = next(fine_tune(checkpoint, runs[:1], *task, CLASSES, recipe))
    model.load_state_dict(start)
    batches = shuffled_batches(24, 8, torch.Generator().manual_seed(SEED))
    velocity = [torch.zeros_like(p) for p in model.parameters()]
    for step in range(4):
        batch = next(batches)
        inputs = prepare(images[batch.numpy()], card["preprocessing"])
        loss = F.cross_entropy(model(inputs), torch.from_numpy(labels_N[batch.numpy()]))
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        norm = torch.cat([g.flatten() for g in gradients]).norm()
        rate = 0.01 * rate_factor(step, 4, recipe)
        with torch.no_grad():
            for v, p, g in zip(velocity, model.parameters(), gradients, strict=True):
                v.mul_(0.9).add_(g / max(1, norm) + 0.1 * p)
                p.sub_(rate * v)
    assert norm > 1
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, after[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_gets_a_new_head_and_learns(tmp_path, task, architecture):
    path = pretrained(tmp_path / "model.safetensors", architecture)
    stem, before = next(load_checkpoint(path)[0].named_parameters())
    model, card = next(fine_tune(path, [RUN], *task, CLASSES, RECIPE))
    assert card["classes"] == list(CLASSES)
    said = log_probabilities(model, task[0], card["preprocessing"])
    assert said.shape == (24, 2) and said.dtype == np.float32
    np.testing.assert_allclose(np.exp(said).sum(axis=1), 1, rtol=1e-5)
    after = model.state_dict()
    assert not torch.equal(after[stem], before)
    # The card rebuilds what the weights belong to.
    rebuilt = build(card)
    rebuilt.load_state_dict(after)
    rebuilt.to(memory_format=torch.channels_last)
    again = log_probabilities(rebuilt, task[0], card["preprocessing"])
    np.testing.assert_array_equal(again, said)


def test_models_and_tasks_see_other_batches_and_settings_the_same(checkpoint, tmp_path, task):
    starts = []

    def seeds(path, classes, runs):
        with pytest.MonkeyPatch.context() as patch:
            found = []
            seed_of = finetuning.seed_of
            patch.setattr(
                finetuning, "seed_of", lambda *its: found.append(seed_of(*its)) or found[-1]
            )
            list(fine_tune(path, runs, *task, classes, RECIPE))
        starts.extend(found)
        return found

    settings = [FineTuning(rate, 0, head=0, seed=0) for rate in (0.1, 0.2)]
    assert len(set(seeds(checkpoint, CLASSES, settings))) == 1
    seeds(pretrained(tmp_path / "other.safetensors", "test_resnet"), CLASSES, settings[:1])
    seeds(checkpoint, ("no", "yes"), settings[:1])
    seeds(checkpoint, CLASSES, [FineTuning(0.1, 0, head=1, seed=0)])
    seeds(checkpoint, CLASSES, [FineTuning(0.1, 0, head=0, seed=1)])
    assert len(set(starts)) == 5


def test_a_zero_shot_head_makes_room_for_a_linear_one(tmp_path, task, one_start):
    zero_shot = pretrained(tmp_path / "a.safetensors", "test_resnet", zero_shot=True)
    plain = pretrained(tmp_path / "b.safetensors", "test_resnet")
    model, card = next(fine_tune(zero_shot, [RUN], *task, CLASSES, RECIPE))
    assert card["zero_shot"] == {}
    expected = next(fine_tune(plain, [RUN], *task, CLASSES, RECIPE))[0].state_dict()
    found = model.state_dict()
    assert {n: t.shape for n, t in found.items()} == {n: t.shape for n, t in expected.items()}


def test_colour_and_any_size_are_prepared_as_the_model_wants(checkpoint, task):
    images, labels_N = task
    large = images.repeat(2, axis=1).repeat(2, axis=2)
    colour = np.repeat(large[..., None], 3, axis=3)
    said = []
    for stored in (large, colour):
        model, card = next(fine_tune(checkpoint, [RUN], stored, labels_N, CLASSES, RECIPE))
        said.append(log_probabilities(model, stored, card["preprocessing"]))
    # Grey in three equal channels is as bright.
    np.testing.assert_allclose(said[1], said[0], rtol=1e-3, atol=1e-4)


def test_batch_normalisation_has_the_statistics_of_the_trained_weights(tmp_path, task, one_start):
    images, _ = task
    checkpoint = pretrained(tmp_path / "model.safetensors", "test_resnet")
    model, card = next(fine_tune(checkpoint, [RUN], *task, CLASSES, RECIPE))
    generator = torch.Generator().manual_seed(SEED)
    batches = list(itertools.islice(shuffled_batches(24, 8, generator), 3 + 256 // 8))[3:]
    convolution, norm = model.conv1[:2]
    inputs = prepare(images[torch.cat(batches).numpy()], card["preprocessing"])
    values_KC = convolution(inputs).movedim(1, -1).flatten(0, -2)
    torch.testing.assert_close(norm.running_mean, values_KC.mean(dim=0), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(norm.running_var, values_KC.var(dim=0), rtol=1e-1, atol=1e-4)


def test_a_run_is_the_same_alone_and_after_others(checkpoint, task):
    others = [FineTuning(0.1, 2, head=0, seed=1), FineTuning(math.inf, 2, head=0, seed=0)]
    for model, _ in fine_tune(checkpoint, [*others, RUN], *task, CLASSES, RECIPE):
        last = model.state_dict()
    assert_equal(last, weights_after(checkpoint, RUN, task))


def test_settings_of_a_seed_and_head_begin_alike(checkpoint, task):
    start = {
        (rate, head, seed): weights_after(checkpoint, FineTuning(rate, 0, head, seed), task)
        for rate, head, seed in [(0.1, 0, 0), (0.01, 0, 0), (0.1, 1, 0), (0.1, 0, 1)]
    }
    assert_equal(start[0.1, 0, 0], start[0.01, 0, 0])
    heads = [weights["classifier.weight"] for weights in start.values()]
    for other in heads[2:]:
        assert not torch.equal(heads[0], other)
    assert not torch.equal(heads[2], heads[3])


def test_backbones_begin_as_they_were_pretrained(checkpoint, task):
    before = load_checkpoint(checkpoint)[0].state_dict()
    after = weights_after(checkpoint, FineTuning(0.1, 0, head=0, seed=0), task)
    backbone = [name for name in before if not name.startswith("classifier.")]
    assert_equal({n: before[n] for n in backbone}, {n: after[n] for n in backbone})


def test_what_diverged_is_a_guess(checkpoint, task):
    model, card = next(fine_tune(checkpoint, [FineTuning(1e30, 3, 0, 0)], *task, CLASSES, RECIPE))
    said = log_probabilities(model, task[0], card["preprocessing"])
    assert not np.isfinite(said).all()
    np.testing.assert_allclose(np.exp(uniform_if_diverged(said)), 0.5)
    finite = np.log(np.array([[0.2, 0.8]], np.float32))
    assert uniform_if_diverged(finite) is finite


def test_an_ensemble_file_predicts_the_weighted_mean_of_its_members(tmp_path, task):
    members, said = [], []
    for architecture, weight in (("test_resnet", 0.25), ("test_vit", 0.75)):
        path = pretrained(tmp_path / f"{architecture}.safetensors", architecture)
        model, card = next(fine_tune(path, [RUN], *task, CLASSES, RECIPE))
        members.append(Member(architecture, RUN, weight, card, contiguous(model)))
        said.append(log_probabilities(model, task[0], card["preprocessing"]))
    save_ensemble(tmp_path / "ensemble.safetensors", members)
    found = predict_ensemble(load_ensemble(tmp_path / "ensemble.safetensors"), task[0])
    expected = np.average(np.exp(np.array(said, float)), axis=0, weights=[0.25, 0.75])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def contiguous(model):
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}


def test_what_is_no_ensemble_file_is_refused(tmp_path, checkpoint):
    for path in (checkpoint, tmp_path / "missing.safetensors"):
        with pytest.raises(InputError, match=r"cannot be read as an ensemble .*: give an"):
            load_ensemble(path)
