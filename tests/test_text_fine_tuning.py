import itertools
import json
import logging
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dissent.commandline import InputError
from dissent.determinism import seed_of
from dissent.examples import Examples, write_examples
from dissent.files import sha256
from dissent.text_checkpoints import classifier, load_into, load_text
from dissent.text_families import read_family, write_family
from dissent.text_fine_tuning import (
    fine_tune_family,
    new_head,
    rate_factor,
)
from dissent.tokens import collate, tokenise
from dissent.training.optimise import checkpoint_steps
from small_text import WORDS, small_text_checkpoint

SCRIPT = Path(__file__).parents[1] / "workflow/scripts/finetuned/fine_tune_text.py"
SETTINGS = {
    "layers": 2,
    "frozen_layers": 1,
    "steps": 6,
    "batch_size": 4,
    "learning_rate": 0.01,
    "warm_up": 0.3,
    "weight_decay": 0.1,
    "clip": 0.5,
    "head_std": 0.02,
    "dropout": 0.0,
    "checkpoints": 2,
}
CLASSES = ("entailment", "non-entailment")


def member(head=0, order=0):
    return {"model": f"head-{head}-order-{order}", "head": head, "order": order}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def examples():
    """Ten training pairs of unlike length, and two that no one may learn from."""
    rng = np.random.default_rng(0)
    n = 12
    pairs = tuple(
        tuple(" ".join(rng.choice(WORDS, rng.integers(2, 8))) for _ in range(2)) for _ in range(n)
    )
    return Examples(
        name="pairs",
        ids=tuple(f"pair-{i}" for i in range(n)),
        images_NHW=None,
        labels=np.arange(n) % 2,
        splits_N=np.array(["tune", *["train"] * (n - 2), "report"]),
        classes=CLASSES,
        sentences=pairs,
    )


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return small_text_checkpoint(tmp_path_factory.mktemp("start") / "small.safetensors")


@pytest.fixture(scope="module")
def family(start, examples):
    members = [member(head, order) for head, order in itertools.product(range(2), repeat=2)]
    return fine_tune_family(start, examples, SETTINGS, members, "both")


def started(start, settings, head):
    """The full model as a member begins: the start's encoder under the head's seed."""
    weights, card = load_text(start)
    model = classifier(card, len(CLASSES), settings["layers"])
    load_into(model, {name: w for name, w in weights.items() if name.startswith("bert.")})
    generator = torch.Generator().manual_seed(seed_of("head", head))
    with torch.no_grad():
        model.classifier.weight.copy_(
            settings["head_std"] * torch.randn(2, 16, generator=generator)
        )
        model.classifier.bias.zero_()
    return model.eval(), card


def by_hand(start, examples, settings, head, order):
    """A plain loop with the full model; AdamW is algorithm 2 of arXiv 1711.05101."""
    model, card = started(start, settings, head)
    train = examples.where("train")
    tokens = tokenise(card, [examples.sentences[at] for at in train])
    labels_N = torch.from_numpy(examples.labels[train])
    frozen = ["embeddings", *[f".layer.{i}." for i in range(settings["frozen_layers"])]]
    learning = {
        name: weight
        for name, weight in model.named_parameters()
        if not settings["frozen_layers"] or not any(part in name for part in frozen)
    }
    first = {name: torch.zeros_like(weight) for name, weight in learning.items()}
    second = {name: torch.zeros_like(weight) for name, weight in learning.items()}
    generator, queue = torch.Generator().manual_seed(seed_of("order", order)), []
    n_rising = round(settings["warm_up"] * settings["steps"])
    for t in range(1, settings["steps"] + 1):
        while len(queue) < settings["batch_size"]:
            queue += torch.randperm(len(train), generator=generator).tolist()
        batch, queue = queue[: settings["batch_size"]], queue[settings["batch_size"] :]
        logits_BC = model(**collate([tokens[at] for at in batch])).logits
        loss = F.cross_entropy(logits_BC, labels_N[batch])
        grads = dict(zip(learning, torch.autograd.grad(loss, learning.values()), strict=True))
        norm = sum((grad**2).sum() for grad in grads.values()) ** 0.5
        share = t / n_rising if t <= n_rising else 1 - (t - 1 - n_rising) / (6 - n_rising)
        rate = settings["learning_rate"] * share
        with torch.no_grad():
            for name, weight in learning.items():
                grad = grads[name] * min(1.0, settings["clip"] / float(norm))
                first[name] = 0.9 * first[name] + 0.1 * grad
                second[name] = 0.999 * second[name] + 0.001 * grad**2
                unbiased = (second[name] / (1 - 0.999**t)).sqrt() + 1e-8
                spared = name.endswith("bias") or "LayerNorm" in name
                decay = 0.0 if spared else settings["weight_decay"]
                weight *= 1 - rate * decay
                weight -= rate * first[name] / (1 - 0.9**t) / unbiased
    return model


# The gradient of attention's key biases is 0 but for rounding, of which Adam makes whole steps.
def comparable(name):
    return not name.endswith("key.bias")


