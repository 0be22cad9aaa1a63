"""Figures of low-data ensembles, of synthetic tables with the columns of the real ones.

`full` has tasks in three groups, pools, budgets and seeds; `small` is what a user's first run
has: one task, one seed, no pools, no budgets, no further baselines.
"""

import importlib.util
import json
import os
import subprocess
import sys
from argparse import Namespace
from itertools import combinations, product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from scipy import stats

from dissent import figures
from dissent import low_data_figures as low_data

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow" / "scripts" / "figures" / "low_data_ensembles"
TASKS = {
    "digits": "natural",
    "photos": "natural",
    "medium": "specialised",
    "fonts": "specialised",
    "count": "structured",
    "rotation": "structured",
}
POOLS = ["reinit", "hyper-parameters", "architectures", "frameworks", "datasets"]
K, MOST, BEST_COST, LEVEL = 3, 8, 5_000_000, 0.9
FULL = {"tasks": TASKS, "pools": POOLS, "budgets": [1, 2, 4, 8], "seeds": 3, "baselines": True}
SMALL = {"tasks": {"own": "all"}, "pools": [], "budgets": [], "seeds": 1, "baselines": False}
RUNS = {"full": FULL, "small": SMALL}
# Other formats show the same; tests of `dissent.figures` see to them.
FILES = {"full": ("svg", "csv"), "small": ("csv",)}
# All scripts in one process, as starting one takes longer than drawing.
CALL = """
import json, runpy, sys
for command in json.load(sys.stdin):
    sys.argv = command
    runpy.run_path(command[0], run_name="__main__")
"""
NAMES = ("methods", "budget", "ranking", "sizes", "diversity", "robustness")
ADVANTAGE = {"single": 0, "greedy": 0.03, "settings": 0.012, "heads": 0.01, "all": 0.02}


def choice(rng, task, seed, method, **more):
    level = 0.6 + 0.05 * list("abcdefgh").index(task[-1]) if task[-1] in "abcdefgh" else 0.8
    models, size, budget = (more.get(key) for key in ("models", "size", "budget"))
    n_members = 1 if method == "single" else min(4, size or 4, int(budget or 4))
    if budget and n_members == 4:
        return choice(rng, task, seed, method) | {"budget": budget}
    rng = np.random.default_rng([seed, n_members, models or K, *map(ord, task + method)])
    shrunk = (models or K) / K * (1 - 0.5 / (size or MOST)) * min(1, (budget or 8) / 8 + 0.4)
    score = level + shrunk * ADVANTAGE.get(method, 0.02) + rng.normal(0, 0.004)
    nll = 2 * (1 - score) + rng.normal(0, 0.01)
    row = {"task": task, "metric": "accuracy", "method": method, "seed": seed, "draw": 0}
    row |= {"models": K, "size": MOST, "budget": np.nan} | more
    row |= {"n_members": n_members, "n_models": min(n_members, 3), "parameters": 10**6 * n_members}
    row |= {"multiply_adds": BEST_COST * n_members, "score": score, "accuracy": score, "nll": nll}
    return row | {"brier": 1 - score, "ece": 0.05, "n": 500, "tune_nll": nll - 0.02 * n_members}


def task_methods(rng, task, group, run):
    downstream = ["settings", "heads"] if run["baselines"] else []
    full = ["single", "greedy", "greedy-without-replacement", "bagged", "all", *downstream]
    rows = []
    for seed in range(run["seeds"]):
        rows += [choice(rng, task, seed, method) for method in [*full, *run["pools"]]]
        rows += [choice(rng, task, seed, "random", draw=draw) for draw in range(4)]
        rows += [choice(rng, task, seed, "greedy", models=models) for models in range(1, K)]
        rows += [choice(rng, task, seed, "greedy", size=size) for size in range(1, MOST)]
        for method, budget in product(["greedy", *downstream], run["budgets"]):
            rows.append(choice(rng, task, seed, method, budget=budget))
    return pd.DataFrame(rows).assign(group=group)


