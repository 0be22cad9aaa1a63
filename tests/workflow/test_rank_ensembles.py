"""Which models are worth ensembling: its two scripts, run as rules run them on small files."""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from safetensors.numpy import save_file
from scipy.special import log_softmax

from dissent.examples import Examples, write_examples
from dissent.logits import Key

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
FIGURE = SCRIPTS / "figures" / "worth_ensembling.py"
N, CLASSES = 400, tuple("abcd")
OUTPUTS = {"soft": "logits", "other": "logits", "sure": "confidences", "vote": "classes"}
SUFFIXES = ("svg", "pdf", "png", "csv")


def run(script, **options):
    command = [sys.executable, str(SCRIPTS / script)]
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        command += [f"--{name.replace('_', '-')}", *map(str, values)]
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS.parents[1] / "src")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def write_predictions(folder, examples, model, logits_NC, output):
    """A file with no more than `output` says."""
    log_NC = log_softmax(logits_NC, axis=1).astype(np.float32)
    tensors = {"predicted": log_NC.argmax(axis=1).astype(np.int32)}
    if output != "classes":
        tensors["max_log_probability"] = log_NC.max(axis=1)
    if output == "logits":
        tensors["logits"] = log_NC.astype(np.float16)
    hashes = examples.ids_sha256, examples.content_sha256
    key = Key("0", {}, *hashes, list(CLASSES), output, "float16", {})
    path = folder / f"{model}.safetensors"
    save_file(tensors, path, {"key": json.dumps(asdict(key))})
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ensembling")


def options(folder, outputs, labels=None, **changes):
    """What the first script is called with, on files written here."""
    rng = np.random.default_rng(0)
    labels_N = rng.integers(0, len(CLASSES), N)
    examples = Examples(
        name="letters",
        ids=tuple(f"letter-{i}" for i in range(N)),
        images_NHW=np.zeros((N, 1, 1), np.uint8),
        labels=labels_N if labels is None else labels,
        splits_N=np.array(["report"] * N),
        classes=CLASSES,
    )
    write_examples(folder / "letters.safetensors", examples)
    truth_NC = 1.5 * np.eye(len(CLASSES))[labels_N]
    paths = [
        write_predictions(folder, examples, model, truth_NC + rng.normal(size=truth_NC.shape), out)
        for model, out in outputs.items()
    ]
    return {
        "data": folder / "letters.safetensors",
        "logits": paths,
        "costs": json.dumps({"soft": 2.5, "vote": 1, "of no file": 3}),
        "max_members": 3,
        "tune_split": "tune",
        "report_split": "report",
        "resamples": 200,
        "level": 0.9,
        "output": folder / "ensembling.csv",
        "output_verdict": folder / "ensembling.txt",
    } | changes


@pytest.fixture(scope="module")
def ranked(folder):
    done = run("metrics/rank_ensembles.py", **options(folder, OUTPUTS))
    assert done.returncode == 0, done.stderr
    return pd.read_csv(folder / "ensembling.csv"), (folder / "ensembling.txt").read_text()


def test_all_models_are_ranked_whatever_they_hold(ranked):
    table, verdict = ranked
    singles = table[table["kind"] == "single"].set_index("members")
    votes = {"logits": "probabilities", "confidences": "confidence", "classes": "class"}
    assert singles["vote"].to_dict() == {m: votes[output] for m, output in OUTPUTS.items()}
    assert singles["cost"].dropna().to_dict() == {"soft": 2.5, "vote": 1}
    assert (table["n"] == N // 2).all()
    assert (table["kind"] == "pair").sum() == 6
    chosen = table[table["chosen"]].iloc[0]
    assert chosen["size"] > 1
    printed = float(verdict.split(" % against")[0].split()[-1])
    assert printed == pytest.approx(100 * chosen["accuracy"], abs=0.05)
    assert "their confidence (1 of 4) or with their class, weighted by accuracy (1 of 4)" in verdict


def test_ranking_again_writes_the_same_bytes(folder, ranked):
    again = {"output": folder / "again.csv", "output_verdict": folder / "again.txt"}
    done = run("metrics/rank_ensembles.py", **options(folder, OUTPUTS, **again))
    assert done.returncode == 0, done.stderr
    for suffix in ("csv", "txt"):
        same = (folder / f"ensembling.{suffix}").read_bytes()
        assert (folder / f"again.{suffix}").read_bytes() == same


@pytest.mark.parametrize(
    "outputs, labels, sentence",
    [
        ({"soft": "logits"}, None, "need the predictions of two models or more"),
        (
            {"soft": "logits", "other": "logits"},
            np.ones((N, len(CLASSES)), np.uint8),
            "may have several accepted classes",
        ),
    ],
    ids=["one model", "several classes"],
)
def test_what_cannot_be_ranked_gets_a_sentence(tmp_path, outputs, labels, sentence):
    done = run("metrics/rank_ensembles.py", **options(tmp_path, outputs, labels))
    assert done.returncode == 1
    assert "error: " in done.stderr and sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("ensembling.*"))


