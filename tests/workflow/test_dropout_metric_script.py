"""The script that compares runs with dropout, on files like those of the jobs before it."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from dissent.dropout_runs import Run, write_runs
from dissent.examples import write_examples
from made_dropout_runs import grid, made_examples, made_family

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "workflow" / "scripts" / "metrics" / "compare_dropout.py"
# Names that a table must not read as numbers or as missing.
SIZES = {"007": 4, "None": 6, "x": 5}
TABLES = ("runs", "curves", "methods", "gains", "mixtures", "matched", "statistics")
EXAMPLES = made_examples(SIZES)
PROBES = [Run(rate, 0.1, 1e-4, 1.0, 0, "probe", width) for rate in (0, 0.9) for width in (None, 2)]


def compare(output, **options):
    command = [sys.executable, str(SCRIPT), "--large-rate", "0.9", "--bins", "5", "--level", "0.9"]
    options |= {f"output_{name}": output / f"{name}.csv" for name in TABLES}
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        command += [f"--{name.replace('_', '-')}", *map(str, values)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def written(folder, files):
    """Options of the script for these runs."""
    write_examples(folder / "data.safetensors", EXAMPLES)
    paths = [folder / f"{file.held_out}-{file.family}.safetensors" for file in files]
    for path, file in zip(paths, files, strict=True):
        write_runs(path, file, EXAMPLES)
    return {"data": folder / "data.safetensors", "runs": paths}


def read(path):
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"held_out": str})


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    files = made_family(EXAMPLES, grid((0, 0.5, 0.9)))
    files += made_family(EXAMPLES, PROBES, "linear", together=False)
    options = written(folder, files)
    options["interpolation"] = [folder / f"{domain}.csv" for domain in SIZES]
    for domain, path in zip(SIZES, options["interpolation"], strict=True):
        pd.DataFrame({"held_out": [domain] * 2, "share": [0.0, 1.0]}).to_csv(path, index=False)
    options["output_interpolation"] = folder / "interpolation.csv"
    done = compare(folder, **options)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return folder, options


def test_there_are_all_tables_with_names_as_they_are(compared):
    folder, _ = compared
    tables = {name: read(folder / f"{name}.csv") for name in (*TABLES, "interpolation")}
    for name in ("runs", "curves", "interpolation"):
        assert set(tables[name]["held_out"]) == set(SIZES)
    for name in ("gains", "matched"):
        assert set(tables[name]["held_out"]) == {*SIZES, "all domains"}
    assert set(tables["statistics"]["statistic"]) == {
        *("ood_gain_of_large_rate", "ood_gain_of_large_over_half"),
        *(f"large_rate_over_{made}_ood" for made in ("run_average", "run_ensemble")),
        *(f"large_rate_over_{made}_ood" for made in ("all_average", "all_ensemble")),
        *("ensemble_on_large_rate_ood", "average_on_large_rate_ood"),
        *("run_ensemble_over_large_rate_iid", "matched_gain_of_large_rate_ood"),
    }
    assert set(tables["methods"]["width"].dropna()) == {2}
    assert (tables["mixtures"].groupby(["kind", "version", "rate"])["n_ways"].nunique() == 1).all()
    assert "probe-rate-0.9" in set(tables["gains"]["comparison"])


def test_files_in_another_order_give_the_same_bytes(compared, tmp_path):
    folder, options = compared
    options = options | {"runs": options["runs"][::-1]}
    options["output_interpolation"] = tmp_path / "interpolation.csv"
    assert compare(tmp_path, **options).returncode == 0
    for name in (*TABLES, "interpolation"):
        assert (tmp_path / f"{name}.csv").read_bytes() == (folder / f"{name}.csv").read_bytes()


def test_from_scratch_alone_with_one_seed_and_no_interpolation(tmp_path):
    files = made_family(EXAMPLES, grid((0, 0.9), (0.1,), (0,)), "scratch", start="", together=False)
    done = compare(tmp_path, **written(tmp_path, files))
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    assert read(tmp_path / "matched.csv").empty
    assert read(tmp_path / "statistics.csv")["statistic"].tolist() == [
        "scratch_ood_gain_of_large_rate"
    ]
    assert read(tmp_path / "methods.csv")["ood_low"].isna().all()
    assert not (tmp_path / "interpolation.csv").exists()


def test_runs_without_one_of_the_domains_are_refused_in_one_sentence(compared, tmp_path):
    _, options = compared
    options = options | {"runs": options["runs"][1:]}
    options["output_interpolation"] = tmp_path / "interpolation.csv"
    done = compare(tmp_path, **options)
    assert done.returncode == 1
    assert "has no runs that left out" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