def all_methods(tables):
    """By a plain loop, what compare_methods.py writes."""
    methods = pd.concat(tables)
    rows = []
    for group in [*methods["group"].unique(), "all tasks"]:
        inside = methods[(methods["group"] == group) | (group == "all tasks")]
        for method in methods["method"].unique():
            full = inside[(inside["method"] == method) & inside["budget"].isna()]
            full = full[(full["models"] == K) & (full["size"] == MOST)]
            seeds = np.array([rows["score"].mean() for _, rows in full.groupby("seed")])
            interval = np.nan, np.nan
            if len(seeds) > 1:
                error = seeds.std(ddof=1) / len(seeds) ** 0.5
                interval = stats.t.interval(LEVEL, len(seeds) - 1, seeds.mean(), error)
            row = {"group": group, "method": method, "n_tasks": full["task"].nunique()}
            row |= {"n_seeds": len(seeds), "score": seeds.mean(), "low": interval[0]}
            row |= {"high": interval[1], "nll": full["nll"].mean(), "multiply_adds": 1.0}
            rows.append(row)
    return pd.DataFrame(rows)


def task_fine_tuned(rng, task, group, run):
    places = [(pool, k) for pool in run["pools"] or [""] for k in range(1, K + 1)]
    quality = rng.uniform(0.5, 0.9, len(places))
    effects = rng.normal(0, 0.04, len(places))
    ranks = stats.rankdata(-quality).astype(int)
    rows = []
    for seed, (i, (pool, k)) in product(range(run["seeds"]), enumerate(places)):
        score = 0.5 + 0.4 * quality[i] + effects[i] + rng.normal(0, 0.01)
        row = {"task": task, "group": group, "seed": seed, "file": f"{pool or 'all'}-{k}"}
        row |= {"model": f"{pool}-{k}", "category": pool, "rank": ranks[i], "place": k}
        row |= {"ranking_accuracy": quality[i], "learning_rate": 0.1, "steps": 12}
        rows.append(row | {"tune_nll": 1 - score, "accuracy": score, "score": score, "n": 500})
    return pd.DataFrame(rows)


def ranking_table(tables):
    rows = []
    for table in tables:
        models = table.groupby("rank")[["score", "ranking_accuracy"]].mean()
        row = {"task": table["task"].iloc[0], "group": table["group"].iloc[0]}
        row |= {"n_models": len(models), "spearman": stats.spearmanr(models).statistic}
        for k in range(1, K + 1):
            row[f"regret_{k}"] = models["score"].max() - models["score"][:k].max()
        rows.append(row)
    return pd.DataFrame(rows)


def task_diversity(rng, task, group, run):
    sources = [*run["pools"], "all", *(["settings", "heads"] if run["baselines"] else [])]
    rows = []
    for seed, (i, source) in product(range(run["seeds"]), enumerate(sources)):
        inconsistency = 0.25 - 0.02 * i + rng.normal(0, 0.015)
        row = {"task": task, "group": group, "seed": seed, "source": source, "n_members": K}
        row |= {"member_accuracy": 0.75, "error_inconsistency": inconsistency}
        gain = 0.25 * inconsistency - 0.01 + rng.normal(0, 0.004)
        row |= {"accuracy": 0.75 + gain, "gain": gain, "error_consistency": 0.4}
        rows.append(row | {"disagreement": inconsistency})
    return pd.DataFrame(rows)


def robustness_table(rng, run):
    methods = ["single", "greedy", *(["settings", "heads"] if run["baselines"] else [])]
    versions = [("none", 0), *product(["noise", "blur", "contrast", "rotation"], range(1, 6))]
    rows = []
    for (task, group), (corruption, severity) in product(run["tasks"].items(), versions):
        if (task, corruption) == ("rotation", "rotation"):
            continue
        for method in methods:
            accuracy = 0.8 - 0.09 * severity + ADVANTAGE[method] + rng.normal(0, 0.01)
            row = {"task": task, "group": group, "method": method, "corruption": corruption}
            row |= {"severity": severity, "n": 100, "accuracy": accuracy, "nll": 2 - 2 * accuracy}
            rows.append(row | {"brier": 1 - accuracy, "ece": 0.05 + 0.02 * severity})
    return pd.DataFrame(rows)


def tables_of(run):
    """Tables of each script by option; a list has one a task."""
    rng = np.random.default_rng(0)
    methods, fine_tuned, diversity = (
        [make(rng, task, group, run) for task, group in run["tasks"].items()]
        for make in (task_methods, task_fine_tuned, task_diversity)
    )
    return {
        "methods": {"methods": all_methods(methods)},
        "budget": {"methods": methods},
        "ranking": {"fine_tuned": fine_tuned, "ranking": ranking_table(fine_tuned)},
        "sizes": {"methods": methods},
        "diversity": {"diversity": diversity},
        "robustness": {"robustness": robustness_table(rng, run)},
    }


