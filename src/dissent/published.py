"""Tables that others published of their models: accuracies, clusters, counts of right answers."""

import csv
import json
import os

import numpy as np
import pandas as pd

from dissent.commandline import InputError

# Columns of the accuracies of the 100 "BERTs of a feather" (McCoy, Min and Linzen 2020), and what
# they are called here: accuracy on MNLI's development set, on the six subsets of HANS, and on all
# of HANS. Sub-cases of HANS have a prefix: its heuristic, then whether the pair is entailed.
MNLI, HANS = "mnli", "hans"
SUBSETS = {
    "Lexical (entailed)": "lexical overlap, entailment",
    "Lexical (nonent)": "lexical overlap, non-entailment",
    "Subseq (entailed)": "subsequence, entailment",
    "Subseq (nonent)": "subsequence, non-entailment",
    "Constituent (entailed)": "constituent, entailment",
    "Constituent (nonent)": "constituent, non-entailment",
}
ACCURACIES = {"MNLI dev acc.": MNLI, **SUBSETS, "Overall accuracy": HANS}
SUBCASES = ("le_", "ln_", "se_", "sn_", "ce_", "cn_")
# Two clusters of them, told apart by which is the larger (Juneja et al. 2023).
CLUSTERS = ("small", "large")
# Images in each set of the model soups (Wortsman et al. 2022): the published accuracies are whole
# numbers of images. The first is the part of ImageNet's training images kept for choosing models.
IMAGES = {
    "ImageNet2p": 26_000,
    "ImageNet": 50_000,
    "ImageNetV2": 10_000,
    "ImageNetSketch": 50_889,
    "ImageNetR": 30_000,
    "ObjectNet": 18_574,
    "ImageNetA": 7_500,
}


def read_accuracies(path: str | os.PathLike) -> pd.DataFrame:
    """Accuracies of each run of the BERTs of a feather, by run; rows that summarise are left out.

    Columns are `run` (its number), `mnli`, the six subsets of HANS, `hans` and its sub-cases under
    their published names. Raises InputError for a missing column or value, or a run given twice.
    """
    table = _read_csv(path)
    _need_columns(path, table, ["Run", *ACCURACIES])
    run_P = table["Run"].astype(str).str.extract(r"^Run (\d+)$", expand=False)
    published = table[run_P.notna()]
    if published.empty:
        raise InputError(f"{path} has no run: name the rows 'Run 0', 'Run 1' and so on")
    _refuse_repeated(path, published["Run"])
    columns = [*ACCURACIES, *(name for name in table if name.startswith(SUBCASES))]
    values = published[columns].apply(pd.to_numeric, errors="coerce")
    for row, column in np.argwhere(~((values >= 0) & (values <= 1)).to_numpy())[:1]:
        raise InputError(
            f"{path}: {columns[column]!r} of {published['Run'].iloc[row]!r} should be an accuracy "
            f"from 0 to 1, not {published[columns].iloc[row, column]}"
        )
    values.insert(0, "run", run_P.dropna().astype(int))
    return values.rename(columns=ACCURACIES).reset_index(drop=True)


def read_clusters(path: str | os.PathLike, runs: pd.Series) -> pd.Series:
    """The cluster, "small" or "large", of each of the runs, in their order.

    Raises InputError if the list and the runs are not the same, or a cluster has fewer than two.
    """
    table = _read_csv(path)
    _need_columns(path, table, ["run", "cluster"])
    _refuse_repeated(path, table["run"])
    for row in table[~table["cluster"].isin(CLUSTERS)].itertuples():
        raise InputError(
            f"{path}: the cluster of run {row.run} should be small or large, not {row.cluster}"
        )
    for run in table["run"][~table["run"].isin(runs)]:
        raise InputError(f"{path} names run {run}, of which there are no accuracies: remove it")
    for run in runs[~runs.isin(table["run"])]:
        raise InputError(f"{path} has no cluster for run {run}: add it")
    for cluster in CLUSTERS:
        if (table["cluster"] == cluster).sum() < 2:
            raise InputError(f"{path}: the {cluster} cluster needs two runs or more: add some")
    return runs.map(table.set_index("run")["cluster"])


def read_counts(path: str | os.PathLike, n_models: int) -> np.ndarray:
    """How many of the models were right on each example, int64 [N]: the last column of the table.

    The table is separated by tabs and quotes mean nothing in it. Raises InputError for what is no
    count from 0 to `n_models`.
    """
    column = _read_csv(path, sep="\t", quoting=csv.QUOTE_NONE).iloc[:, -1]
    counts_N = pd.to_numeric(column, errors="coerce")
    wrong_N = ~counts_N.isin(range(n_models + 1))
    for row in np.flatnonzero(wrong_N)[:1]:
        raise InputError(
            f"{path}: row {row + 1} of column {column.name!r} should be how many of {n_models} "
            f"models were right, not {column.iloc[row]}"
        )
    return counts_N.to_numpy(dtype=np.int64)


def read_soups(path: str | os.PathLike) -> pd.DataFrame:
    """Accuracies of models (or of a soup of them) on each of IMAGES, and the column `model`.

    A line of JSON is one model. Raises InputError for a line without a set or with no accuracy.
    """
    rows = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                given = json.loads(line)
                rows.append({"model": given["model_name"]} | {name: given[name] for name in IMAGES})
            except KeyError as error:
                raise InputError(f"{path}: line {number} has no {error}: add it") from None
            except (ValueError, TypeError):
                raise InputError(f"{path}: line {number} is no JSON object") from None
            for name in IMAGES:
                value = given[name]
                if not (isinstance(value, int | float) and 0 <= value <= 1):
                    raise InputError(
                        f"{path}: {name} in line {number} should be an accuracy from 0 to 1, "
                        f"not {value!r}"
                    )
    if not rows:
        raise InputError(f"{path} is empty: give a line of JSON for each model")
    return pd.DataFrame(rows)


def _read_csv(path: str | os.PathLike, **options) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, **options)
    # pandas' errors of files that it cannot decode or split into columns are ValueErrors.
    except ValueError as error:
        raise InputError(f"{path} is no table that can be read: {error}") from None
    if table.empty:
        raise InputError(f"{path} has no rows: give the table as it was published")
    return table


def _need_columns(path: str | os.PathLike, table: pd.DataFrame, columns: list[str]) -> None:
    for name in columns:
        if name not in table:
            raise InputError(f"{path} has no column {name!r}: it has {', '.join(table.columns)}")


def _refuse_repeated(path: str | os.PathLike, names: pd.Series) -> None:
    for name in names[names.duplicated()]:
        raise InputError(f"{path} has a row for {name} twice: remove one")
