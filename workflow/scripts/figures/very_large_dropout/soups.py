"""Fine-tuned models and the averages of their weights: ImageNet against data that shift."""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib import pyplot
from matplotlib.figure import Figure

from dissent import commandline, figures
from dissent.soups import AXES, CHOSEN_ON, SHIFTED

LOOKS = {
    "individual": {"marker": "o", "color": "#56B4E9", "markersize": 4, "markeredgewidth": 0.3},
    "chosen": {"marker": "s", "color": "#0072B2", "markersize": 7},
    "uniform soup": {"marker": "D", "color": "#E69F00", "markersize": 7},
    "greedy soup": {"marker": "*", "color": "#D55E00", "markersize": 11},
}


def main(arguments: argparse.Namespace) -> None:
    figure, table = draw(pd.read_csv(arguments.soups), arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(soups: pd.DataFrame, run: str, level: float) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    ends = [f"{axis}{end}" for axis in AXES for end in ("", "_low", "_high")]
    drawn = soups["kind"].mask(soups["chosen"], "chosen")
    table = soups[["model", *ends]].assign(drawn=drawn)
    alone = (soups["kind"] == "individual").sum()
    names = {
        "individual": f"one of {alone} models",
        "chosen": f"the model best on {CHOSEN_ON}",
        "uniform soup": "uniform soup: average of all",
        "greedy soup": f"greedy soup: average of those that help on {CHOSEN_ON}",
    }
    figure, axes = pyplot.subplots(figsize=(figures.WIDTH, 4), layout="constrained")
    for kind, look in LOOKS.items():
        rows = table[table["drawn"] == kind]
        if kind != "individual":
            figures.whiskers(axes, rows["ImageNet"], rows["shifted_low"], rows["shifted_high"])
            axes.hlines(
                rows["shifted"], rows["ImageNet_low"], rows["ImageNet_high"], color=figures.GREY
            )
        axes.plot(
            rows["ImageNet"], rows["shifted"], linestyle="none", markeredgecolor="black", **look
        )
    axes.set(xlabel="accuracy on ImageNet (%)", ylabel="mean accuracy on shifted sets (%)")
    figures.percent(axes.xaxis, axes.yaxis)
    handles = [
        figures.handle(names[kind], markeredgecolor="black", **look) for kind, look in LOOKS.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    figures.footnote(
        figure,
        run,
        f"{alone} models and 2 averages of them; shifted sets: {', '.join(SHIFTED)}",
        f"Whiskers: {level:.0%} normal intervals over images",
    )
    return figure, table[["drawn", "model", *ends]]


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument("--soups", required=True, type=Path, help="of compare_soups.py")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
