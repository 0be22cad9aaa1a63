"""Whether the convexity gap behaves as a distance: triangles of models, and how they cluster."""

import argparse
from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import connectivity_figures as shared

CHECKS = {
    "violated": "violated (%)",
    "clustering_coefficient": "clustering coefficient",
}
# Of the largest gap of a triangle over the sum of the others; the last holds all above.
BINS = np.linspace(0.5, 1.5, 21)
LIMIT = {"color": "black", "linestyle": "--", "linewidth": 1, "zorder": 1.5}


def main(arguments: argparse.Namespace) -> None:
    tables = shared.read(arguments, "checks", "pairs")
    figure, table = draw(*tables, arguments.run)
    figures.save_figure(figure, table, arguments.output)


def draw(checks: pd.DataFrame, pairs: pd.DataFrame, run: str) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    shares = checks["triangle_violations"] / checks["n_triangles"].where(checks["n_triangles"] > 0)
    checks = checks.assign(violated=shares)
    last = shared.at_last_step(checks)
    kept = shared.in_window(shared.at_last_step(pairs))
    looks = shared.family_looks(last["family"])
    figure, axes = shared.panels(len(last) + len(CHECKS), height=1.9, columns=4)
    parts = []
    for panel, row in zip(axes, last.itertuples(), strict=False):
        histogram = triangles(kept[kept["family"] == row.family])
        draw_triangles(panel, histogram, looks[row.family])
        panel.set_title(f"{row.family}\ntriangles: {row.n_triangles:,.0f}")
        parts.append(histogram.assign(family=row.family, step=row.step))
    for panel, (check, title) in zip(axes[len(last) :], CHECKS.items(), strict=True):
        draw_check(panel, checks, check, looks)
        panel.set_title(title)
        parts.append(checks[["family", "step"]].assign(measure=check, value=checks[check]))
    violated, coefficient = axes[-2:]
    figures.percent(violated.xaxis)
    if coefficient.axison:
        coefficient.axvline(0.5, **LIMIT)
    figures.footnote(
        figure,
        run,
        "Models in the window. Histograms, at the last step: the largest convexity gap of a "
        "triangle",
        "over the sum of the other two; beyond 1 (dashed) the inequality is violated; the last "
        "bin has all above",
        "Clustering coefficient: of pairs of at most the median gap; about 0.5 (dashed) by chance",
        "Small marks: earlier steps. " * (len(checks) > len(last))
        + "No intervals: triangles share models",
    )
    columns = ["family", "step", "measure", "ratio_from", "value"]
    return figure, pd.concat(parts).reindex(columns=columns)


def triangles(pairs: pd.DataFrame) -> pd.DataFrame:
    """How many triangles are in each of the bins."""
    models = pd.unique(pairs[["first", "second"]].to_numpy().ravel())
    gaps_MM = np.zeros((len(models), len(models)))
    places = {model: place for place, model in enumerate(models)}
    i_P, j_P = (pairs[end].map(places).to_numpy(int) for end in ("first", "second"))
    gaps_MM[i_P, j_P] = gaps_MM[j_P, i_P] = pairs["convexity_gap"]
    corners_T3 = np.array([*combinations(range(len(models)), 3)], int).reshape(-1, 3)
    sides_T3 = np.sort(gaps_MM[corners_T3, np.roll(corners_T3, 1, axis=1)], axis=1)
    rest_T = sides_T3[:, 0] + sides_T3[:, 1]
    # Three gaps of 0 make no triangle to judge.
    at = sides_T3[:, 2] > 0
    with np.errstate(divide="ignore"):
        ratio_T = sides_T3[at, 2] / rest_T[at]
    n_B, _ = np.histogram(ratio_T.clip(max=BINS[-1]), BINS)
    return pd.DataFrame({"measure": "triangles", "ratio_from": BINS[:-1].round(9), "value": n_B})


def draw_triangles(axes: Axes, histogram: pd.DataFrame, look: dict) -> None:
    if not histogram["value"].sum():
        figures.absent(axes, "No triangle of models\nin the window")
        return
    width = BINS[1] - BINS[0]
    axes.bar(
        *(histogram["ratio_from"], histogram["value"], width),
        align="edge",
        color=look["color"],
        edgecolor="black",
        linewidth=0.4,
    )
    axes.axvline(1, **LIMIT)
    axes.set_xlim(BINS[0], BINS[-1])
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("largest gap / sum of others")


def draw_check(axes: Axes, checks: pd.DataFrame, check: str, looks: dict[str, dict]) -> None:
    """A row for each family, with its steps from top to bottom; the last has a large mark."""
    measured = checks.dropna(subset=check)
    if measured.empty:
        figures.absent(axes, "Not measured")
        return
    names = shared.families(checks)
    for family, rows in measured.groupby("family", sort=False):
        rows = rows.sort_values("step")
        y = names.index(family) + figures.spread(rows["family"], 0.6)
        axes.plot(rows[check], y, color=figures.GREY, linewidth=0.8)
        at_end = rows["step"] == rows["step"].max()
        look = looks[family] | {"linestyle": "none"}
        axes.plot(rows[check][~at_end], y[~at_end], **look | {"markersize": 3})
        axes.plot(rows[check][at_end], y[at_end], **look)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    # Marks at either end have room.
    top = max(0.5, measured[check].max())
    axes.set_xlim(-0.08 * top, 1.08 * top)
    axes.grid(visible=False, axis="y")


if __name__ == "__main__":
    of = "of compare_connectivity.py"
    commandline.run(main, figures.parser(__doc__, checks=of, pairs=of).parse_args())
