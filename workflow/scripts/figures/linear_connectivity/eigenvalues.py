"""Whether there are clusters: eigenvalues of the Laplacian, and how stable clusters are."""

import argparse

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dissent import commandline, figures
from dissent import connectivity_figures as shared

STABILITIES = {
    "stability_examples": "resampled examples",
    "stability_seeds": "seeds of k-means",
}
SHADES = {"stability_examples": "black", "stability_seeds": "white"}
GAP = {"color": "black", "linewidth": 1, "zorder": 1.4}


def main(arguments: argparse.Namespace) -> None:
    (clusters,) = shared.read(arguments, "clusters")
    figure, table = draw(clusters, arguments.run)
    figures.save_figure(figure, table, arguments.output)


def draw(clusters: pd.DataFrame, run: str) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    last = shared.at_last_step(clusters)
    found = last[last["eigenvalues"].notna()]
    looks = shared.family_looks(clusters["family"])
    figure, (*panels, stability) = shared.panels(len(found) + 1, height=2)
    for axes, row in zip(panels, found.itertuples(), strict=True):
        draw_eigenvalues(axes, row, looks[row.family])
        axes.set_title(f"{row.family}\ngap after {row.k:.0f}: {row.eigengap:.2g}")
        axes.set(xlabel="rank", ylabel="eigenvalue")
    stabilities = clusters.melt(["family", "step"], list(STABILITIES), "measure", "value")
    draw_stability(stability, stabilities.dropna(subset="value"))
    handles = [
        figures.handle(name, marker="o", color=SHADES[measure], markeredgecolor="black")
        for measure, name in STABILITIES.items()
    ]
    figure.legend(
        handles=handles if len(found) else [],
        loc="outside upper center",
        ncols=2,
        title="agreement of clusters under" if len(found) else None,
    )
    figures.footnote(figure, run, *facts(last))
    eigenvalues = pd.concat([pd.DataFrame(), *map(ranked, found.itertuples())])
    return figure, pd.concat([eigenvalues, stabilities]).reindex(
        columns=["family", "step", "measure", "rank", "value"]
    )


def ranked(row) -> pd.DataFrame:
    """Eigenvalues of a row of clusters.csv, the lowest first."""
    values = [float(value) for value in row.eigenvalues.split()]
    rows = pd.DataFrame({"rank": range(1, len(values) + 1), "value": values})
    return rows.assign(family=row.family, step=row.step, measure="eigenvalue")


def draw_eigenvalues(axes: Axes, row, look: dict) -> None:
    """All but the first, which is 0 of every such graph and would hide how the others differ."""
    rest = ranked(row).iloc[1:]
    axes.plot(rest["rank"], rest["value"], **look)
    gap = rest[rest["rank"].isin([row.k, row.k + 1])]["value"]
    if len(gap) > 1:
        axes.axhspan(*gap, color="0.85", zorder=1)
    axes.axvline(row.k + 0.5, linestyle=":", **GAP)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.ticklabel_format(axis="y", useOffset=False)


def draw_stability(axes: Axes, stabilities: pd.DataFrame) -> None:
    """A row for each family and step, in order; of one step the family alone is named."""
    axes.set_title("stability of clusters")
    if stabilities.empty:
        figures.absent(axes, "not measured")
        return
    keys = list(dict.fromkeys(zip(stabilities["family"], stabilities["step"], strict=True)))
    several = stabilities.groupby("family")["step"].nunique() > 1
    names = [f"{family}, step {step:g}" if several[family] else family for family, step in keys]
    for (measure, shade), aside in zip(SHADES.items(), (-0.15, 0.15), strict=True):
        rows = stabilities[stabilities["measure"] == measure]
        y = [keys.index(key) + aside for key in zip(rows["family"], rows["step"], strict=True)]
        axes.plot(rows["value"], y, "o", color=shade, markeredgecolor="black")
    axes.set_yticks(range(len(keys)), names)
    axes.set_ylim(len(keys) - 0.5, -0.5)
    axes.set_xlim(min(0, np.nanmin(stabilities["value"])) - 0.05, 1.05)
    axes.set(xlabel="adjusted Rand index")
    axes.grid(visible=False, axis="y")


def facts(last: pd.DataFrame) -> list[str]:
    found = last["eigenvalues"].notna()
    sizes = [
        f"{row.family}: {row.size_large:.0f} and {row.size_small:.0f} of {row.n_kept} models"
        for row in last[found].itertuples()
    ]
    scales = ", ".join(f"{scale:g}" for scale in last.loc[found, "affinity_scale"].unique())
    few = [
        f"{row.family}: no clusters, {figures.counted(row.n_kept, 'model')} in the window"
        for row in last[~found].itertuples()
    ]
    scale = [f"Scale of the affinity: {scales}; the first eigenvalue, 0, is left out"]
    return [
        *shared.wrapped("; ".join([*sizes, *few])),
        *(scale if found.any() else []),
        "No intervals: stability says how far chance reaches",
    ]


if __name__ == "__main__":
    parser = figures.parser(__doc__, clusters="of compare_connectivity.py")
    commandline.run(main, parser.parse_args())