def written(tables, folder):
    """Paths of the tables, by option."""
    paths = {}
    for option, table in tables.items():
        several = table if isinstance(table, list) else [table]
        paths[option] = [folder / f"{option}-{i}.csv" for i in range(len(several))]
        for path, one in zip(paths[option], several, strict=True):
            one.to_csv(path, index=False)
        if several is not table:
            (paths[option],) = paths[option]
    return paths


def module_of(name):
    specification = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def draw(name, tables, folder, suffixes=("csv",)):
    """Call main of the script here: its figure, the table it wrote, its arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    arguments = written(tables, folder) | {"run": "test", "level": LEVEL}
    arguments["output"] = [folder / "here" / f"{name}.{suffix}" for suffix in suffixes]
    kept, save = [], figures.save_figure

    def keep(figure, table, outputs):
        kept.append(figure)
        save(figure, table, outputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "save_figure", keep)
        module_of(name).main(Namespace(**arguments))
    pyplot.close("all")
    table = pd.read_csv(arguments["output"][-1])
    return SimpleNamespace(figure=kept[0], table=table, arguments=arguments, tables=tables)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("low_data")
    return {
        (kind, name): draw(name, tables, folder / kind / name, FILES[kind])
        for kind, run in RUNS.items()
        for name, tables in tables_of(run).items()
    }


def heights(axes):
    """Of every mark in the axes."""
    lines = [line for line in axes.lines if line.get_marker() not in ("None", "")]
    return rounded(np.concatenate([line.get_ydata() for line in lines]))


def rounded(values):
    return set(np.round(np.asarray(values, dtype=float), 9))


def entries(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def interval(rows, measure):
    """Of the mean over tasks: the variances of the tasks' means over seeds add up (Welch)."""
    seeds = rows.groupby(["task", "seed"])[measure].mean().unstack()
    parts = (seeds.std(axis=1) ** 2 / seeds.shape[1] / len(seeds) ** 2).to_numpy()
    freedom = parts.sum() ** 2 / (parts**2 / (seeds.shape[1] - 1)).sum()
    return stats.t.interval(LEVEL, freedom, seeds.to_numpy().mean(), parts.sum() ** 0.5)


def seed_means(rows, measure):
    """By a plain loop: the mean over tasks of each seed."""
    return [
        np.mean([row[measure] for _, row in rows.iterrows() if row["seed"] == seed])
        for seed in sorted(set(rows["seed"]))
    ]


EACH = pytest.mark.parametrize("name", NAMES)
BOTH = pytest.mark.parametrize("kind", RUNS)


def test_another_process_with_other_settings_draws_the_same_bytes(drawn, tmp_path):
    (tmp_path / "matplotlibrc").write_text("font.size: 20\nfigure.facecolor: red\n")
    here = {name: drawn["full", name].arguments["output"] for name in NAMES}
    there = {name: [tmp_path / path.name for path in here[name]] for name in NAMES}
    commands = []
    for name in reversed(NAMES):
        command = [SCRIPTS / f"{name}.py"]
        for option, value in (drawn["full", name].arguments | {"output": there[name]}).items():
            values = value if isinstance(value, list) else [value]
            command += [f"--{option.replace('_', '-')}", *values]
        commands.append(list(map(str, command)))
    settings = {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CALL],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")} | settings,
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    for name in NAMES:
        for one, other in zip(here[name], there[name], strict=True):
            assert one.read_bytes() == other.read_bytes(), one.name


@EACH
@BOTH
def test_the_figure_says_its_run_its_n_and_its_intervals(kind, name, drawn):
    note = drawn[kind, name].figure.get_supxlabel()
    assert note.startswith("Run test: ")
    assert f"{len(RUNS[kind]['tasks'])} task" in note
    if name == "robustness":
        assert "100 test examples" in note and "90% normal interval" in note
    elif kind == "full":
        assert "3 seeds" in note and "90% t" in note
    else:
        assert "1 seed" in note and "o intervals: one" in note


