"""Calibration of single models and ensembles, tempered before averaging, after it, or never."""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dissent import commandline, figures

VARIANTS = {
    "raw": ("as they are", {"marker": "o", "color": "white", "markeredgecolor": "black"}),
    "members_scaled": (
        "members tempered, then averaged",
        {"marker": "s", "color": "#56B4E9", "markeredgecolor": "black"},
    ),
    "ensemble_scaled": (
        "averaged, then tempered",
        {"marker": "^", "color": "#D55E00", "markeredgecolor": "black"},
    ),
}
FLOOR = {"marker": "|", "color": "0.3", "markersize": 7, "markeredgewidth": 1.2}
LEAST = 20  # examples of a bin that is drawn
ROW = 0.3  # inches


def main(arguments: argparse.Namespace) -> None:
    tables = map(pd.read_csv, (arguments.table, arguments.bins))
    figure, table = draw(*tables, arguments.data_name, arguments.run, arguments.level)
    figures.save_figure(figure, table, arguments.output)


def draw(
    table: pd.DataFrame, bins: pd.DataFrame, data: str, run: str, level: float
) -> tuple[Figure, pd.DataFrame]:
    """The figure and what it draws."""
    table, bins = drawn(table, bins)
    names = letters(table)
    single = [members for members in names if len(names[members]) == 1]
    heights = 2.8, 1.1 + ROW * len(names)
    figure = pyplot.figure(figsize=(figures.WIDTH, sum(heights) + 0.5), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=heights)
    upper, lower = above.subplots(1, 3), below.subplots(1, 3)
    looks = {members: single_look(i) for i, members in enumerate(single)}
    for axes, variant in zip(upper, ("raw", "members_scaled"), strict=False):
        lines = {members: look | {"markersize": 3.5} for members, look in looks.items()}
        draw_reliability(axes, bins[bins["variant"] == variant].groupby("members"), lines)
        axes.set_title(f"Single models {'tempered' if variant != 'raw' else 'as they are'}")
    together = bins[bins["n_members"] == len(single)].groupby("variant")
    lines = {
        variant: {"linestyle": "-", "markersize": 4} | look | {"color": "black"} | face(look)
        for variant, (_, look) in VARIANTS.items()
    }
    draw_reliability(upper[2], together, lines)
    upper[2].set_title(f"All {len(single)} models averaged")
    draw_differences(lower[0], table[table["measure"] == "accuracy"], names)
    lower[0].set(title="Accuracy less the best member's", xlabel="points of accuracy")
    draw_differences(lower[1], table[table["measure"] == "nll"], names)
    lower[1].set(title="Log loss less the best member's", xlabel="nats; lower is better")
    draw_errors(lower[2], table[table["measure"].isin(["ece", "ece_if_calibrated"])], names)
    lower[2].set(title="Calibration error", xlabel="ECE (%); lower is better")
    figures.percent(lower[0].xaxis, lower[2].xaxis)
    models = [figures.handle(f"{names[model]}  {model}", **look) for model, look in looks.items()]
    above.legend(handles=models, loc="outside upper center", ncols=4)
    marks = [*VARIANTS.values(), ("ECE if calibrated", FLOOR)]
    handles = [figures.handle(label, **look) for label, look in marks]
    below.legend(handles=handles, loc="outside upper center", ncols=4, handletextpad=0.1)
    figures.footnote(
        figure,
        run,
        f"data set {data}, {table['n'].iloc[0]:,} examples; temperatures and the best member are "
        "chosen on others",
        f"Whiskers: {level:.0%} bootstrap over examples, above Wilson intervals; bins of at least "
        f"{LEAST} examples",
        "Whiskers of the calibration error: spread of the estimate, which is too high for small "
        "samples; not an interval of the true one",
    )
    parts = [bins.assign(panel="reliability"), table.assign(panel="measures")]
    return figure, pd.concat(parts)


