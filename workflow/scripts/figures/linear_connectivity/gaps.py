"""Convexity gaps between models of a family, which stand in order of strategy accuracy."""

import argparse

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from dissent import commandline, figures
from dissent import connectivity_figures as shared

COLUMNS = ["family", "first", "second", "convexity_gap", "convexity_gap_low", "convexity_gap_high"]
NAMED = 16  # models that have room for their names


def main(arguments: argparse.Namespace) -> None:
    tables = shared.read(arguments, "pairs", "members")
    figure, table = draw(*tables, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    pairs: pd.DataFrame, members: pd.DataFrame, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws: of each family, its models in the window at the last step."""
    members = shared.at_last_step(shared.with_strategy(members))
    families = shared.families(members)
    kept = shared.in_window(members).sort_values("strategy", ascending=False, kind="stable")
    table = shared.at_last_step(pairs)
    table = table.loc[table["kept"].astype(bool) & table["family"].isin(families), COLUMNS]
    figure, all_axes = shared.panels(len(families), 2.5, columns=2)
    # Panels are square: what they leave of the width should not come between them and the colours.
    figure.set_layout_engine("compressed")
    largest, image = table["convexity_gap"].max(), None
    for axes, family in zip(all_axes, families, strict=True):
        rows, gaps = (one[one["family"] == family] for one in (kept, table))
        axes.set_title(family, pad=17)
        if gaps.empty:
            figures.absent(axes, "Fewer than two models\nin the window")
        else:
            image = draw_panel(axes, gaps, rows, largest)
    if image:
        label = "convexity gap (nats)"
        figure.colorbar(image, ax=all_axes, location="right", shrink=0.7, label=label)
    figure.legend(handles=shared.cluster_handles(kept), loc="outside upper center", ncols=3)
    brackets = " (in brackets)" if (kept.groupby("family").size() <= NAMED).any() else ""
    figures.footnote(
        figure,
        run,
        *shared.member_counts(members),
        f"Models in order of strategy accuracy{brackets}, highest first; marks: their cluster",
        interval_reach(table, level),
    )
    return figure, table


def draw_panel(axes: Axes, gaps: pd.DataFrame, members: pd.DataFrame, largest: float) -> AxesImage:
    places = {model: i for i, model in enumerate(members["model"])}
    gaps_MM = np.full((len(places), len(places)), np.nan)
    first, second = (gaps[end].map(places) for end in ("first", "second"))
    gaps_MM[first, second] = gaps_MM[second, first] = gaps["convexity_gap"]
    image = axes.imshow(gaps_MM, cmap="cividis_r", vmin=0, vmax=largest)
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    above = axes.get_xaxis_transform()
    for _, look, rows in shared.by_cluster(members):
        x_M = rows["model"].map(places)
        axes.plot(x_M, np.full(len(rows), 1.04), **look, transform=above, clip_on=False)
    if len(places) <= NAMED:
        labels = [
            f"{shared.shortened(model)} ({100 * accuracy:.0f}%)"
            for model, accuracy in zip(members["model"], members["strategy"], strict=True)
        ]
        axes.set_yticks(range(len(places)), labels)
    return image


def interval_reach(table: pd.DataFrame, level: float) -> str:
    """How wide the intervals are, which a heat map does not show."""
    width = (table["convexity_gap_high"] - table["convexity_gap_low"]).median() / 2
    if np.isnan(width):
        return "No intervals: no pairs"
    return f"Not drawn: {level:.0%} bootstrap over examples; half its width has median {width:.2g}"


if __name__ == "__main__":
    of = "of compare_connectivity.py"
    parser = figures.parser(__doc__, pairs=of, members=of)
    commandline.run(main, parser.parse_args())
