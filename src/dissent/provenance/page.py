"""The chain of a file as one HTML page that needs nothing but itself."""

import base64
import html
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dissent.provenance.chain import (
    UNKNOWN,
    Step,
    commit,
    counted,
    described,
    device,
    ended,
    environment,
    printable,
    settings,
    some,
    sources,
    summary,
    taken,
    terms,
    took,
    walk,
)
from dissent.provenance.ledger import File

PICTURES = {".svg": "image/svg+xml", ".png": "image/png"}
# Whatever a name or a picture may hold, the page loads and runs nothing.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; --line: #c9ced6; --dim: #5b6472; --good: #1a7f37; --bad: #b42318 }
@media (prefers-color-scheme: dark) {
  :root { --line: #3d444d; --dim: #9aa4b2; --good: #4ac26b; --bad: #ff8077 }
}
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.3rem; line-height: 1.3 }
h1, h2, p, li, code, summary { overflow-wrap: anywhere }
h2 { font-size: 1.1rem; margin-top: 2rem }
code, pre { font: 0.85em/1.4 ui-monospace, monospace }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.25rem 0 }
img { display: block; max-width: 100%; max-height: 80vh; margin: 0 auto }
figure { margin: 1rem 0; padding: 0.5rem; background: white; border: 1px solid var(--line) }
ul { margin: 0.25rem 0; padding-left: 1.2rem }
small { color: var(--dim) }
.held, .failed { border-left: 0.3rem solid; padding: 0.5rem 0.75rem }
.held { color: var(--good) }
.failed { color: var(--bad) }
.job { border-left: 2px solid var(--line); padding-left: 0.6rem; margin: 0.8rem 0 }
.job p { margin: 0.15rem 0 }
.part { margin: 0.15rem 0 }
.part summary { color: var(--dim); font-size: 0.9rem }
:target { outline: 2px solid }
"""


def page(path: Path, step: Step, notes: Mapping[str, str], findings: Sequence[str]) -> str:
    """The file itself, the verdict of the checks, and its chain; `notes` says what holds a leaf."""
    name = _text(step.files[0])
    numbers = {job: number for number, job in enumerate(walk(step), start=1)}
    outside = [_text(described(source)) for source in sources(numbers)]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta http-equiv="Content-Security-Policy" content="{POLICY}"/>
<title>Where {_text(path.name)} comes from</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Where <code>{name}</code> comes from</h1>
<p><small>sha256 <code>{_text(step.record.outputs[step.files[0]].sha256)}</code></small></p>
{_picture(path)}
{_verdict(findings)}
<p>{_text(summary(step, notes))}</p>
{_list(outside)}
<h2>The jobs, from the last to the first</h2>
{_job(step, step.files, numbers, notes, set())}
</body>
</html>
"""


def _picture(path: Path) -> str:
    kind = PICTURES.get(path.suffix)
    if kind is None or not path.is_file():
        return f"<p>{_text(path.name)} is not shown here.</p>"
    content = base64.b64encode(path.read_bytes()).decode()
    return f'<figure><img alt="{_text(path.name)}" src="data:{kind};base64,{content}"/></figure>'


def _verdict(findings: Sequence[str]) -> str:
    if not findings:
        return '<p class="held"><b>All checks held.</b></p>'
    failed = f"<p><b>{counted(len(findings), 'finding')}:</b></p>{_list(map(_text, findings))}"
    return f'<div class="failed">{failed}</div>'


def _job(
    step: Step,
    files: Sequence[str],
    numbers: Mapping[Step, int],
    notes: Mapping[str, str],
    shown: set[Step],
) -> str:
    """A job with all before it, or a link to it if it is on the page already."""
    record = step.record
    made = f"<b>{_text(record.rule)}</b> made <code>{_text(some(files))}</code>"
    if step in shown:
        return f'<p class="job"><a href="#job-{numbers[step]}">{made}</a> (above)</p>'
    shown.add(step)
    told = [ended(record), f"took {took([record])}", device(record), commit(record)]
    maker = {path: inner for inner in step.steps for path in inner.files}
    origins = Counter(
        "made by jobs" if path in maker else notes.get(path, UNKNOWN) for path in record.inputs
    )
    inputs = [
        _file(path, file, _origin(step, path, maker.get(path), numbers, notes))
        for path, file in record.inputs.items()
    ]
    outputs = [
        _file(path, file, "used here" if path in step.files else "")
        for path, file in record.outputs.items()
    ]
    params = [
        f"{_text(name)} = <code>{_text(value)}</code>" for name, value in record.params.items()
    ]
    packages = record.environment.get("packages", {}).items()
    parts = [
        _part("Command", f"<pre>{_text(record.command)}</pre>"),
        _part(f"Params: {settings(record) or 'none'}", _list(params)),
        _part(f"Outputs: {len(outputs)}, {len(step.files)} used here", _list(outputs)),
        _part(
            f"Inputs: {', '.join(f'{n} {origin}' for origin, n in origins.items())}", _list(inputs)
        ),
        _part(
            f"Environment: {environment(record)}",
            f"<p>{_text(', '.join(f'{name} {version}' for name, version in packages))}</p>",
        ),
    ]
    before = [_job(inner, taken(step, inner), numbers, notes, shown) for inner in step.steps]
    return "\n".join(
        [
            f'<details class="job" id="job-{numbers[step]}" open=""><summary>{made}</summary>',
            f"<p>{_text(' · '.join(told))}</p>",
            _list(_text(f"Source: {described(source)}") for source in sources([step])),
            *parts,
            *before,
            "</details>",
        ]
    )


def _origin(
    step: Step,
    path: str,
    maker: Step | None,
    numbers: Mapping[Step, int],
    notes: Mapping[str, str],
) -> str:
    if maker is not None:
        return f'made by <a href="#job-{numbers[maker]}">{_text(maker.record.rule)}</a>'
    stated = [f"{name} {text}" for name, text in terms(step.record, path).items()]
    return _text(", ".join([notes.get(path, UNKNOWN), *stated]))


def _file(path: str, file: File, remark: str) -> str:
    facts = ", ".join(filter(None, [_text(counted(file.bytes, "byte")), remark]))
    digest = f"<code>{_text(file.sha256)}</code>"
    return f"<code>{_text(path)}</code> <small>{facts}<br/>{digest}</small>"


def _part(title: str, content: str) -> str:
    return f'<details class="part"><summary>{_text(title)}</summary>{content}</details>'


def _list(items: Iterable[str]) -> str:
    found = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{found}</ul>" if found else ""


def _text(text: str) -> str:
    return html.escape("\n".join(map(printable, text.split("\n"))))