@EACH
@BOTH
def test_no_text_is_cut_off_too_small_or_over_another(kind, name, drawn):
    figure = drawn[kind, name].figure
    figure.draw_without_rendering()
    texts = [figure._supxlabel, *(text for one in figure.legends for text in one.get_texts())]
    for axes in figure.axes:
        texts += [axes.xaxis.label, axes.yaxis.label, axes._left_title]
    shown = {text: text.get_window_extent() for text in texts if text.get_text()}
    page = figure.bbox.padded(1)
    for text, box in shown.items():
        assert text.get_fontsize() >= 8
        assert page.contains(*box.min) and page.contains(*box.max), text
    for (one, box), (other, other_box) in combinations(shown.items(), 2):
        assert not box.padded(-1).fully_overlaps(other_box), (one, other)


def test_methods_stand_in_blocks_with_the_intervals_of_the_table(drawn):
    result = drawn["full", "methods"]
    source = result.tables["methods"]
    titles = [axes.get_title(loc="left") for axes in result.figure.axes]
    groups = ["natural", "specialised", "structured", "all tasks"]
    assert titles == [f"{group}\n{6 if group == 'all tasks' else 2} tasks" for group in groups]
    labels = [label.get_text() for label in result.figure.axes[0].get_yticklabels()]
    assert labels == [
        "best single",
        "best candidates",
        "greedy",
        "greedy, no repeats",
        "greedy, bagged",
        "average of all",
        "average of random",
        "one checkpoint",
        "settings",
        "heads",
        "one upstream pool",
        *POOLS,
    ]
    for axes, group in zip(result.figure.axes, groups, strict=True):
        rows = source[source["group"] == group].set_index("method")
        shown = {
            labels[int(line.get_ydata()[0])]: line.get_xdata()[0]
            for line in axes.lines
            if line.get_marker() != "None"
        }
        assert shown.keys() == {low_data.NAMES[method] for method in rows.index}
        ends = {labels[int(y)]: (x0, x1) for (x0, y), (x1, _) in segments(axes)}
        for method, row in rows.iterrows():
            assert shown[low_data.NAMES[method]] == row["score"]
            assert ends[low_data.NAMES[method]] == (row["low"], row["high"])


def segments(axes):
    return [path.vertices for lines in axes.collections for path in lines.get_paths()]


def test_one_group_is_drawn_once_without_intervals(drawn):
    figure = drawn["small", "methods"].figure
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["1 task"]
    assert np.isnan([ends[:, 0] for ends in segments(figure.axes[0])]).all()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert "one checkpoint" not in labels and "one upstream pool" not in labels


def test_budget_draws_score_against_what_was_used(drawn):
    result = drawn["full", "budget"]
    source = pd.concat(result.tables["methods"])
    expected = [("single", None), ("greedy", 1), ("greedy", None), ("settings", 4), ("heads", 8)]
    for method, budget in expected:
        rows = source[source["method"] == method]
        if budget:
            rows = rows[rows["budget"] == budget]
        else:
            rows = rows[rows["budget"].isna() & (rows["models"] == K) & (rows["size"] == MOST)]
        means = seed_means(rows, "score")
        table = result.table[result.table["method"] == method]
        (got,) = table[table["budget"].isna() if not budget else table["budget"] == budget].iloc
        assert got["value"] == pytest.approx(np.mean(means))
        assert (got["low"], got["high"]) == pytest.approx(interval(rows, "score"))
        assert got["multiply_adds"] == pytest.approx(stats.gmean(rows["multiply_adds"]))
    left, right = result.figure.axes
    assert len(result.table) == 1 + 3 * 5
    assert heights(left) == rounded(result.table["value"])
    used = result.table.dropna(subset="budget")["multiply_adds"] / 1e6
    assert heights(right) == rounded(used)
    assert "Left out" not in result.figure.get_supxlabel()


def test_without_budgets_there_is_one_panel_of_points(drawn):
    result = drawn["small", "budget"]
    (axes,) = result.figure.axes
    assert heights(axes) == rounded(result.table["value"])
    assert entries(result.figure) == ["best single", "greedy"]


