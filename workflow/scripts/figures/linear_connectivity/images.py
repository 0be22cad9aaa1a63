"""Image classifiers: the loss along straight paths, and the barrier of every pair."""

import argparse

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import connectivity_figures as shared

MEASURES = {"barrier": "barrier (nats)", "convexity_gap": "convexity gap (nats)"}
OF_IMAGES = "all"  # the pairing of families without a strategy
MEAN = {"color": "black", "linewidth": 1.6, "zorder": 3}


def main(arguments: argparse.Namespace) -> None:
    tables = shared.read(arguments, "curves", "pairs")
    figure, table = draw(*tables, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    curves: pd.DataFrame, pairs: pd.DataFrame, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    curves = curves[curves["pairing"] == OF_IMAGES]
    pairs = shared.in_window(shared.at_last_step(pairs[pairs["family"].isin(curves["family"])]))
    if curves.empty:
        return figures.empty_figure("No pair of image classifiers to compare", run), curves
    names = shared.families(curves)
    looks = shared.family_looks(names)
    figure, (paths, *panels) = pyplot.subplots(
        1, 3, figsize=(figures.WIDTH, 3), layout="constrained", width_ratios=(1.4, 1, 1)
    )
    for family in names:
        draw_path(paths, curves[curves["family"] == family], looks[family])
    paths.set(title="along the path", xlabel="share of the second model", ylabel="loss (nats)")
    panels[1].sharey(panels[0])
    for axes, measure in zip(panels, MEASURES, strict=True):
        for place, family in enumerate(names):
            draw_pairs(axes, place, pairs[pairs["family"] == family], measure, looks[family])
        axes.set(title=MEASURES[measure])
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.grid(visible=False, axis="x")
    handles = [figures.handle(family, **looks[family]) for family in names]
    handles.append(figures.handle("mean of pairs", linestyle="-", **MEAN))
    figure.legend(handles=handles, loc="outside upper center", ncols=4, handlelength=3)
    n_pairs = curves.groupby("family", sort=False)["n_pairs"].first()
    sizes = [f"{family}: {figures.counted(n, 'pair')}" for family, n in n_pairs.items()]
    figures.footnote(
        figure,
        run,
        *shared.wrapped("; ".join(sizes)),
        shared.interval_note(curves, "Bands", level, "over models and examples"),
        f"Whiskers: {level:.0%} bootstrap over examples, of each pair",
    )
    columns = ["family", "first", "second", *MEASURES, "convexity_gap_low", "convexity_gap_high"]
    return figure, pd.concat([curves.assign(drawn="path"), pairs[columns].assign(drawn="pair")])


def draw_path(axes: Axes, rows: pd.DataFrame, look: dict) -> None:
    rows = rows.sort_values("share")
    band = {"color": look["color"], "alpha": 0.2, "linewidth": 0}
    axes.fill_between(rows["share"], rows["low"], rows["high"], **band)
    axes.plot(rows["share"], rows["loss"], **look | {"markersize": 3.5})


def draw_pairs(axes: Axes, place: int, rows: pd.DataFrame, measure: str, look: dict) -> None:
    x = place + figures.spread(rows["family"], 0.6)
    if f"{measure}_low" in rows:
        figures.whiskers(axes, x, rows[f"{measure}_low"], rows[f"{measure}_high"])
    axes.plot(x, rows[measure], **look | {"linestyle": "none", "markersize": 4})
    axes.hlines(np.mean(rows[measure]), place - 0.4, place + 0.4, **MEAN)


if __name__ == "__main__":
    of = "of compare_connectivity.py"
    commandline.run(main, figures.parser(__doc__, curves=of, pairs=of).parse_args())
