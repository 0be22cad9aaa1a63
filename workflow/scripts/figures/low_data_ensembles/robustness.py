"""What is left of fine-tuned models and their ensembles on ever more corrupted images."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from dissent import commandline, figures
from dissent import low_data_figures as low_data

MEASURES = {
    "accuracy": "accuracy (%)",
    "nll": "cross-entropy",
    "brier": "Brier score",
    "ece": "ECE (%)",
}
ORIGINAL = "none"  # severity 0 of every corruption


def main(arguments: argparse.Namespace) -> None:
    robustness = low_data.read([arguments.robustness])
    figure, table = draw(robustness, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(robustness: pd.DataFrame, run: str, level: float) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    table = drawn(robustness, level)
    corruptions = table["corruption"].unique()
    figure, all_axes = pyplot.subplots(
        len(MEASURES),
        len(corruptions),
        figsize=(figures.WIDTH, 6.6),
        layout="constrained",
        sharex=True,
        sharey="row",
        squeeze=False,
    )
    for column, corruption in zip(all_axes.T, corruptions, strict=True):
        rows = table[table["corruption"] == corruption]
        column[0].set_title(f"{corruption}\n{figures.counted(rows['n_tasks'].iloc[0], 'task')}")
        column[-1].set_xlabel("severity")
        for axes, measure in zip(column, MEASURES, strict=True):
            draw_panel(axes, rows, measure)
    for axes, label in zip(all_axes[:, 0], MEASURES.values(), strict=True):
        axes.set_ylabel(label)
        if label.endswith("(%)"):
            figures.percent(axes.yaxis)
    # One method may be off the mark by far more than others.
    for axes in all_axes[list(MEASURES).index("nll")]:
        axes.set_yscale("log")
        figures.plain_logarithm(axes.yaxis)
    axes.set_xticks(sorted(table["severity"].unique()))
    figure.align_ylabels(all_axes[:, 0])
    handles = [
        figures.handle(low_data.NAMES[method], **low_data.line(method))
        for method in low_data.LOOKS
        if method in set(table["method"])
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, handlelength=3)
    figures.footnote(
        figure,
        run,
        f"{low_data.counts(robustness['task'].nunique(), 1)}, "
        f"{low_data.examples(robustness['n'])}; severity 0: images as they are",
        f"Band: {level:.0%} normal interval over images of the accuracy of greedy; differences of "
        "methods on the same images are surer",
    )
    return figure, table


def drawn(robustness: pd.DataFrame, level: float) -> pd.DataFrame:
    """Means over the tasks that have a corruption, at each severity; 0 is the original images.

    low and high are the normal interval over images of the mean accuracy, tasks as given.
    """
    variance = robustness["accuracy"] * (1 - robustness["accuracy"]) / robustness["n"]
    robustness = robustness.assign(variance=variance)
    original, parts = robustness[robustness["corruption"] == ORIGINAL], []
    for corruption in robustness["corruption"].drop(original.index).unique():
        rows = robustness[robustness["corruption"] == corruption]
        before = original[original["task"].isin(rows["task"])]
        groups = pd.concat([before, rows]).groupby(["method", "severity"], sort=False)
        means = groups[list(MEASURES)].mean().assign(n_tasks=groups.size())
        errors = np.sqrt(groups["variance"].sum()) / means["n_tasks"]
        half = stats.norm.ppf((1 + level) / 2) * errors
        means = means.assign(low=means["accuracy"] - half, high=means["accuracy"] + half)
        parts.append(means.reset_index().assign(corruption=corruption))
    columns = ["corruption", "method", "severity", "n_tasks", *MEASURES, "low", "high"]
    return pd.concat(parts)[columns]


def draw_panel(axes: Axes, table: pd.DataFrame, measure: str) -> None:
    for method in low_data.LOOKS:
        rows = table[table["method"] == method].sort_values("severity")
        if (method, measure) == ("greedy", "accuracy"):
            axes.fill_between(rows["severity"], rows["low"], rows["high"], color="0.85", lw=0)
        axes.plot(rows["severity"], rows[measure], **low_data.line(method) | {"markersize": 3.5})


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--robustness", required=True, type=Path, help="of measure_robustness.py")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
