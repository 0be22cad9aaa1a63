"""Rows of a model table for weights that timm has on the Hugging Face hub, pinned by their bytes.

`python -m dissent.timm_rows resnet18.a1_in1k --table config/models/image_folder.csv` adds a row.
"""

import argparse
import csv
import logging
import sys
from collections.abc import Iterable
from pathlib import Path

import timm
from huggingface_hub import ModelInfo

from dissent import commandline
from dissent.config_text import raise_all, suggestion
from dissent.fetching import HUB
from dissent.files import atomic
from dissent.hub import WEIGHTS
from dissent.model_rows import COLUMNS, lines, read
from dissent.pin import ask, licence, pin, quietly

log = logging.getLogger("dissent")


def full_names(names: Iterable[str]) -> dict[str, str]:
    """Repositories on the hub by timm's full name (architecture and tag), in order, each once.

    An architecture alone stands for its default weights. Raises InputError, a line for each name
    that timm has no weights of.
    """
    repositories = {
        name: repository
        for name in timm.list_pretrained()
        if (repository := timm.get_pretrained_cfg(name).hf_hub_id)
    }
    found, problems = {}, []
    for name in names:
        default = timm.get_pretrained_cfg(name) if timm.is_model(name) and "." not in name else None
        full = f"{name}.{default.tag}" if default else name
        if full in repositories:
            found[full] = repositories[full]
        else:
            meant = suggestion(name.lower(), repositories)
            what = f"knows no weights {name!r} on the Hugging Face hub{meant}"
            problems.append(f"timm {timm.__version__} {what}: timm.list_pretrained() names all")
    raise_all(problems)
    return found


def row(name: str, info: ModelInfo) -> dict[str, str]:
    """The row of weights with timm's full `name`, which are in the repository `info`.

    Raises InputError where the repository does not say which bytes its weights are.
    """
    page = f"{HUB}/{info.id}"
    papers = [tag.removeprefix("arxiv:") for tag in info.tags or () if tag.startswith("arxiv:")]
    return {
        "model": name,
        "source": "file",
        "architecture": name,
        **pin(name, info, WEIGHTS),
        "licence": licence(info, page),
        "citation": info.id + (f" (arXiv {', '.join(papers)})" if papers else ""),
    }


def refuse_repeated(table: Path, rows: csv.DictReader, names: Iterable[str]) -> None:
    """Raise InputError, a line for each name that has a row in the table already."""
    there = {row["model"]: rows.line_num for row in rows}
    raise_all(
        f"{table}, line {there[name]}: has a row for {name!r} already; "
        "leave it out of the command, or delete the row to pin it anew"
        for name in names
        if name in there
    )


def main(arguments: argparse.Namespace) -> None:
    quietly()
    repositories = full_names(arguments.names)
    text, there = read(arguments.table) if arguments.table else ("", None)
    columns = there.fieldnames if there else COLUMNS
    if there:
        refuse_repeated(arguments.table, there, repositories)
    rows = [row(name, ask(repository)) for name, repository in repositories.items()]
    if not arguments.table:
        sys.stdout.write(",".join(COLUMNS) + "\n" + lines(rows, columns))
        return
    with atomic(arguments.table) as temporary:
        temporary.write_text(
            text.rstrip("\r\n") + "\n" + lines(rows, columns), encoding="utf-8", newline=""
        )
    log.info("%s: %d rows added", arguments.table, len(rows))


if __name__ == "__main__":
    parser = commandline.parser(__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", metavar="NAME", help="timm's name, such as resnet18")
    parser.add_argument("--table", type=Path, help="model table that the rows are added to")
    commandline.run(main, parser.parse_args())
