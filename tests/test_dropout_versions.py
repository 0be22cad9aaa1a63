"""What is made of several runs, against runs whose checkpoints are all kept."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.metrics import accuracy_score

from dissent import dropout_versions
from dissent.classifiers import save_checkpoint
from dissent.determinism import seed_of
from dissent.domains import leave_out
from dissent.dropout_runs import Run
from dissent.dropout_training import (
    from_scratch,
    logits_of,
    optimise,
    start_of,
    training_batches,
)
from dissent.dropout_versions import Task, fine_tune_family, outcome_of, take_statistics
from dissent.files import sha256
from small_domains import CARD, CLASSES, small_checkpoint, small_examples

RUNS = [
    {"rate": rate, "learning_rate": learning_rate, "weight_decay": 1e-4, "seed": seed}
    | {"head_factor": 1.0}
    for rate, learning_rate, seed in itertools.product((0, 0.5), (0.3, 0.03), (0, 1))
]
SETTINGS = {
    "runs": RUNS,
    "steps": 8,
    "batch_size": 4,
    "images": None,
    "checkpoints": 4,
    "momentum": 0.9,
    "masks": 1,
    "decays": [0.5],
    "augmentation": "light",
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def examples():
    return small_examples()


@pytest.fixture(scope="module")
def held(examples):
    return leave_out(examples, "sketch")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return small_checkpoint(tmp_path_factory.mktemp("start") / "model.safetensors")


@pytest.fixture(scope="module")
def family(checkpoint, examples, held):
    return fine_tune_family("fine-tuning", checkpoint, examples, held, SETTINGS)


def kept(checkpoint, examples, held, run):
    """Step, weights, and logits of tune and of report and unseen, at every checkpoint of a run."""
    model, card = start_of(checkpoint, "sketch", CLASSES)
    order, masks = (
        torch.Generator().manual_seed(seed_of(what, "sketch", run.seed))
        for what in ("order", "masks")
    )
    batches = training_batches(examples, held, card["preprocessing"], SETTINGS, order)
    for step in optimise(model, run, SETTINGS, batches, masks):
        state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        yield step, state, said(model, examples, tune_of(held)), said(model, examples, rest(held))


def said(model, examples, positions):
    return logits_of(model, examples.images_NHW, positions, CARD["preprocessing"])


def said_by(checkpoint, states, examples, held):
    """Logits of the network whose weights are the mean of these."""
    model, _ = start_of(checkpoint, "sketch", CLASSES)
    model.load_state_dict(
        {name: torch.stack([s[name].double() for s in states]).mean(0) for name in states[0]}
    )
    return said(model, examples, rest(held))


def tune_of(held):
    return np.concatenate([held.tune["paper"], held.tune["photo"]])


def rest(held):
    return np.concatenate([held.report["paper"], held.report["photo"], held.unseen])


def assert_says(family, entry, logits_NC, examples):
    i = family.entries.index(entry)
    labels_N = examples.labels[family.positions_N]
    log_NC = log_softmax(logits_NC.astype(float), axis=1)
    np.testing.assert_array_equal(family.predicted_EN[i], log_NC.argmax(axis=1))
    true_N = log_NC[np.arange(len(labels_N)), labels_N]
    np.testing.assert_allclose(family.true_log_probability_EN[i], true_N, rtol=1e-3, atol=1e-4)
    most_N = np.exp(log_NC.max(axis=1))
    np.testing.assert_allclose(family.confidence_EN[i], most_N, rtol=1e-3, atol=1e-4)


def entry_of(family, version, run=None, rate=None):
    (found,) = [
        entry
        for entry in family.entries
        if entry.version == version
        and entry.run == run
        and entry.rate == (rate if run is None else run.rate)
    ]
    return found


def test_versions_are_those_of_checkpoints_that_are_all_kept(family, checkpoint, examples, held):
    selected = {0: [], 0.5: []}
    n_tune = len(held.tune["paper"])
    labels_N = examples.labels[tune_of(held)]
    for curve in family.curves:
        run = curve.run
        steps, states, tune, logits = zip(*kept(checkpoint, examples, held, run), strict=True)
        right = [
            np.mean(
                [
                    accuracy_score(labels_N[part], tune_NC[part].argmax(axis=1))
                    for part in (slice(n_tune), slice(n_tune, None))
                ]
            )
            for tune_NC in tune
        ]
        assert curve.steps == steps == (2, 4, 6, 8)
        np.testing.assert_allclose(curve.tune, right)
        best = right.index(max(right))
        chosen = entry_of(family, "selected", run)
        assert chosen.step == steps[best]
        assert_says(family, chosen, logits[best], examples)
        assert_says(family, entry_of(family, "last", run), logits[-1], examples)
        assert_says(family, entry_of(family, "ensemble", run), np.mean(logits, axis=0), examples)
        average_NC = said_by(checkpoint, states, examples, held)
        assert_says(family, entry_of(family, "average", run), average_NC, examples)
        selected[run.rate].append((states[best], logits[best]))
    for rate, of_all in selected.items():
        states, logits = zip(*of_all, strict=True)
        soup_NC = said_by(checkpoint, states, examples, held)
        assert_says(family, entry_of(family, "all-average", rate=rate), soup_NC, examples)
        together = entry_of(family, "all-ensemble", rate=rate)
        assert_says(family, together, np.mean(logits, axis=0), examples)


def test_the_runs_are_a_fair_trial(family):
    """Some are not selected at their end, and versions and runs differ."""
    steps = [entry.step for entry in family.entries if entry.version == "selected"]
    assert len(set(steps)) > 1
    assert {entry.step for entry in family.entries if entry.version != "selected"} == {None}
    said_EN = np.round(family.true_log_probability_EN, 5)
    assert len(np.unique(said_EN, axis=0)) > 3 * len(RUNS)


def test_a_family_says_what_it_is_of(family, checkpoint, held):
    assert (family.family, family.held_out) == ("fine-tuning", "sketch")
    assert family.weights_sha256 == sha256(checkpoint)
    assert [curve.run for curve in family.curves] == [Run(**run) for run in RUNS]
    versions = ["selected", "last", "average", "ensemble"] * len(RUNS)
    assert [entry.version for entry in family.entries] == (
        versions + ["all-average", "all-ensemble"] * 2
    )
    np.testing.assert_array_equal(family.positions_N, rest(held))


def test_curves_hold_the_accuracies_of_the_checkpoints(family, examples, held):
    labels_N = examples.labels[family.positions_N]
    n, n_seen = len(held.report["paper"]), len(held.unseen)
    for curve in family.curves:
        predicted_N = family.predicted_EN[family.entries.index(entry_of(family, "last", curve.run))]
        of_domains = [
            accuracy_score(labels_N[start : start + n], predicted_N[start : start + n])
            for start in (0, n)
        ]
        assert curve.iid[-1] == pytest.approx(np.mean(of_domains))
        unseen = accuracy_score(labels_N[-n_seen:], predicted_N[-n_seen:])
        assert curve.ood[-1] == pytest.approx(unseen)


def test_a_run_does_not_depend_on_the_others(family, checkpoint, examples, held):
    alone = fine_tune_family(
        "fine-tuning", checkpoint, examples, held, SETTINGS | {"runs": RUNS[5:6]}
    )
    assert alone.curves == family.curves[5:6]
    assert [entry.version for entry in alone.entries] == ["selected", "last", "average", "ensemble"]
    for i, entry in enumerate(alone.entries):
        j = family.entries.index(entry)
        np.testing.assert_array_equal(
            alone.true_log_probability_EN[i], family.true_log_probability_EN[j]
        )


def assert_same(made, family):
    assert made.entries == family.entries
    assert made.curves == family.curves
    for name in ("predicted_EN", "true_log_probability_EN", "confidence_EN"):
        np.testing.assert_array_equal(getattr(made, name), getattr(family, name))


def test_a_family_goes_on_after_the_runs_that_are_kept(
    family, checkpoint, examples, held, tmp_path, monkeypatch
):
    given = ("fine-tuning", checkpoint, examples, held, SETTINGS, tmp_path)
    made = []

    def until_killed(model, run, *rest, **options):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(run)
        return outcome_of(model, run, *rest, **options)

    monkeypatch.setattr(dropout_versions, "outcome_of", until_killed)
    with pytest.raises(KeyboardInterrupt):
        fine_tune_family(*given)
    whole = sorted(tmp_path.iterdir())[1]
    whole.write_bytes(whole.read_bytes()[:-9])
    made.clear()
    with pytest.raises(KeyboardInterrupt):
        fine_tune_family(*given)
    assert made == [Run(**RUNS[at]) for at in (1, 3, 4)]
    for left in ([5, 6, 7], []):
        made.clear()
        assert_same(fine_tune_family(*given), family)
        assert made == [Run(**RUNS[at]) for at in left]


@pytest.mark.parametrize("name", ["fine-tuning", "scratch"])
def test_on_a_gpu_it_is_the_same(family, checkpoint, examples, held, tmp_path, name, pretended_gpu):
    given = (name, checkpoint, examples, held, SETTINGS, tmp_path)
    there = fine_tune_family(*given)
    if name == "fine-tuning":
        assert there.entries == family.entries
        np.testing.assert_allclose(
            there.true_log_probability_EN, family.true_log_probability_EN, rtol=1e-3, atol=1e-4
        )
    # One run is made again, and meets those that come from the disk.
    sorted(tmp_path.iterdir())[1].unlink()
    assert_same(fine_tune_family(*given), there)


@pytest.fixture
def seen(monkeypatch):
    """The inputs and labels of every batch, by run."""
    batches = []

    def recorded(*given, **options):
        batches.append([])
        for batch in training_batches(*given, **options):
            batches[-1].append(batch)
            yield batch

    monkeypatch.setattr(dropout_versions, "training_batches", recorded)
    return batches


def test_rates_and_configurations_learn_from_the_same_batches(seen, checkpoint, examples, held):
    fine_tune_family("fine-tuning", checkpoint, examples, held, SETTINGS)
    assert [len(batches) for batches in seen] == [8] * len(RUNS)
    for seed in (0, 1):
        first, *others = [b for b, run in zip(seen, RUNS, strict=True) if run["seed"] == seed]
        for other in others:
            for one, same in zip(first, other, strict=True):
                assert torch.equal(one[0], same[0])
                assert torch.equal(one[1], same[1])
    assert not torch.equal(seen[0][0][0], seen[1][0][0])


def spoil(images, labels_N, groups_N):
    where_N = groups_N == "sketch"
    images[where_N] = np.random.default_rng(9).integers(0, 256, images[where_N].shape)
    labels_N[where_N] = (labels_N[where_N] + 1) % len(CLASSES)


def test_nothing_is_learned_or_chosen_from_the_domain_held_out(family, checkpoint, held):
    spoiled = fine_tune_family("fine-tuning", checkpoint, small_examples(spoil), held, SETTINGS)
    n_seen = -len(held.unseen)
    for one, other in zip(family.curves, spoiled.curves, strict=True):
        assert (one.tune, one.iid) == (other.tune, other.iid)
    assert family.entries == spoiled.entries
    np.testing.assert_allclose(
        family.true_log_probability_EN[:, :n_seen],
        spoiled.true_log_probability_EN[:, :n_seen],
        rtol=1e-5,
    )
    assert [curve.ood for curve in family.curves] != [curve.ood for curve in spoiled.curves]


def test_the_report_split_chooses_nothing(family, checkpoint, examples, held):
    labels_N = examples.labels.copy()
    report = examples.splits_N == "report"
    labels_N[report] = (labels_N[report] + 1) % len(CLASSES)
    other = dataclasses.replace(examples, labels=labels_N)
    again = fine_tune_family("fine-tuning", checkpoint, other, held, SETTINGS)
    assert again.entries == family.entries
    np.testing.assert_array_equal(again.predicted_EN, family.predicted_EN)
    assert [curve.iid for curve in again.curves] != [curve.iid for curve in family.curves]


def test_only_runs_of_one_rate_and_head_factor_are_put_together(checkpoint, examples, held):
    runs = [RUNS[0], RUNS[0] | {"head_factor": 10.0}, RUNS[4], RUNS[1] | {"head_factor": 10.0}]
    settings = SETTINGS | {"runs": runs, "steps": 2, "checkpoints": 1}
    made = fine_tune_family("poorer-model", checkpoint, examples, held, settings)
    of_all = [entry for entry in made.entries if entry.run is None]
    assert [(e.version, e.rate, e.head_factor) for e in of_all] == [
        ("all-average", 0, 10),
        ("all-ensemble", 0, 10),
    ]


def test_from_scratch_the_architecture_alone_is_taken(checkpoint, examples, held, tmp_path):
    other, card = start_of(checkpoint, "photo", ("a", "b"))
    torch.nn.init.zeros_(other.conv1[0].weight)
    save_checkpoint(tmp_path / "zero.safetensors", other, card)
    one, same = (
        fine_tune_family("scratch", path, examples, held, SETTINGS | {"runs": RUNS[:2]})
        for path in (checkpoint, tmp_path / "zero.safetensors")
    )
    assert one.weights_sha256 == ""
    np.testing.assert_array_equal(one.true_log_probability_EN, same.true_log_probability_EN)
    assert [entry.version for entry in one.entries if entry.run is None] == ["all-ensemble"]
    assert one.curves[0].tune != one.curves[1].tune or one.curves[0].ood != one.curves[1].ood


def test_statistics_of_averaged_weights_are_those_of_a_few_batches(checkpoint, examples, held):
    card = start_of(checkpoint, "sketch", CLASSES)[1]
    model = from_scratch(card, "sketch", 0)
    task = Task(examples, held, card["preprocessing"], SETTINGS)
    inputs = [torch.randn(8, 1, 16, 16) for _ in range(20)]
    take_statistics(model, ((each, None) for each in inputs), task)
    # Of 4 images of 2 domains, 16 batches are 128 images.
    outputs = [model.conv1[0](each) for each in inputs[:16]]
    mean = torch.stack([each.mean(dim=(0, 2, 3)) for each in outputs]).mean(dim=0)
    torch.testing.assert_close(model.conv1[1].running_mean, mean, rtol=1e-4, atol=1e-6)
    variance = torch.stack([each.var(dim=(0, 2, 3)) for each in outputs]).mean(dim=0)
    torch.testing.assert_close(model.conv1[1].running_var, variance, rtol=1e-4, atol=1e-6)


def test_the_average_from_scratch_takes_statistics_anew(checkpoint, examples, held, monkeypatch):
    made = []
    for take in (take_statistics, lambda *_: None):
        monkeypatch.setattr(dropout_versions, "take_statistics", take)
        made.append(
            fine_tune_family("scratch", checkpoint, examples, held, SETTINGS | {"runs": RUNS[:1]})
        )
    differ_E = (made[0].true_log_probability_EN != made[1].true_log_probability_EN).any(axis=1)
    versions = np.array([entry.version for entry in made[0].entries])
    assert set(versions[differ_E]) == {"average"}


def test_what_diverges_guesses_and_is_told(checkpoint, examples, held, caplog):
    runs = [RUNS[0] | {"learning_rate": 1e30}, RUNS[1]]
    settings = SETTINGS | {"runs": runs}
    made = fine_tune_family("fine-tuning", checkpoint, examples, held, settings)
    guessed_E = (np.abs(made.confidence_EN - 1 / len(CLASSES)) < 1e-6).all(axis=1)
    told = [(entry.version, entry.run) for entry in made.entries]
    # What both make is the other one alone.
    assert [what for what, guessed in zip(told, guessed_E, strict=True) if guessed] == [
        (version, Run(**runs[0])) for version in ("selected", "last", "average", "ensemble")
    ]
    of = {what: place for place, what in enumerate(told)}
    other = made.true_log_probability_EN[of["selected", Run(**runs[1])]]
    for version in ("all-average", "all-ensemble"):
        np.testing.assert_array_equal(made.true_log_probability_EN[of[version, None]], other)
    np.testing.assert_array_equal(made.predicted_EN[0], 0)
    (warning,) = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert warning.startswith("without sketch, a run diverged by step 2")
    assert "and no average has it" in warning


def test_a_checkpoint_that_diverged_is_not_selected(checkpoint, examples, held, monkeypatch):
    """Not even if a guess is right more often than the run was before."""
    wrong = dataclasses.replace(examples, labels=np.zeros_like(examples.labels))
    calls = itertools.count()

    def after_the_first(*given):
        logits_NC = logits_of(*given)
        logits_NC[:, 0] = -99.0
        return logits_NC if next(calls) == 0 else np.full_like(logits_NC, np.nan)

    monkeypatch.setattr(dropout_versions, "logits_of", after_the_first)
    settings = SETTINGS | {"runs": RUNS[:1]}
    made = fine_tune_family("fine-tuning", checkpoint, wrong, held, settings)
    assert made.curves[0].tune == (0, 1, 1, 1)
    assert entry_of(made, "selected", made.curves[0].run).step == 2
