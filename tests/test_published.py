import re

import numpy as np
import pandas as pd
import pytest

from dissent import published
from dissent.commandline import InputError
from dissent.hans import hans

SUBCASES = {"le_passive": 0.9, "cn_after_if_clause": 0.25}


@pytest.fixture
def write(tmp_path):
    def write(text, name="given"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_subsets_are_named_as_the_groups_of_hans():
    assert set(published.SUBSETS.values()) == set(hans(0, None, {"report": 30_000}).groups)


def accuracies(runs=(0, 1, 10)):
    """A table as published, but for its byte order mark and the rows after the runs."""
    values = {name: 0.5 + i / 100 for i, name in enumerate(published.ACCURACIES)} | SUBCASES
    return pd.DataFrame([{"Run": f"Run {run}"} | values for run in runs])


def test_runs_are_read_and_the_rows_that_summarise_them_are_not(write):
    table = accuracies().to_csv(index=False)
    empty = "," * (table.splitlines()[0].count(",") - 1)
    path = write(f"\ufeff{table}Mean,{empty}0.5\nMinimum,{empty}\n,{empty}\n")
    read = published.read_accuracies(path)
    assert read["run"].tolist() == [0, 1, 10]
    names = ["mnli", *published.SUBSETS.values(), "hans"]
    assert read.columns.tolist() == ["run", *names, *SUBCASES]
    assert read["mnli"].tolist() == [0.5] * 3
    assert (
        read[published.SUBSETS["Lexical (nonent)"]].tolist()
        == [accuracies()["Lexical (nonent)"].iloc[0]] * 3
    )
    assert read["cn_after_if_clause"].tolist() == [0.25] * 3


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda table: table.drop(columns="Overall accuracy"), "no column 'Overall accuracy'"),
        (lambda table: table.drop(columns="Run"), "no column 'Run'"),
        (lambda table: table.assign(Run="mean"), "has no run: name the rows 'Run 0'"),
        (lambda table: table.assign(Run="Run 3"), "has a row for Run 3 twice"),
        (lambda table: table[:0], "has no rows"),
        (
            lambda table: table.assign(**{"MNLI dev acc.": [0.8, 84, 0.8]}),
            "'MNLI dev acc.' of 'Run 1' should be an accuracy from 0 to 1, not 84",
        ),
        (
            lambda table: table.assign(le_passive=[0.8, 0.8, None]),
            "'le_passive' of 'Run 10' should be an accuracy from 0 to 1, not nan",
        ),
        (
            lambda table: table.astype({"le_passive": object}).replace({"le_passive": 0.9}, "high"),
            "'le_passive' of 'Run 0' should be an accuracy from 0 to 1, not high",
        ),
    ],
)
def test_what_is_wrong_with_accuracies_is_said(write, change, message):
    path = write(change(accuracies()).to_csv(index=False))
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}.*{re.escape(message)}"):
        published.read_accuracies(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a,b\n1,2,3\n4,5,6,7\n"])
def test_a_file_that_is_no_table_is_refused(tmp_path, content):
    path = tmp_path / "given"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no table that can be read"):
        published.read_accuracies(path)


def test_clusters_come_in_the_order_of_the_runs(write):
    path = write("run,cluster\n4,small\n2,large\n9,small\n7,large\n")
    read = published.read_clusters(path, pd.Series([2, 4, 7, 9]))
    assert read.tolist() == ["large", "small", "large", "small"]


@pytest.mark.parametrize(
    "rows, message",
    [
        ("2,large,4,small,7,large,9,small,11,large", "names run 11, of which there are no acc"),
        ("2,large,4,small,7,large", "has no cluster for run 9: add it"),
        ("2,large,4,small,7,large,9,small,9,large", "has a row for 9 twice"),
        ("2,large,4,small,7,large,9,tiny", "of run 9 should be small or large, not tiny"),
        ("2,large,4,small,7,large,9,large", "the small cluster needs two runs or more"),
    ],
)
def test_what_is_wrong_with_clusters_is_said(write, rows, message):
    cells = rows.split(",")
    lines = [f"{run},{cluster}\n" for run, cluster in zip(cells[::2], cells[1::2], strict=True)]
    path = write("".join(["run,cluster\n", *lines]))
    with pytest.raises(InputError, match=message):
        published.read_clusters(path, pd.Series([2, 4, 7, 9]))


def test_the_clusters_of_the_repository_are_of_a_hundred_runs():
    clusters = published.read_clusters("config/clusters/mnli.csv", pd.Series(range(100)))
    small = [15, 25, 26, 42, 44, 46, 56, 61, 63, 70, 73, 89]
    assert clusters.index[clusters == "small"].tolist() == small


COUNTS = 'index\tpremise\tright\n0\ta "quoted start\t3\n1\tno end\t0\n2\t" and more\t{}\n'


def test_counts_are_the_last_column_whatever_quotes_say(write):
    counts_N = published.read_counts(write(COUNTS.format(4)), 4)
    np.testing.assert_array_equal(counts_N, [3, 0, 4])
    assert counts_N.dtype == np.int64


@pytest.mark.parametrize("count", ["5", "-1", "2.5", "", "many"])
def test_a_count_that_cannot_be_is_refused(write, count):
    with pytest.raises(InputError, match=r"row 3 of column 'right' should be how many of 4 models"):
        published.read_counts(write(COUNTS.format(count)), 4)


def soup(**changes):
    values = {"model_name": "m"} | dict.fromkeys(published.IMAGES, 0.5) | changes
    return str({k: v for k, v in values.items() if v is not None}).replace("'", '"')


def test_soups_are_read_line_by_line(write):
    read = published.read_soups(write(f"{soup(extra=2)}\n{soup(model_name='n', ImageNetA=1)}\n"))
    assert read.columns.tolist() == ["model", *published.IMAGES]
    assert read["model"].tolist() == ["m", "n"]
    assert read["ImageNetA"].tolist() == [0.5, 1]


@pytest.mark.parametrize(
    "line, message",
    [
        (soup(ObjectNet=None), "line 2 has no 'ObjectNet'"),
        (soup(model_name=None), "line 2 has no 'model_name'"),
        (soup(ImageNetR=61.2), "ImageNetR in line 2 should be an accuracy from 0 to 1, not 61.2"),
        (soup(ImageNetR="0.6"), "ImageNetR in line 2 should be an accuracy from 0 to 1, not '0.6'"),
        ('{"model_name"', "line 2 is no JSON object"),
        ("[1, 2]", "line 2 is no JSON object"),
    ],
)
def test_what_is_wrong_with_soups_is_said(write, line, message):
    with pytest.raises(InputError, match=re.escape(message)):
        published.read_soups(write(f"{soup()}\n{line}\n"))


def test_an_empty_file_of_soups_is_refused(write):
    with pytest.raises(InputError, match="is empty"):
        published.read_soups(write(""))
