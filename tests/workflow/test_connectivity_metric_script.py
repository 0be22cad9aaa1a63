"""The script that compares families of networks, on files like those of the jobs before it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dissent.connections import write_connections
from dissent.examples import write_examples
from dissent.tables import read_table
from made_connections import STRATEGY, made_data, made_family

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "workflow" / "scripts" / "metrics" / "compare_connectivity.py"
TABLES = (
    *("pairs", "members", "diagnostics", "clusters", "separation", "curves", "planes"),
    *("plane_points", "dynamics", "checks", "statistics"),
)
SETTINGS = {"window": 0.02, "affinity_scale": 1.0, "clusters": 2, "permutations": 100}
SETTINGS |= {"resamples": 10, "level": 0.95, "strategy": STRATEGY}


def compare(folder, output, families, data):
    paths = [folder / f"{family.family}.safetensors" for family in families]
    for path, family in zip(paths, families, strict=True):
        write_connections(path, family)
    of_data = [folder / f"data-{examples.name}.safetensors" for examples in data]
    for path, examples in zip(of_data, data, strict=True):
        write_examples(path, examples)
    command = [sys.executable, SCRIPT, "--connections", *paths, "--data", *of_data]
    command += ["--settings", json.dumps(SETTINGS)]
    for table in TABLES:
        command += [f"--output-{table.replace('_', '-')}", output / f"{table}.csv"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    command = [*map(str, command)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("connected")
    data = made_data()
    families = [
        made_family(data, blocks=(0, 0, 0, 1, 1), steps=(150,)),
        made_family(data, "one-run", blocks=(0, 0, 0), diagnostics=(), steps=(0,)),
    ]
    done = compare(folder, folder, families, [*data.values()])
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        "family 'one-run': no clusters, for which 4 networks of it have to be compared, not 3\n"
    )
    return folder


def test_all_tables_are_written_and_begin_with_the_family(compared):
    for name in TABLES:
        table = read_table(compared / f"{name}.csv")
        if name == "statistics":
            assert set(table["statistic"].str.split("_").str[0]) == {"orders", "one"}
            assert (table["n"] % 1 == 0).all()
        else:
            assert table.columns[0] == "family"
            assert "orders" in set(table["family"])
            assert table["family"].isin(["orders", "one-run"]).all()


def test_a_data_set_that_is_missing_is_one_sentence(tmp_path):
    data = made_data()
    done = compare(tmp_path, tmp_path, [made_family(data)], [data["pairs"]])
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "is of the data set 'heuristics': give its file in --data too" in done.stderr
    assert not (tmp_path / "pairs.csv").exists()
