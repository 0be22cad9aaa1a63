"""Where a job keeps what it has so far, so that the next try goes on from there if it is killed."""

import hashlib
import json
import sys
from functools import cache
from pathlib import Path

from dissent.files import sha256

# Not beside the outputs: Snakemake deletes those of a job that fails.
FOLDER = Path(".parts")


def folder_of(*decisive: object) -> Path:
    """A folder whose name is of all that decides on what is kept there, and of the loaded code.

    So what other data, settings or code made is never taken for it. `decisive` is written as JSON.
    """
    text = json.dumps([_code(), *decisive], sort_keys=True)
    return FOLDER / hashlib.sha256(text.encode()).hexdigest()[:32]


@cache
def _code() -> dict[str, str]:
    """The sha256 of each module of this package that is loaded.

    Taken once, as files that are edited while a job lasts are not what it has loaded.
    """
    return {
        name: sha256(module.__file__)
        for name, module in sys.modules.items()
        if name.split(".")[0] == __package__
    }
