"""Whether fewer features want less dropout: probes of random features against dropout rate."""

import argparse
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent import dropout_figures as dropout
from dissent.dropout_figures import MARKERS
from dissent.dropout_rate_curves import Arm, rate_curves


def main(arguments: argparse.Namespace) -> None:
    tables = dropout.read(arguments, "runs", "methods")
    figure, table = draw(*tables, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    runs: pd.DataFrame, methods: pd.DataFrame, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    probes = methods[(methods["kind"] == "probe") & (methods["version"] == "selected")]
    # All features, which have no width, are the last.
    widths = probes["width"].fillna(np.inf)
    ordered = np.sort(widths.unique())
    shades = map(to_hex, colormaps["YlGnBu"](np.linspace(0.35, 1, len(ordered))))
    arms = [
        Arm(
            "all features" if np.isinf(width) else f"{width:g} features",
            {"color": shade, "marker": marker, "linestyle": "-"},
            probes[widths == width],
        )
        for width, shade, marker in zip(ordered, shades, cycle(MARKERS), strict=False)
    ]
    title = "Do probes of fewer features want less dropout?"
    return rate_curves(arms, title, runs, run, level)


if __name__ == "__main__":
    of = "of compare_dropout.py"
    commandline.run(main, figures.parser(__doc__, runs=of, methods=of).parse_args())
