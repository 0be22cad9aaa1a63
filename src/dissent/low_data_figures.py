"""What the figures of low-data ensembles share: names, order and looks of methods, and means."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from dissent import figures
from dissent.figures import STYLES, Style
from dissent.method_comparison import ALL_TASKS
from dissent.tables import read_table
from dissent.welch_intervals import seeds_interval

TEXT = ["task", "group", "method", "model", "category", "source", "corruption"]
# Methods in the order of the figures, under a heading each.
BLOCKS = {
    "one fine-tuning": {"single": "best single"},
    "best candidates": {
        "greedy": "greedy",
        "greedy-without-replacement": "greedy, no repeats",
        "greedy-with-replacement": "greedy, with repeats",
        "bagged": "greedy, bagged",
        "all": "average of all",
        "random": "average of random",
    },
    "one checkpoint": {"settings": "settings", "heads": "heads"},
    "one upstream pool": {category: category for category in STYLES},
}
NAMES = {method: name for block in BLOCKS.values() for method, name in block.items()}
# Methods drawn as lines. No colour is that of a category; ensembles of one checkpoint are hollow.
LOOKS = {
    "single": Style("0.45", "X", (0, (1, 1.2))),
    "greedy": Style("black", "o", "-"),
    "settings": Style("#CC79A7", "s", (0, (5, 1.5))),
    "heads": Style("#882255", "^", (0, (4, 1.2, 1, 1.2))),
}
HOLLOW = ("settings", "heads")
GROUPS = ("natural", "specialised", "structured")  # of the paper, which come first


def read(paths: Iterable[Path]) -> pd.DataFrame:
    """Tables of several tasks as one; names stay text."""
    return pd.concat([read_table(path, TEXT) for path in paths], ignore_index=True)


def look(method: str) -> dict:
    """How marks of a method look; those that are drawn as points alone are black."""
    style = LOOKS.get(method) or STYLES.get(method) or LOOKS["greedy"]
    face = {"markerfacecolor": "white", "markeredgewidth": 1.2} if method in HOLLOW else {}
    edge = style.color if method in HOLLOW else "black"
    return {"color": style.color, "marker": style.marker, "markeredgecolor": edge} | face


def line(method: str) -> dict:
    """How lines of a method look, with their marks."""
    return look(method) | {"linestyle": LOOKS[method].dashes}


def over_seeds(table: pd.DataFrame, keys: list[str], value: str, level: float) -> pd.DataFrame:
    """Mean over tasks and seeds of each combination of keys: keys, value, low, high.

    low and high are the interval over seeds of the mean over tasks; of one seed, NaN.
    """
    rows = []
    for key, of_key in table.groupby(keys, sort=False):
        seeds = of_key.groupby(["task", "seed"], sort=False)[value].mean()
        by_task = [of_task.to_numpy() for _, of_task in seeds.groupby("task", sort=False)]
        mean = np.mean([of_task.mean() for of_task in by_task])
        rows.append((*key, mean, *seeds_interval(by_task, level)))
    return pd.DataFrame(rows, columns=[*keys, "value", "low", "high"])


def in_order(groups: Iterable[str]) -> list[str]:
    """Groups in the order of the paper, others by name, all tasks last; one group is all tasks."""
    named = sorted(set(groups) - {ALL_TASKS}, key=lambda group: (group not in GROUPS, group))
    return [*named, ALL_TASKS] if len(named) > 1 else [ALL_TASKS]


def spelt(correlation: float) -> str:
    """A correlation with two digits."""
    return f"{correlation:.2f}".replace("-", "\N{MINUS SIGN}").replace("nan", "undefined")


def counts(n_tasks: int, n_seeds: int) -> str:
    """Of how many tasks and seeds a figure is."""
    return f"{figures.counted(n_tasks, 'task')}, {figures.counted(n_seeds, 'seed')}"


def examples(n_T: pd.Series) -> str:
    """How many test examples each task has."""
    sizes = dict.fromkeys(f"{n:,}" for n in (n_T.min(), n_T.max()))
    return f"{' to '.join(sizes)} test examples a task"


def interval_note(n_seeds: int, level: float) -> str:
    """What whiskers are, where they are t intervals over seeds."""
    if n_seeds == 1:
        return "No intervals: one seed"
    what = f"{level:.0%} t intervals over {n_seeds} seeds of the mean over tasks"
    return f"Whiskers, cut at the frame: {what}"