def test_a_budget_that_some_task_cannot_meet_is_left_out_and_named(tmp_path):
    tables = tables_of(FULL)["budget"]
    first, *others = tables["methods"]
    cheap = (first["method"] == "greedy") & (first["budget"] == 1) & (first["seed"] == 2)
    result = draw("budget", {"methods": [first[~cheap], *others]}, tmp_path)
    shown = result.table.set_index("method")["budget"]
    assert shown["greedy"].dropna().tolist() == [2, 4, 8]
    assert shown["heads"].dropna().tolist() == [1, 2, 4, 8]
    note = result.figure.get_supxlabel()
    assert note.endswith("Left out, as some task has no ensemble so cheap: greedy at 1 times")


def test_ranking_draws_means_over_seeds_and_the_correlation_of_each_task(drawn):
    result = drawn["full", "ranking"]
    *tasks, regret = result.figure.axes
    assert len(tasks) == 6
    for axes, source in zip(tasks, result.tables["fine_tuned"], strict=True):
        models = source.groupby("rank")[["ranking_accuracy", "score"]].mean()
        assert heights(axes) == rounded(models["score"])
        correlation = stats.spearmanr(models).statistic
        title = f"{source['task'].iloc[0]}\nrank correlation {correlation:.2f}"
        assert axes.get_title(loc="left") == title
        (rings,) = (line for line in axes.lines if line.get_markersize() == 9)
        assert rounded(rings.get_ydata()) == rounded(models["score"][:K])
    table = result.table[result.table["panel"] == "regret"].set_index(["drawn", "k"]).sort_index()
    for k in range(1, K + 1):
        values = result.tables["ranking"][f"regret_{k}"]
        mean = table.loc["mean"].loc[k]
        assert mean["regret"] == pytest.approx(values.mean())
        assert (mean["low"], mean["high"]) == pytest.approx(
            tuple(stats.ttest_1samp(values, 0).confidence_interval(LEVEL))
        )
    assert heights(regret) == rounded(table.loc["mean", "regret"])


def test_regret_of_chance_is_the_mean_over_all_subsets(drawn):
    result = drawn["full", "ranking"]
    means = [task.groupby("model")["score"].mean() for task in result.tables["fine_tuned"]]
    table = result.table[result.table["drawn"] == "chance"].set_index("k")["regret"]
    for k in range(1, K + 1):
        lost = [
            models.max() - np.mean([max(some) for some in combinations(models, k)])
            for models in means
        ]
        assert table[k] == pytest.approx(np.mean(lost))


def test_ranking_of_one_task_without_categories_has_one_colour_and_no_rings(drawn):
    result = drawn["small", "ranking"]
    task, regret = result.figure.axes
    (points,) = (line for line in task.lines if len(line.get_ydata()))
    assert points.get_color() == "0.6"
    assert entries(result.figure) == ["the best ranked", "as many at random"]
    assert heights(regret) == rounded(result.tables["ranking"].filter(like="regret").iloc[0])


def test_sizes_draws_greedy_alone_along_models_and_size(drawn):
    result = drawn["full", "sizes"]
    source = pd.concat(result.tables["methods"]).query("method == 'greedy' and budget.isna()")
    table = result.table.set_index(["along", "measure", "at"])
    for measure, (models, size) in product(
        ("score", "nll", "tune_nll"), [(1, MOST), (K, MOST), (K, 1), (K, 5)]
    ):
        rows = source[(source["models"] == models) & (source["size"] == size)]
        means = seed_means(rows, measure)
        along = ("models", models) if size == MOST else ("size", size)
        got = table.loc[(*along[:1], measure, *along[1:])]
        assert got["value"] == pytest.approx(np.mean(means))
        assert (got["low"], got["high"]) == pytest.approx(interval(rows, measure))
    by_panel = np.reshape(result.figure.axes, (2, 2))
    rows = {"score": 0, "nll": 1, "tune_nll": 1}
    panels = result.table.groupby([result.table["measure"].map(rows), "along"])
    for (row, along), shown in panels:
        assert heights(by_panel[row, int(along == "size")]) == rounded(shown["value"])
    dashed = [line for line in by_panel[1, 0].lines if line.get_linestyle() == "--"]
    tune = result.table.query("along == 'models' and measure == 'tune_nll'")["value"]
    assert rounded(dashed[0].get_ydata()) == rounded(tune)