@pytest.mark.parametrize("frozen", [0, 1])
def test_steps_are_those_of_a_plain_loop_with_the_full_model(start, examples, frozen):
    settings = SETTINGS | {"frozen_layers": frozen}
    found = fine_tune_family(start, examples, settings, [member(1, 2)])
    state = found.states["head-1-order-2", 6]
    before = dict(started(start, settings, 1)[0].named_parameters())
    after = dict(by_hand(start, examples, settings, 1, 2).named_parameters())
    assert set(state) == {
        name for name in after if not frozen or not ("embeddings" in name or ".layer.0." in name)
    }
    for name in filter(comparable, state):
        torch.testing.assert_close(state[name], after[name], rtol=1e-3, atol=2e-5)
        # What has a gradient has moved by far more than that.
        if name.endswith("weight") and "embeddings" not in name:
            assert (state[name] - before[name]).abs().max() > 1e-3


def test_frozen_layers_are_not_in_the_family(family, start):
    weights, _ = load_text(start)
    for state in family.states.values():
        assert not any("embeddings" in name or ".layer.0." in name for name in state)
        assert not any(".layer.2." in name for name in state)
        assert {"classifier.weight", "bert.pooler.dense.weight"} <= set(state)
        moved = [not torch.equal(state[name], weights[name]) for name in state if name in weights]
        assert all(moved)


def test_head_comes_from_its_seed_alone(start, examples):
    def heads(settings, *members):
        # Without a learning rate, members end as they began.
        still = SETTINGS | {"learning_rate": 0.0, "steps": 2, "checkpoints": 1} | settings
        found = fine_tune_family(start, examples, still, members).states
        return [found[one["model"], 2]["classifier.weight"] for one in members]

    first, same, other = heads({}, member(0, 0), member(0, 1), member(1, 0))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    (elsewhere,) = heads({"batch_size": 2, "weight_decay": 0.0, "layers": 3}, member(0, 5))
    assert torch.equal(first, elsewhere)


def test_members_begin_with_the_same_weights_under_their_heads(start, examples):
    still = SETTINGS | {"learning_rate": 0.0}
    members = [member(0, 0), member(1, 0), member(0, 1)]
    weights, _ = load_text(start)
    for state in fine_tune_family(start, examples, still, members).states.values():
        encoder = [name for name in state if name.startswith("bert.")]
        assert encoder
        assert all(torch.equal(state[name], weights[name]) for name in encoder)
        assert not state["classifier.bias"].any()


def test_heads_are_normal_with_the_standard_deviation():
    model = torch.nn.Module()
    model.body, model.classifier = torch.nn.Linear(3, 3), torch.nn.Linear(400, 100)
    before = model.body.weight.clone()
    new_head(model, "body.", 3, 0.02)
    head = model.classifier.weight.detach()
    # Four standard errors of 40,000 draws.
    assert abs(float(head.mean())) < 4 * 0.02 / 200
    assert float(head.std()) == pytest.approx(0.02, rel=4 / np.sqrt(2 * head.numel()))
    assert not model.classifier.bias.any()
    assert torch.equal(model.body.weight, before)


def test_batches_come_from_the_order_seed_alone(family, start, examples):
    seen = {}
    for head, order in itertools.product(range(2), repeat=2):
        state = family.states[f"head-{head}-order-{order}", 6]
        expected = by_hand(start, examples, SETTINGS, head, order).classifier.weight
        seen[head, order] = state["classifier.weight"]
        torch.testing.assert_close(state["classifier.weight"], expected, rtol=1e-3, atol=2e-5)
    for one, other in itertools.combinations(seen, 2):
        assert (seen[one] - seen[other]).abs().max() > 1e-3


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_members_do_not_depend_on_their_company(start, examples, dropout):
    settings = SETTINGS | {"dropout": dropout}
    members = [member(0, 0), member(1, 0), member(0, 1)]
    together = fine_tune_family(start, examples, settings, members)
    for one in reversed(members):
        torch.manual_seed(17)
        alone = fine_tune_family(start, examples, settings, [one])
        for step in alone.steps:
            state = together.states[one["model"], step]
            for name, weight in alone.states[one["model"], step].items():
                assert torch.equal(weight, state[name])


def test_dropout_is_off_unless_asked_for(family, start, examples):
    dropped = fine_tune_family(start, examples, SETTINGS | {"dropout": 0.2}, [member()])
    name = "classifier.weight"
    difference = (
        dropped.states["head-0-order-0", 6][name] - family.states["head-0-order-0", 6][name]
    )
    assert difference.abs().max() > 1e-3


def test_weights_are_kept_after_evenly_spaced_steps(family):
    assert family.steps == (3, 6) == tuple(checkpoint_steps(6, 2))
    assert set(family.states) == {
        (f"head-{head}-order-{order}", step)
        for head, order, step in itertools.product(range(2), range(2), (3, 6))
    }
    early, late = (family.states["head-0-order-0", step] for step in (3, 6))
    assert all(not torch.equal(early[name], late[name]) for name in early)


