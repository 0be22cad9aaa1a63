"""Snakemake's report of the `test` run: what a reader finds in it."""

import html
import json
import re
import zipfile
from pathlib import Path

import pytest
import yaml

from conftest import snakemake

PAPERS = [
    paper["title"] for paper in yaml.safe_load(Path("CITATION.cff").read_text())["references"]
]


@pytest.fixture(scope="module")
def report(finished, tmp_path_factory) -> zipfile.Path:
    folder, path = finished
    archive = tmp_path_factory.mktemp("report") / "report.zip"
    snakemake(folder, "--use-conda", "--report", str(archive), "figures", PATH=path)
    return zipfile.Path(archive) / "report"


@pytest.fixture(scope="module")
def page(report) -> str:
    return (report / "report.html").read_text()


@pytest.fixture(scope="module")
def figures(finished) -> list[str]:
    folder = finished[0]
    drawn = (folder / "results/test/figures").rglob("*.svg")
    return sorted(path.relative_to(folder).as_posix() for path in drawn)


def data(page: str, name: str) -> dict:
    """What the page's script of that name holds."""
    begin = f"var {name} = "
    start = page.index(begin, page.index(f'<script id="{name}">')) + len(begin)
    return json.JSONDecoder().raw_decode(page, start)[0]


def words(markup: str) -> str:
    """The text of a piece of HTML, all white space made single spaces."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", markup)).split())


def test_it_holds_every_figure_as_it_was_drawn(finished, report, page, figures):
    results = data(page, "results")
    assert sorted(results) == figures
    for path, result in results.items():
        assert (report / result["data_uri"]).read_bytes() == (finished[0] / path).read_bytes()


def is_of_ensembling(path: str) -> bool:
    """Whether a figure answers for a data set which models are worth ensembling."""
    return Path(path).parent.name == "ensembling"


def caption_of(path):
    if is_of_ensembling(path):
        return "worth_ensembling"
    stem, paper = Path(path).stem, Path(path).parent.name
    prefix = {"low_data_ensembles": "low_data_", "very_large_dropout": "dropout_"}.get(paper, "")
    return prefix + stem


def test_every_figure_has_its_caption(page, figures):
    results = data(page, "results")
    for path in figures:
        source = Path("workflow/report", f"{caption_of(path)}.rst").read_text()
        shown = words(results[path]["caption"])
        assert "{{" not in shown
        for passage in re.split(r"\{\{.*?\}\}", source):
            assert " ".join(passage.replace("``", "").split()) in shown


def test_figures_are_filed_under_their_paper_by_number(page, figures):
    results = data(page, "results")
    filed = data(page, "categories")
    by_paper = [[path for kind in kinds.values() for path in kind] for kinds in filed.values()]
    assert sorted(path for paths in by_paper for path in paths) == figures
    assert all(paths == sorted(paths) for paths in by_paper)
    for category, kinds in filed.items():
        of_ensembling = [is_of_ensembling(path) for kind in kinds.values() for path in kind]
        is_paper = any(title.startswith(category) for title in PAPERS)
        assert is_paper != any(of_ensembling) and len(set(of_ensembling)) == 1, category
    for path in figures:
        labels, stem = results[path]["labels"], Path(path).stem
        numbered = re.match(r"fig(\d+)", stem)
        assert labels["figure"] == (numbered[1] if numbered else stem)
        assert labels["shows"]


def test_every_rule_shows_the_command_that_its_records_name(finished, page):
    ledger = (finished[0] / "results/test/provenance").rglob("*.json")
    recorded = {(r["rule"], r["text_sha256"]) for r in map(json.loads, map(Path.read_text, ledger))}
    rules = data(page, "rules")
    assert set(rules) == {rule for rule, _ in recorded}
    for rule, text in recorded:
        code = words(rules[rule]["code"])
        assert text in code
        assert "python {input.script} --" in code


def test_it_tells_nothing_of_the_machine(finished, page):
    assert str(finished[0]) not in page