def drawn(table, verdict="A verdict."):
    specification = importlib.util.spec_from_file_location("worth_ensembling", FIGURE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    figure, shown = module.draw(table, verdict, "letters", "test", 0.9)
    figure.draw_without_rendering()
    pyplot.close("all")
    return figure, shown


def dots(axes):
    return np.concatenate([collection.get_offsets() for collection in axes.collections[1:]])


def test_the_figure_draws_sets_members_and_pairs(folder, ranked):
    table, verdict = ranked
    figure, shown = drawn(table, verdict)
    sets, members, pairs = (table[table["kind"] == kind] for kind in ("set", "member", "pair"))
    left, right, lower = figure.axes
    np.testing.assert_allclose(left.lines[0].get_xydata(), sets[["size", "accuracy"]])
    best = table.loc[table["kind"] == "single", "accuracy"].iloc[0]
    assert set(left.lines[2].get_ydata()) == {best}
    for axes, rows in ((right, members), (lower, pairs)):
        np.testing.assert_allclose(dots(axes)[:, 0], rows["gain"])
        filled = axes.collections[1].get_facecolors()[:, :3].min(axis=1) < 1
        np.testing.assert_array_equal(filled, rows["gain_low"] > 0)
        whiskers = [path.vertices[:, 0] for path in axes.collections[0].get_paths()]
        np.testing.assert_allclose(whiskers, rows[["gain_low", "gain_high"]])
    assert [t.get_text() for t in lower.get_yticklabels()] == pairs["members"].tolist()
    ticks = [t.get_text() for t in left.get_xticklabels()]
    costs = ["?" if np.isnan(cost) else f"{cost:.3g}" for cost in sets["cost"]]
    assert ticks == [f"{size}\n{cost}" for size, cost in zip(sets["size"], costs, strict=True)]
    assert figure._suptitle.get_text().replace("\n", " ").replace("\xa0", " ") == verdict.strip()
    note = figure.get_supxlabel()
    assert note.startswith("Run test: data set letters, 200 examples")
    assert "90% bootstrap over examples; filled gains" in note
    assert "ordered by their gain on the examples used to choose" in lower.figure.get_suptitle()
    assert sorted(shown["kind"].unique()) == ["member", "pair", "set"]


def without_pairs(table):
    return table.assign(gain=table["gain"].where(table["kind"] != "pair"), cost=np.nan)


def filled_models(axes, table):
    filled = axes.collections[1].get_facecolors()[:, :3].min(axis=1) < 1
    singles = table[table["kind"] == "single"]
    np.testing.assert_allclose(dots(axes)[:, 0], singles["accuracy"])
    return set(singles["members"][filled])


def test_models_alone_are_drawn_where_no_pair_has_a_gain(ranked):
    table = without_pairs(ranked[0])
    figure, shown = drawn(table)
    lower = figure.axes[2]
    assert filled_models(lower, table) == set(table.loc[table["kind"] == "member", "members"])
    title = lower.figure.get_suptitle()
    assert "accuracy on the examples used to choose\nfilled: in the chosen ensemble" in title
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["1", "2", "3"]
    assert "no pair is shown" in figure.get_supxlabel()
    assert "single" in set(shown["kind"])


def chosen_alone(table):
    return table[table["kind"] != "member"].assign(
        chosen=(table["kind"] == "set") & (table["size"] == 1)
    )


def test_a_single_model_may_be_chosen(ranked):
    table = chosen_alone(without_pairs(ranked[0]))
    figure, _ = drawn(table)
    upper, lower = figure.axes
    assert len(upper.lines[0].get_xydata()) == 3
    assert filled_models(lower, table) == {table["members"].iloc[0]}
    assert "filled: the chosen model" in lower.figure.get_suptitle()
    assert "filled gains" not in figure.get_supxlabel()


def test_one_set_of_one_model_has_no_panel_and_names_may_be_long(ranked):
    table = chosen_alone(ranked[0]).query("kind != 'set' or size == 1")
    long = table["members"].str.replace("soft", "s" + 40 * "o" + "ft")
    figure, shown = drawn(table.assign(members=long))
    (lower,) = figure.axes
    assert set(shown["kind"]) == {"pair"}
    assert "filled gains" in figure.get_supxlabel()
    names = [t.get_text() for t in lower.get_yticklabels()]
    assert any("s" + 16 * "o" + "…" in name for name in names)
    assert max(map(len, names)) < 45


@pytest.mark.parametrize("most", [0.001, 0.009, 0.02, 0.3])
def test_ticks_below_members_of_long_names_do_not_touch(ranked, most):
    table, _ = ranked
    is_member = table["kind"] == "member"
    low, high = table["gain_low"].mask(is_member, -most), table["gain_high"].mask(is_member, most)
    members = table["members"].mask(is_member, table["members"] + 40 * "m")
    figure, _ = drawn(table.assign(gain_low=low, gain_high=high, members=members))
    boxes = [
        label.get_window_extent()
        for label in figure.axes[1].get_xticklabels()
        if label.get_window_extent().overlaps(figure.bbox)
    ]
    within = figure.axes[1].get_window_extent()
    boxes = [box for box in boxes if within.x0 <= (box.x0 + box.x1) / 2 <= within.x1]
    assert len(boxes) >= 2
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_another_process_with_other_settings_draws_the_same_bytes(folder, ranked, monkeypatch):
    (folder / "matplotlibrc").write_text("font.size: 20\nfigure.facecolor: red\n")
    inputs = {"table": folder / "ensembling.csv", "verdict": folder / "ensembling.txt"}
    inputs |= {"data_name": "letters", "run": "test", "level": 0.9}
    for place in ("here", "there"):
        outputs = [folder / place / f"figure.{suffix}" for suffix in SUFFIXES]
        done = run("figures/worth_ensembling.py", **inputs, output=outputs)
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
        monkeypatch.setenv("MATPLOTLIBRC", str(folder / "matplotlibrc"))
    for suffix in SUFFIXES:
        same = (folder / "here" / f"figure.{suffix}").read_bytes()
        assert (folder / "there" / f"figure.{suffix}").read_bytes() == same
