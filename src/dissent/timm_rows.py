"""Rows of a model table for weights that timm has on the Hugging Face hub, pinned by their bytes.

`python -m dissent.timm_rows resnet18.a1_in1k --table config/models/image_folder.csv` adds a row;
`python -m dissent.timm_rows --pin config/models/paper.csv` pins the rows that are there, and whose
locations name no commit yet, whichever library their weights are for.
"""

import argparse
import csv
import io
import logging
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import timm
from huggingface_hub import HfApi, ModelInfo, errors

from dissent import commandline, hub
from dissent.commandline import InputError
from dissent.config_text import raise_all, suggestion
from dissent.fetching import HUB
from dissent.files import atomic

COLUMNS = ("model", "source", "architecture", "location", "sha256", "licence", "citation")
WEIGHTS = "model.safetensors"
# The source of rows that say the repository and its commit, each in a column.
TEXT = "transformers"
SECONDS = 30
# What open_clip's repositories have where they have no safetensors.
OLDER = {
    "open_clip_model.safetensors": "open_clip_pytorch_model.bin",
    hub.WEIGHTS: hub.PICKLED,
}
# Ways of a card to name no licence.
NO_LICENCE = (None, "other", "unknown")

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
        "licence": _licence(info, page),
        "citation": info.id + (f" (arXiv {', '.join(papers)})" if papers else ""),
    }


def pin(name: str, info: ModelInfo, weights: str) -> dict[str, str]:
    """Where the file `weights` of a repository lies for good, and the sha256 of its bytes.

    Raises InputError where the repository has none, or does not say.
    """
    page = f"{HUB}/{info.id}"
    file = next((file for file in info.siblings or () if file.rfilename == weights), None)
    if file is None:
        raise InputError(
            f"{page} has no {weights}: leave {name!r} out, or save its weights as such a file and "
            "write a row with its path"
        )
    if not (info.sha and file.lfs):
        raise InputError(f"{page} does not tell the sha256 of {weights}: leave {name!r} out")
    log.info("%s: %s bytes", name, f"{file.lfs.size:,}")
    return {"location": f"{page}/resolve/{info.sha}/{weights}", "sha256": file.lfs.sha256}


def pin_table(table: Path) -> None:
    """Pin the rows of a table whose locations are of whatever the hub has now, in their places.

    All other rows stay as they are. Raises InputError, and leaves the table, where one cannot be.
    """
    _, reader = read(table)
    rows = list(reader)
    unpinned = [row for row in rows if is_unpinned(row)]
    infos: dict[str, ModelInfo] = {}
    for row in unpinned:
        name, weights = row["location"], hub.WEIGHTS
        if is_address := row["source"] != TEXT:
            organisation, repository, *_, weights = urlsplit(name).path[1:].split("/", 4)
            name = f"{organisation}/{repository}"
        if name not in infos:
            infos[name] = ask(name)
        there = [file.rfilename for file in infos[name].siblings or ()]
        if weights not in there and OLDER.get(weights) in there:
            weights = OLDER[weights]
        found = pin(row["model"], infos[name], weights)
        if row["sha256"] not in ("", None, found["sha256"]):
            raise InputError(
                f"{table}: {row['model']!r} has sha256 {row['sha256']}, and the hub has other "
                f"bytes now, {found['sha256']}: empty the cell to take those, or give the commit"
            )
        row |= found if is_address else {"revision": infos[name].sha, "sha256": found["sha256"]}
        row["licence"] = row["licence"] or _licence(infos[name], f"{HUB}/{name}")
    columns = reader.fieldnames
    with atomic(table) as temporary:
        temporary.write_text(
            ",".join(columns) + "\n" + lines(rows, columns), encoding="utf-8", newline=""
        )
    log.info("%s: %d rows pinned, %d were", table, len(unpinned), len(rows) - len(unpinned))


def is_unpinned(row: Mapping[str, str]) -> bool:
    """Whether a row is of whatever the hub has now."""
    if row["source"] == TEXT:
        return row.get("revision") == hub.NOW
    return bool(re.fullmatch(hub.UNPINNED, row["location"] or ""))


def ask(repository: str) -> ModelInfo:
    """What the hub says of a repository now. Raises InputError where it says nothing."""
    api = HfApi(token=False)
    try:
        return api.model_info(repository, files_metadata=True, timeout=SECONDS)
    except errors.OfflineModeIsEnabled:
        what = "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set, so the hub is not asked: unset it"
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        what = f"{api.endpoint} answered {status} about {repository!r}: try again later"
        # So the hub answers about what is private, too.
        if status in (401, 403, 404):
            what = f"{api.endpoint} has no public repository {repository!r}: leave its weights out"
    # The base of what the library's own HTTP client raises, whichever client that is.
    except errors.HTTPError as error:
        why = " ".join(str(error).split()) or type(error).__name__
        what = f"{api.endpoint} gave no answer ({why}): mend the connection, or HF_ENDPOINT"
    except (ValueError, LookupError, TypeError):
        what = f"{api.endpoint} does not answer as the Hugging Face hub does: mend HF_ENDPOINT"
    raise InputError(f"{what}, or write rows for files of your own (docs/image_folder.md)")


def read(table: Path) -> tuple[str, csv.DictReader]:
    """A model table's text, or just a header where there is none yet, and its rows."""
    try:
        text = ""
        if table.exists():
            with table.open(encoding="utf-8-sig", newline="") as file:
                text = file.read()
        text = text if text.strip() else ",".join(COLUMNS) + "\n"
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{table} cannot be read as a CSV of UTF-8 text: {error}") from None
    if missing:
        raise InputError(f"{table}: its header should name {', '.join(missing)} as well")
    return text, rows


def refuse_repeated(table: Path, rows: csv.DictReader, names: Iterable[str]) -> None:
    """Raise InputError, a line for each name that has a row in the table already."""
    there = {row["model"]: rows.line_num for row in rows}
    raise_all(
        f"{table}, line {there[name]}: has a row for {name!r} already; "
        "leave it out of the command, or delete the row to pin it anew"
        for name in names
        if name in there
    )


def lines(rows: Iterable[Mapping[str, str]], columns: Iterable[str]) -> str:
    """Rows as lines of CSV, without a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writerows(rows)
    return text.getvalue()


def _licence(info: ModelInfo, page: str) -> str:
    """The licence that the repository's card names, never empty."""
    card = info.card_data or {}
    licence, name = card.get("license"), card.get("license_name")
    if isinstance(licence, list):
        licence = " and ".join(map(str, licence)) or None
    if licence not in NO_LICENCE:
        return licence
    return name or f"{licence or 'unknown'}: see {page}"


def main(arguments: argparse.Namespace) -> None:
    # One line a request, of what is told here anyway.
    for client in ("httpx", "httpx2"):
        logging.getLogger(client).setLevel(logging.WARNING)
    if arguments.pin:
        if arguments.table:
            raise InputError("--pin takes a table of its own: leave --table out")
        pin_table(arguments.pin)
        return
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
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "names", nargs="*", default=[], metavar="NAME", help="timm's name, such as resnet18"
    )
    what.add_argument("--pin", type=Path, help="model table whose rows are pinned")
    parser.add_argument("--table", type=Path, help="model table that the rows are added to")
    commandline.run(main, parser.parse_args())