def test_diversity_draws_every_source_with_its_means(drawn):
    result = drawn["full", "diversity"]
    source = pd.concat(result.tables["diversity"])
    means = result.table[result.table["drawn"] == "mean"].set_index("source")
    assert set(means.index) == set(source["source"]) == {*POOLS, "all", "settings", "heads"}
    for name, rows in source.groupby("source"):
        for measure in ("error_inconsistency", "gain"):
            expected = seed_means(rows, measure)
            assert means.loc[name, measure] == pytest.approx(np.mean(expected))
            ends = means.loc[name, [f"{measure}_low", f"{measure}_high"]]
            assert tuple(ends) == pytest.approx(interval(rows, measure))
    (axes,) = result.figure.axes
    assert heights(axes) == rounded([*source["gain"], *means["gain"]])
    hollow = {line.get_marker() for line in axes.lines if line.get_markerfacecolor() == "white"}
    assert hollow == {"s", "^"}
    correlation = stats.spearmanr(source["error_inconsistency"], source["gain"]).statistic
    within = [
        stats.spearmanr(rows.groupby("source")[["error_inconsistency", "gain"]].mean()).statistic
        for rows in result.tables["diversity"]
    ]
    note = f"{correlation:.2f} over all 144 averages, {np.mean(within):.2f} within a task"
    assert note in result.figure.get_supxlabel()


def test_diversity_of_one_source_tells_no_correlation(drawn):
    result = drawn["small", "diversity"]
    assert entries(result.figure) == ["best ranked of all (upstream)"]
    assert "correlation" not in result.figure.get_supxlabel()
    assert heights(result.figure.axes[0]) == rounded(result.tables["diversity"][0]["gain"])


def test_diversity_of_averages_of_one_member_says_that_there_is_nothing_to_compare(tmp_path):
    alone = tables_of(RUNS["small"])["diversity"]["diversity"]
    between = ["error_inconsistency", "error_consistency", "disagreement"]
    alone = [
        table.assign(n_members=1, gain=0.0, **dict.fromkeys(between, np.nan)) for table in alone
    ]
    result = draw("diversity", {"diversity": alone}, tmp_path)
    (said,) = result.figure.axes[0].texts
    assert "raise `fine_tuned`" in said.get_text()


def test_robustness_draws_means_over_tasks_that_have_the_corruption(drawn):
    result = drawn["full", "robustness"]
    source = result.tables["robustness"]
    panels = np.reshape(result.figure.axes, (4, 4))
    for column, corruption in zip(panels.T, ("noise", "blur", "contrast", "rotation"), strict=True):
        rows = source[source["corruption"].isin([corruption, "none"])]
        if corruption == "rotation":
            rows = rows[rows["task"] != "rotation"]
        n_tasks = rows["task"].nunique()
        assert column[0].get_title(loc="left") == f"{corruption}\n{n_tasks} tasks"
        for axes, measure in zip(column, ("accuracy", "nll", "brier", "ece"), strict=True):
            assert heights(axes) == rounded(rows.groupby(["method", "severity"])[measure].mean())
        greedy = rows.query("method == 'greedy' and severity == 3")["accuracy"]
        error = np.sqrt(sum(p * (1 - p) / 100 for p in greedy)) / n_tasks
        got = result.table.query(
            "corruption == @corruption and method == 'greedy' and severity == 3"
        ).iloc[0]
        ends = stats.norm.interval(LEVEL, greedy.mean(), error)
        assert (got["low"], got["high"]) == pytest.approx(ends)


def test_every_method_drawn_as_a_line_differs_in_colour_mark_and_dashes():
    assert all(len(set(looks)) == 4 for looks in zip(*low_data.LOOKS.values(), strict=True))
    categories = {style.color for style in figures.STYLES.values()}
    assert not categories & {style.color for style in low_data.LOOKS.values()}


def test_names_that_look_like_numbers_or_nothing_stay_names(tmp_path):
    run = SMALL | {"tasks": {"007": "None", "NA": "null"}}
    tables = tables_of(run)
    ranking = draw("ranking", tables["ranking"], tmp_path).figure
    titles = [axes.get_title(loc="left").partition("\n")[0] for axes in ranking.axes]
    assert titles == ["007", "NA", "Regret"]
    methods = draw("methods", tables["methods"], tmp_path).figure
    titles = [axes.get_title(loc="left") for axes in methods.axes]
    assert titles == ["None\n1 task", "null\n1 task", "all tasks\n2 tasks"]
