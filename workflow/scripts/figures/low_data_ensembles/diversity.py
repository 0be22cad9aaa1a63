"""Which source of diversity brings most: gain of an average against its error inconsistency."""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import low_data_figures as low_data

SOURCES = {
    **{category: f"{category} (upstream)" for category in figures.STYLES},
    "all": "best ranked of all (upstream)",
    "settings": "settings (one checkpoint)",
    "heads": "heads (one checkpoint)",
}
MEASURES = X, Y = "error_inconsistency", "gain"
SMALL = {"markersize": 3, "markeredgewidth": 0.5, "alpha": 0.6, "zorder": 2}
BIG = {"markersize": 9, "zorder": 4}


def main(arguments: argparse.Namespace) -> None:
    figure, table = draw(low_data.read(arguments.diversity), arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(diversity: pd.DataFrame, run: str, level: float) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    table = drawn(diversity, level)
    figure, axes = pyplot.subplots(figsize=(figures.WIDTH, 3.6), layout="constrained")
    axes.axhline(0, color=figures.GREY, linestyle=":", zorder=1.2)
    present = [source for source in SOURCES if source in set(table["source"])]
    for source in present:
        draw_source(axes, table[table["source"] == source], source)
    axes.set(xlabel="error inconsistency, mean over pairs of members (%)")
    axes.set(ylabel="gain over members' mean accuracy (points)")
    axes.set_title("Do members that err differently gain more?")
    if table[X].notna().any():
        for set_limits, measure in ((axes.set_xlim, X), (axes.set_ylim, Y)):
            ends = (table[f"{measure}_{end}"] for end in ("low", "high"))
            set_limits(figures.limits(table[measure], *ends))
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    else:
        reason = "Averages have one member:\nraise `fine_tuned` to compare them"
        axes.text(0.5, 0.6, reason, transform=axes.transAxes, ha="center", color=figures.GREY)
    figures.percent(axes.xaxis, axes.yaxis)
    handles = [figures.handle(SOURCES[source], **look(source), **BIG) for source in present]
    figure.legend(handles=handles, loc="outside right upper", labelspacing=0.9)
    n_seeds, n_tasks = diversity["seed"].nunique(), diversity["task"].nunique()
    marks = "; large marks: means, small: one task and seed" if n_seeds * n_tasks > 1 else ""
    facts = [
        f"{low_data.counts(n_tasks, n_seeds)}; averages of {diversity['n_members'].max()} "
        f"fine-tuned models{marks}",
        low_data.interval_note(n_seeds, level),
        "Gain is over the mean member, so that weak members raise it",
    ]
    if len(present) > 2:
        facts.append(f"Rank correlation: {correlation(diversity)}")
    figures.footnote(figure, run, *facts)
    return figure, table


def drawn(diversity: pd.DataFrame, level: float) -> pd.DataFrame:
    """Each source in each task with each seed, and its mean with intervals."""
    parts = [
        low_data.over_seeds(diversity, ["source"], measure, level)
        .rename(columns={"value": measure, "low": f"{measure}_low", "high": f"{measure}_high"})
        .set_index("source")
        for measure in MEASURES
    ]
    means = pd.concat(parts, axis=1).reset_index().assign(drawn="mean")
    single = diversity[["task", "seed", "source", *MEASURES]].assign(drawn="task and seed")
    ends = [f"{measure}_{end}" for measure in MEASURES for end in ("low", "high")]
    columns = ["drawn", "source", "task", "seed", *MEASURES, *ends]
    return pd.concat([means, single]).reindex(columns=columns)


def correlation(diversity: pd.DataFrame) -> str:
    """Spearman's correlation of the measures: of all rows, and the mean of that within a task."""
    of_all = f"{low_data.spelt(spearman(diversity))} over all {len(diversity)} averages"
    if diversity["task"].nunique() == 1:
        return of_all
    means = diversity.groupby(["task", "source"])[list(MEASURES)].mean()
    within = pd.Series([spearman(rows) for _, rows in means.groupby("task")])
    return f"{of_all}, {low_data.spelt(within.mean())} within a task (mean of tasks)"


def spearman(table: pd.DataFrame) -> float:
    """Spearman's correlation of error inconsistency and gain; NaN where it is undefined."""
    return table["error_inconsistency"].rank().corr(table["gain"].rank())


def look(source: str) -> dict:
    return low_data.look(source) | ({"marker": "*"} if source == "all" else {})


def draw_source(axes: Axes, table: pd.DataFrame, source: str) -> None:
    single, mean = (table[table["drawn"] == name] for name in ("task and seed", "mean"))
    if len(single) > 1:
        axes.plot(single[X], single[Y], linestyle="none", **look(source) | SMALL)
    cross = {"color": "black", "linewidth": 0.8, "zorder": 3.5}
    axes.hlines(mean[Y], mean[f"{X}_low"], mean[f"{X}_high"], **cross)
    axes.vlines(mean[X], mean[f"{Y}_low"], mean[f"{Y}_high"], **cross)
    axes.plot(mean[X], mean[Y], linestyle="none", **look(source), **BIG)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument(
        "--diversity", required=True, nargs="+", type=Path, help="of evaluate_choices.py"
    )
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
