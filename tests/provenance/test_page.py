"""The page of a chain, read back by XML and HTML parsers."""

import base64
import html.parser
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from test_chain import content, record, runs

from dissent.provenance.chain import trace, walk
from dissent.provenance.ledger import makers
from dissent.provenance.page import page

HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src='https://example.org/x' onerror=alert(1)>",
    "</title></style></details>&amp;<b>",
    "a\x1b[2J\x00\udcff",
]


def read(text: str) -> ET.Element:
    """The page as XML, which forgives nothing."""
    return ET.fromstring(text)


def text_of(element: ET.Element) -> str:
    return "".join(element.itertext())


@given(runs())
def test_holds_each_job_once_and_every_digest(run):
    made_by = makers(run.records())
    path = list(made_by)[-1]
    step = trace(path, made_by)
    steps = walk(step)
    root = read(page(Path(path), step, {}, []))
    jobs = root.findall(".//details[@class='job']")
    assert [job.find("summary/b").text for job in jobs] == [job.record.rule for job in steps]
    digests = {code.text for code in root.findall(".//small/code")}
    files = [file for job in steps for file in (*job.record.inputs, *job.record.outputs)]
    assert digests == {content(file).sha256 for file in files}
    assert {pre.text for pre in root.findall(".//pre")} == {job.record.command for job in steps}


@given(runs())
def test_links_lead_to_the_job_that_made_the_file(run):
    made_by = makers(run.records())
    path = list(made_by)[-1]
    root = read(page(Path(path), trace(path, made_by), {}, []))
    rule_of = {
        job.get("id"): job.find("summary/b").text for job in root.iterfind(".//details[@id]")
    }
    linked = 0
    for item in root.iterfind(".//li"):
        name, link = item.find("code"), item.find("small/a")
        if link is not None:
            linked += 1
            assert rule_of[link.get("href").removeprefix("#")] == made_by[name.text].rule
    jobs = {made_by[file].rule for file in run.reached(path) if file in made_by}
    reads = [job.inputs for job in made_by.values() if job.rule in jobs]
    unique = {id(inputs): inputs for inputs in reads}.values()
    assert linked == sum(file in made_by for inputs in unique for file in inputs)
    for again in root.iterfind(".//p[@class='job']/a"):
        assert rule_of[again.get("href").removeprefix("#")] == again.find("b").text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_only_text(name):
    source = {"name": name, "licence": name, "package": name}
    records = [
        record("first", [name], [f"out/{name}"], params={name: name}, sources=[source]),
        record(
            name,
            [f"out/{name}"],
            [f"out/{name}.svg"],
            command=name,
            environment={"file": name, "python": name, "packages": {name: name}},
            machine={"device": name, "processor": name},
            git={"commit": name, "dirty": True},
        ),
    ]
    path = f"out/{name}.svg"
    text = page(Path(path), trace(path, makers(records)), {name: name}, [name])
    text.encode()
    root = read(text)
    # Nothing but what the page of a harmless name has.
    harmless = [record("first", ["n"], ["out/n"], params={"n": "n"}, sources=[source])]
    harmless.append(record("n", ["out/n"], ["out/n.svg"]))
    plain = read(page(Path("out/n.svg"), trace("out/n.svg", makers(harmless)), {}, ["n"]))
    assert [e.tag for e in root.iter()] == [e.tag for e in plain.iter()]
    attributes = {(e.tag, name) for e in root.iter() for name in e.attrib}
    assert attributes == {(e.tag, name) for e in plain.iter() for name in e.attrib}
    shown = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name
    )
    assert text_of(root.find("body/h1")) == f"Where out/{shown}.svg comes from"
    assert text_of(root).count(shown) > 20


class Tags(html.parser.HTMLParser):
    """Counts open elements, and those closed out of turn."""

    VOID = ("meta", "img", "br")

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID and (not self.open or self.open.pop() != tag):
            self.wrong.append(tag)