@pytest.mark.parametrize("frozen", [0, 2])
def test_on_a_gpu_it_is_the_same(start, examples, frozen, request):
    settings = SETTINGS | {"frozen_layers": frozen}
    here = fine_tune_family(start, examples, settings, [member(1, 2)]).states
    request.getfixturevalue("pretended_gpu")
    there = fine_tune_family(start, examples, settings, [member(1, 2)]).states
    assert here.keys() == there.keys()
    for key, state in here.items():
        for name, weight in state.items():
            assert there[key][name].device.type == "cpu"
            # A key's bias changes no attention: Adam makes steps of its gradient's rounding.
            if not name.endswith("key.bias"):
                torch.testing.assert_close(there[key][name], weight, rtol=1e-3, atol=1e-4)


def test_file_gives_back_what_was_written_with_the_same_bytes(family, start, examples, tmp_path):
    again = fine_tune_family(start, examples, SETTINGS, family.members, "both")
    write_family(tmp_path / "one.safetensors", family)
    write_family(tmp_path / "two.safetensors", again)
    assert (tmp_path / "one.safetensors").read_bytes() == (
        tmp_path / "two.safetensors"
    ).read_bytes()
    found = read_family(tmp_path / "one.safetensors")
    assert replace(found, states={}) == replace(family, states={})
    assert found.start_sha256 == sha256(start)
    assert (found.ids_sha256, found.content_sha256) == (
        examples.ids_sha256,
        examples.content_sha256,
    )
    assert found.states.keys() == family.states.keys()
    for key, state in family.states.items():
        assert found.states[key].keys() == state.keys()
        for name, weight in state.items():
            assert found.states[key][name].dtype == torch.float32
            assert torch.equal(found.states[key][name], weight)


def test_a_file_of_another_kind_is_refused(tmp_path, examples):
    write_examples(tmp_path / "data.safetensors", examples)
    with pytest.raises(InputError, match="holds no text-family"):
        read_family(tmp_path / "data.safetensors")


def test_a_start_with_a_head_of_its_own_gets_a_new_one(tmp_path, start, examples):
    headed = small_text_checkpoint(tmp_path / "headed.safetensors", n_classes=3)
    weights, _ = load_text(headed)
    assert "classifier.weight" in weights
    found = fine_tune_family(headed, examples, SETTINGS, [member()])
    assert found.states["head-0-order-0", 6]["classifier.weight"].shape == (2, 16)


def test_a_member_that_diverges_is_kept_with_a_warning(start, examples, caplog):
    wild = SETTINGS | {"learning_rate": 1e38, "clip": 1e38}
    with caplog.at_level(logging.WARNING):
        found = fine_tune_family(start, examples, wild, [member()])
    assert "head-0-order-0 diverged" in caplog.text
    weights = found.states["head-0-order-0", 6].values()
    assert not all(weight.isfinite().all() for weight in weights)


@pytest.mark.parametrize(("steps", "warm_up"), [(10, 0.2), (10, 0.0), (7, 1.0), (1, 0.1)])
def test_learning_rate_rises_then_falls_to_zero(steps, warm_up):
    rising = round(warm_up * steps)
    corners = [-1, rising - 1, steps] if 0 < rising < steps else None
    shares = [rate_factor(step, steps, warm_up) for step in range(steps)]
    assert max(shares) == 1.0
    assert min(shares) > 0
    if corners:
        # At its peak for the last step of the rise and the first of the fall.
        expected = [np.interp(step, corners, [0, 1, 0]) for step in range(rising)]
        expected += [np.interp(step, [rising, steps], [1, 0]) for step in range(rising, steps)]
        assert shares == pytest.approx(expected)


def test_script_writes_what_the_function_gives(family, start, examples, tmp_path, monkeypatch):
    write_examples(tmp_path / "data.safetensors", examples)
    words = ["--data", tmp_path / "data.safetensors", "--checkpoint", start, "--family", "both"]
    words += ["--members", json.dumps(family.members), "--settings", json.dumps(SETTINGS)]
    words += ["--output", tmp_path / "scripted.safetensors"]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, words)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    torch.use_deterministic_algorithms(False)
    write_family(tmp_path / "called.safetensors", family)
    assert sha256(tmp_path / "scripted.safetensors") == sha256(tmp_path / "called.safetensors")


def test_data_without_sentences_or_with_several_labels(start, examples):
    with pytest.raises(InputError, match="data set 'pairs' has no sentences"):
        fine_tune_family(start, replace(examples, sentences=()), SETTINGS, [member()])
    many = replace(examples, labels=np.eye(2, dtype=np.uint8)[examples.labels])
    with pytest.raises(InputError, match="data set 'pairs' has several labels"):
        fine_tune_family(start, many, SETTINGS, [member()])


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"layers": 4}, "`layers`"), ({"frozen_layers": 3}, "`frozen_layers` is 3, but the model")],
)
def test_layers_that_the_encoder_does_not_have(start, examples, settings, message):
    with pytest.raises(InputError, match=message):
        fine_tune_family(start, examples, SETTINGS | settings, [member()])
