"""Other measures of connection against the convexity gap, of every pair of models."""

import argparse

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import connectivity_figures as shared

GAP = "convexity_gap"
MEASURES = {
    "barrier": "barrier (nats)",
    "bump": "bump (nats)",
    "area": "area (nats)",
    "distance": "distance of weights",
}
ROW = 1.45  # inches


def main(arguments: argparse.Namespace) -> None:
    (pairs,) = shared.read(arguments, "pairs")
    figure, table = draw(pairs, arguments.run)
    figures.save_figure(figure, table, arguments.output)


def draw(pairs: pd.DataFrame, run: str) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    last = shared.at_last_step(pairs)
    compared = shared.in_window(last).dropna(subset=GAP)
    names = shared.families(last)
    looks = shared.family_looks(names)
    size = figures.WIDTH, 0.9 + ROW * len(names)
    figure, grid = pyplot.subplots(
        *(len(names), len(MEASURES)), figsize=size, layout="constrained", squeeze=False
    )
    parts = []
    for row, family in zip(grid, names, strict=True):
        rows = compared[compared["family"] == family]
        for axes, measure in zip(row, MEASURES, strict=True):
            rank_r = draw_panel(axes, family, rows, measure, looks[family])
            made = rows[["family", "first", "second", GAP]]
            parts.append(made.assign(measure=measure, value=rows[measure], rank_r=rank_r))
        row[0].set_ylabel(f"{family}\n({figures.counted(len(rows), 'pair')})")
    for axes, title in zip(grid[0], MEASURES.values(), strict=True):
        axes.set_title(f"{title}\n{axes.get_title('left')}")
    for axes in grid[-1]:
        axes.set_xlabel("convexity gap (nats)")
    figures.footnote(
        figure,
        run,
        f"{figures.counted(len(compared), 'pair')} of models in the window, at the last step; each "
        "panel has its own scales",
        "\N{GREEK SMALL LETTER RHO}: Spearman's rank correlation with the convexity gap (x axis); "
        "no interval, as pairs share models",
    )
    return figure, pd.concat(parts)


def draw_panel(axes: Axes, family: str, rows: pd.DataFrame, measure: str, look: dict) -> float:
    """Draw pairs; the rank correlation, NaN where there is none."""
    if rows.empty:
        figures.absent(axes, f"{family}: no pair\nin the window")
        return float("nan")
    dense = {"rasterized": len(rows) > figures.DENSE}
    axes.plot(rows[GAP], rows[measure], **look | {"linestyle": "none", "markersize": 4} | dense)
    rank_r = rows[GAP].corr(rows[measure], method="spearman") if len(rows) > 2 else float("nan")
    axes.set_title(f"\N{GREEK SMALL LETTER RHO} = {shared.spelt(rank_r)}")
    axes.locator_params(nbins=3)
    return rank_r


if __name__ == "__main__":
    parser = figures.parser(__doc__, pairs="of compare_connectivity.py")
    commandline.run(main, parser.parse_args())