def test_is_html_and_reaches_for_nothing():
    made_by = makers([record("a", [], ["out/a"]), record("b", ["out/a"], ["out/b.svg"])])
    text = page(Path("out/b.svg"), trace("out/b.svg", made_by), {}, [])
    assert text.startswith("<!DOCTYPE html>\n")
    tags = Tags(text)
    assert tags.open == tags.wrong == []
    root = read(text)
    assert not {"script", "link", "iframe", "object"}.intersection(e.tag for e in root.iter())
    assert {e.get("href", "#")[0] for e in root.iter()} == {"#"}
    assert "url(" not in root.find("head/style").text
    assert "@import" not in root.find("head/style").text


@pytest.mark.parametrize(("suffix", "kind"), [("svg", "image/svg+xml"), ("png", "image/png")])
def test_the_picture_is_in_the_page(tmp_path, monkeypatch, suffix, kind):
    monkeypatch.chdir(tmp_path)
    path = Path(f"figure.{suffix}")
    path.write_bytes(bytes(range(256)))
    made_by = makers([record("draw", [], [path.name])])
    image = read(page(path, trace(path.name, made_by), {}, [])).find(".//img")
    start, data = image.get("src").split(",")
    assert start == f"data:{kind};base64"
    assert base64.b64decode(data) == bytes(range(256))
    assert image.get("alt") == path.name


@pytest.mark.parametrize("name", ["table.csv", "gone.svg"])
def test_what_cannot_be_shown_is_named(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("table.csv").touch()
    root = read(page(Path(name), trace(name, makers([record("draw", [], [name])])), {}, []))
    assert root.find(".//img") is None
    assert f"{name} is not shown here." in [text_of(p) for p in root.iterfind(".//p")]


def test_verdict():
    made_by = makers([record("draw", [], ["figure.svg"])])
    step = trace("figure.svg", made_by)
    held = read(page(Path("figure.svg"), step, {}, []))
    assert held.find(".//p[@class='held']/b").text == "All checks held."
    assert held.find(".//div[@class='failed']") is None
    findings = ["integrity: a is <b>: do this", "closure: c"]
    failed = read(page(Path("figure.svg"), step, {}, findings))
    assert failed.find(".//p[@class='held']") is None
    assert [li.text for li in failed.iterfind(".//div[@class='failed']//li")] == findings
    assert failed.find(".//div[@class='failed']/p/b").text == "2 findings:"


def test_a_leaf_stands_with_what_holds_it_and_its_terms():
    leaf = "weights.bin"
    params = {"pin": repr(content(leaf).sha256), "licence": "'MIT'", "citation": "'Doe'"}
    made_by = makers([record("take", [leaf], ["out/a"], params=params)])
    root = read(page(Path("out/a"), trace("out/a", made_by), {leaf: "pinned"}, []))
    told = [text_of(li) for li in root.iterfind(".//li") if text_of(li).startswith(leaf)]
    size = f"{len(leaf)} bytes, pinned, licence MIT, citation Doe"
    assert told == [f"{leaf} {size}{content(leaf).sha256}"]


def test_a_job_says_how_many_files_of_what_origin():
    inputs = ["a.py", "b.py", "c.csv", "out/a"]
    made_by = makers([record("a", [], ["out/a"]), record("b", inputs, ["out/b", "out/c"])])
    notes = {"a.py": "in git", "b.py": "in git"}
    job = read(page(Path("out/c"), trace("out/c", made_by), notes, [])).find(".//details")
    parts = {text_of(part.find("summary")): part for part in job.findall("details[@class='part']")}
    assert "Inputs: 2 in git, 1 not looked up, 1 made by jobs" in parts
    outputs = parts["Outputs: 2, 1 used here"].findall(".//li")
    assert ["used here" in text_of(li) for li in outputs] == [False, True]


def test_a_command_of_many_lines_keeps_them():
    made_by = makers([record("draw", [], ["out/a"], command="python -c 'a\nb'")])
    root = read(page(Path("out/a"), trace("out/a", made_by), {}, []))
    assert root.find(".//pre").text == "python -c 'a\nb'"