def drawn(table: pd.DataFrame, bins: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The measures and the bins that are drawn."""
    shown = table["measure"].isin(["accuracy", "nll", "ece", "ece_if_calibrated"])
    n_models = table["n_members"].max()
    of_all = bins["n_members"].isin([1, n_models])
    return table[shown], bins[of_all & (bins["n"] >= LEAST)]


def letters(table: pd.DataFrame) -> dict[str, str]:
    """A short name of each combination of models, in the order of the table."""
    sizes = table.drop_duplicates("members").set_index("members")["n_members"]
    single = {members: chr(ord("A") + i) for i, members in enumerate(sizes[sizes == 1].index)}
    names = {}
    for members, size in sizes.items():
        parts = [single[model] for model in members.split(" + ")]
        names[members] = " + ".join(parts) if size < 4 else f"all {size}"
    return names


def single_look(position: int) -> dict:
    """How one of the single models looks in both panels of them."""
    rank, at = divmod(position, len(figures.STYLES))
    category = list(figures.STYLES)[at]
    return figures.marker(category) | figures.line(category, rank)


def face(look: dict) -> dict:
    return {"markerfacecolor": look["color"]}


def draw_reliability(axes: Axes, groups, looks: dict[str, dict]) -> None:
    """Accuracy against confidence; below the diagonal predictions are too confident."""
    axes.plot([0, 1], [0, 1], color="black", linestyle=":", linewidth=0.8)
    for name, rows in groups:
        if name in looks:
            figures.whiskers(axes, rows["confidence"], rows["low"], rows["high"])
            axes.plot(rows["confidence"], rows["accuracy"], **looks[name])
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
    axes.set(xlabel="confidence (%)", ylabel="accuracy (%)")
    figures.percent(axes.xaxis, axes.yaxis)


def draw_rows(axes: Axes, table: pd.DataFrame, names: dict[str, str], columns: list[str]) -> None:
    """A row a combination, with a mark for each of its variants."""
    for i, (variant, (_, look)) in enumerate(VARIANTS.items()):
        rows = table[table["variant"] == variant]
        y = rows["members"].map(list(names).index) + 0.24 * (i - 1)
        value, low, high = (rows[column] for column in columns)
        axes.hlines(y, low, high, color=figures.GREY, linewidth=0.7, zorder=1.5)
        axes.plot(value, y, **({"linestyle": "none", "markersize": 4.5} | look))
    axes.set_yticks(range(len(names)), names.values())
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)


def draw_differences(axes: Axes, table: pd.DataFrame, names: dict[str, str]) -> None:
    """Differences to the best member; of a single model its own values, as text."""
    axes.axvline(0, color="black", linewidth=0.8)
    draw_rows(axes, table, names, ["difference", "difference_low", "difference_high"])
    single = table[table["n_members"] == 1].pivot(
        index="members", columns="variant", values="value"
    )
    for members, row in single.iterrows():
        raw, scaled = row["raw"], row["members_scaled"]
        text = f"alone {raw:.1%}" if raw == scaled else f"alone {raw:.2f}, tempered {scaled:.2f}"
        place = 0.5, list(names).index(members)
        centred = {"ha": "center", "va": "center", "transform": axes.get_yaxis_transform()}
        axes.text(*place, text, **centred, bbox={"color": "white", "pad": 1})


def draw_errors(axes: Axes, table: pd.DataFrame, names: dict[str, str]) -> None:
    """Calibration errors, and how large they are of calibrated models with as many examples."""
    draw_rows(axes, table[table["measure"] == "ece"], names, ["value", "low", "high"])
    floor = table[table["measure"] == "ece_if_calibrated"]
    offsets = {variant: 0.24 * (i - 1) for i, variant in enumerate(VARIANTS)}
    y = floor["members"].map(list(names).index) + floor["variant"].map(offsets)
    axes.plot(floor["value"], y, **({"linestyle": "none"} | FLOOR))
    axes.set_xlim(left=0)


if __name__ == "__main__":
    parser = commandline.parser(__doc__)
    parser.add_argument(
        "--table", required=True, type=Path, help="of measure_ensemble_calibration.py"
    )
    parser.add_argument("--bins", required=True, type=Path, help="of the same script")
    parser.add_argument("--data-name", required=True, help="name of the data set")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--level", required=True, type=float, help="coverage of the intervals")
    parser.add_argument("--output", required=True, nargs="+", type=Path, help="svg, pdf, png, csv")
    commandline.run(main, parser.parse_args())
