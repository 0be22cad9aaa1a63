"""What dropout gains out of distribution where i.i.d. accuracy is the same."""

import argparse

import numpy as np
import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import dropout_figures as dropout

COLUMNS = 2  # panels of held-out domains side by side


def main(arguments: argparse.Namespace) -> None:
    tables = dropout.read(arguments, "curves", "matched")
    figure, table = draw(*tables, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    curves: pd.DataFrame, matched: pd.DataFrame, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    rates = dropout.rate_looks(curves["rate"])
    own = curves[curves["family"] == dropout.PLAIN]
    means = own.groupby(["held_out", "rate", "step"], sort=False)[["iid", "ood"]].mean()
    means = means.reset_index()
    domains = dropout.domain_looks(means["held_out"])
    n_rows = -(-len(domains) // COLUMNS)
    figure = pyplot.figure(figsize=(figures.WIDTH, 1.6 + 1.6 * n_rows), layout="constrained")
    grid = figure.add_gridspec(n_rows, COLUMNS + 1)
    for place, domain in enumerate(domains):
        row, column = divmod(place, COLUMNS)
        axes = figure.add_subplot(grid[row, column])
        draw_domain(
            *(axes, means[means["held_out"] == domain]),
            *(matched[matched["held_out"] == domain], rates),
        )
        axes.set_title(f"held out: {domain}")
        if not column:
            axes.set_ylabel("o.o.d. accuracy (%)")
        if place + COLUMNS >= len(domains):
            axes.set_xlabel("i.i.d. accuracy (%)")
    draw_gains(figure.add_subplot(grid[:, COLUMNS]), matched, rates, domains)
    handles = [
        figures.handle(f"rate {rate:g}", linestyle="-", **rates[rate])
        for rate in sorted(means["rate"].unique())
    ]
    handles += [figures.handle(f"held out: {domain}", **look) for domain, look in domains.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    of_what = figures.counted(len(domains), "held-out domain"), *dropout.replicates(own)
    figures.footnote(
        figure,
        run,
        f"{', '.join(of_what)}; lines: checkpoints in order, mean of runs",
        "Vertical lines, and right: at the highest i.i.d. accuracy that no dropout and the rate "
        "both reach; learning rates may differ there",
        "Nothing where a seed's first checkpoint is above that accuracy already",
        dropout.interval_note(matched, level, "each domain, and of their mean (large)"),
    )
    return figure, pd.concat([means.assign(panel="runs"), matched.assign(panel="matched")])


def draw_domain(
    axes: Axes, means: pd.DataFrame, matched: pd.DataFrame, looks: dict[float, dict]
) -> None:
    for rate, rows in means.groupby("rate"):
        rows = rows.sort_values("step")
        axes.plot(rows["iid"], rows["ood"], **looks[rate] | {"markersize": 3.5, "zorder": 3})
    for row in matched.itertuples():
        line = {"color": looks[row.rate]["color"], "linewidth": 3, "alpha": 0.5}
        axes.vlines(row.iid, row.ood_plain, row.ood_rate, zorder=2, **line)
    axes.margins(0.1)
    dropout.few_ticks(axes)


def draw_gains(
    axes: Axes,
    matched: pd.DataFrame,
    looks: dict[float, dict],
    domains: dict[str, dict],
) -> None:
    places = {rate: place for place, rate in enumerate(sorted(matched["rate"].unique()))}
    asides = dict(zip(domains, np.linspace(-0.3, 0.3, len(domains)), strict=True))
    axes.axhline(0, color="black", linewidth=0.8, zorder=1.4)
    for row in matched.itertuples():
        is_mean = row.held_out == dropout.ALL_DOMAINS
        x = places[row.rate] + (0 if is_mean else asides[row.held_out])
        dropout.interval(axes.vlines, x, row.low, row.high, is_mean)
        look = {"markersize": 8} | looks[row.rate] if is_mean else domains[row.held_out]
        axes.plot(x, row.difference, zorder=4 if is_mean else 2, **look | {"linestyle": "none"})
    axes.set_ylim(figures.limits(matched["difference"], matched["low"], matched["high"]))
    axes.set_xlim(-0.6, len(places) - 0.4)
    axes.set_xticks([*places.values()], [f"{rate:g}" for rate in places])
    axes.grid(visible=False, axis="x")
    axes.set(xlabel="dropout rate", ylabel="o.o.d. gain over rate 0 (points)")
    axes.set_title("at equal i.i.d. accuracy")
    figures.percent(axes.yaxis)


if __name__ == "__main__":
    of = "of compare_dropout.py"
    commandline.run(main, figures.parser(__doc__, curves=of, matched=of).parse_args())
