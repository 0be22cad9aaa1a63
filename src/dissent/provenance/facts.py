"""What only a running job knows of itself, told to the recorder that started it."""

import json
import os
from pathlib import Path

VARIABLE = "PROVENANCE_FACTS"


def declare(**facts: object) -> None:
    """Add facts to the job's record; does nothing outside a recorded job.

    `device` is where the job computed. `sources` lists data that come from outside the project,
    each with `name`, `licence` and what pins it: `package` (of the environment) or `sha256`.
    """
    if VARIABLE in os.environ:
        with Path(os.environ[VARIABLE]).open("a") as file:
            file.write(json.dumps(facts) + "\n")


def declared(path: Path) -> dict[str, object]:
    """All facts written to a file by `declare`; of one name, the last counts."""
    return {
        name: value
        for line in path.read_text().splitlines()
        for name, value in json.loads(line).items()
    }
