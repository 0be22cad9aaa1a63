"""Pin what the Hugging Face hub has now: weights in model tables, and data sets in run files.

`python -m dissent.pin config/models/paper.csv config/paper_vtab.yaml` asks the hub which commit and
which bytes are behind the addresses that name none yet (`.../resolve/main/...`), and behind the
rows of text models with the revision `main`, and writes them in their places.
"""

import argparse
import logging
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import DatasetInfo, HfApi, ModelInfo, errors

from dissent import commandline, hub
from dissent.commandline import InputError
from dissent.fetching import HUB
from dissent.files import atomic
from dissent.model_rows import lines, read

SECONDS = 30
# The source of rows that say the repository and its commit, each in a column.
TEXT = "transformers"
# What repositories have where they have no safetensors.
OLDER = {
    "open_clip_model.safetensors": "open_clip_pytorch_model.bin",
    hub.WEIGHTS: hub.PICKLED,
}
# Ways of a card to name no licence.
NO_LICENCE = (None, "other", "unknown")
# A file of a data set, on a line of its own in a run file.
LINE = re.compile(r"(?P<before> *- \{location: )(?P<url>[^,} \"']+)(?P<after>[,}].*)")
DIGEST = re.compile(r", *sha256: *(?P<digest>[0-9a-f]{64})")
DATA = "datasets/"

log = logging.getLogger("dissent")


def pin(name: str, info: ModelInfo | DatasetInfo, weights: str) -> dict[str, str]:
    """Where the file `weights` of a repository lies for good, and the sha256 of its bytes.

    Raises InputError where the repository has none, or does not say.
    """
    page = f"{HUB}/{DATA if isinstance(info, DatasetInfo) else ''}{info.id}"
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
    _, reader = read(table, ("model", "source", "location", "sha256", "licence"))
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
        row["licence"] = row["licence"] or licence(infos[name], f"{HUB}/{name}")
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


def pin_run(path: Path) -> None:
    """Pin the files of data sets in a run file, each on a line: `- {location: https://..., ...}`.

    A name with `*` stands for all files that match, and becomes a line for each, in the order of
    the numbers in their names. The rest of the file stays as it is. Raises InputError, and leaves
    the file, where one cannot be pinned, or is not on a line of its own.
    """
    infos: dict[str, DatasetInfo] = {}
    pinned, n = [], 0
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        found = LINE.fullmatch(line)
        url = found["url"] if found else ""
        if not re.fullmatch(hub.UNPINNED, url):
            if re.search(rf"location: *[\"']?{hub.UNPINNED}", line):
                raise InputError(
                    f"{path}, line {number}: should be one line, '- {{location: https://...}}', to "
                    "be pinned"
                )
            pinned.append(line)
            continue
        repository, wanted = urlsplit(url).path[1:].split(f"/resolve/{hub.NOW}/", 1)
        if repository not in infos:
            infos[repository] = ask(repository)
        for file in matching(infos[repository], wanted, repository):
            of_file = pin(f"{repository}/{file}", infos[repository], file)
            given = DIGEST.search(found["after"])
            if given and given["digest"] != of_file["sha256"]:
                raise InputError(
                    f"{path}, line {number}: has sha256 {given['digest']}, and the hub has other "
                    f"bytes now, {of_file['sha256']}: leave it out to take those"
                )
            pin_of_line = f"{of_file['location']}, sha256: {of_file['sha256']}"
            after = DIGEST.sub("", found["after"])
            pinned.append(f"{found['before']}{pin_of_line}{after}")
            n += 1
    with atomic(path) as temporary:
        temporary.write_text("\n".join(pinned), encoding="utf-8", newline="")
    log.info("%s: %d files pinned", path, n)


def matching(info: DatasetInfo, wanted: str, repository: str) -> list[str]:
    """The files of a repository that a name with or without `*` means."""
    there = [file.rfilename for file in info.siblings or ()]
    found = [name for name in there if fnmatchcase(name, wanted)]
    if not found:
        raise InputError(f"{HUB}/{repository} has no file {wanted}: mend its location")
    return sorted(found, key=lambda name: [int(part) for part in re.findall(r"\d+", name)])


def ask(repository: str) -> ModelInfo | DatasetInfo:
    """What the hub says of a repository now, of models or, if it is called datasets/..., of data.

    Raises InputError where it says nothing.
    """
    api = HfApi(token=False)
    info = api.dataset_info if repository.startswith(DATA) else api.model_info
    try:
        return info(repository.removeprefix(DATA), files_metadata=True, timeout=SECONDS)
    except errors.OfflineModeIsEnabled:
        what = "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set, so the hub is not asked: unset it"
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        what = f"{api.endpoint} answered {status} about {repository!r}: try again later"
        # So the hub answers about what is private, too.
        if status in (401, 403, 404):
            what = f"{api.endpoint} has no public repository {repository!r}: leave it out"
    # The base of what the library's own HTTP client raises, whichever client that is.
    except errors.HTTPError as error:
        why = " ".join(str(error).split()) or type(error).__name__
        what = f"{api.endpoint} gave no answer ({why}): mend the connection, or HF_ENDPOINT"
    except (ValueError, LookupError, TypeError):
        what = f"{api.endpoint} does not answer as the Hugging Face hub does: mend HF_ENDPOINT"
    raise InputError(f"{what}, or write rows for files of your own (docs/image_folder.md)")


def licence(info: ModelInfo, page: str) -> str:
    """The licence that the repository's card names, never empty."""
    card = info.card_data or {}
    licence, name = card.get("license"), card.get("license_name")
    if isinstance(licence, list):
        licence = " and ".join(map(str, licence)) or None
    if licence not in NO_LICENCE:
        return licence
    return name or f"{licence or 'unknown'}: see {page}"


def quietly() -> None:
    """Have the HTTP client say nothing of each request, which is told here anyway."""
    for client in ("httpx", "httpx2"):
        logging.getLogger(client).setLevel(logging.WARNING)


def main(arguments: argparse.Namespace) -> None:
    quietly()
    for path in arguments.files:
        if not path.is_file():
            raise InputError(f"there is no file {path}: name a model table or a run file")
        if path.suffix == ".csv":
            pin_table(path)
        else:
            pin_run(path)


if __name__ == "__main__":
    parser = commandline.parser(__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, help="model tables (.csv) and run files")
    commandline.run(main, parser.parse_args())
