"""Rewrite the locks from pyproject.toml: requirements.lock, envs/bootstrap.txt and envs/*.yaml.

Run by `make lock`. Pins that still fit are kept; delete a lock first to have it chosen anew.
"""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FAMILIES = ("workflow", "torch", "text", "analysis")
UV_COMPILE = (
    *("uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
    *("--no-emit-index-url", "--custom-compile-command", "make lock"),
)


def uv_compile(*arguments: str, source: str | None = None) -> str:
    """What `uv pip compile` prints, run at the top of the project; `source` is its stdin."""
    command = [*UV_COMPILE, *arguments]
    return subprocess.run(
        command, cwd=ROOT, input=source, check=True, text=True, stdout=subprocess.PIPE
    ).stdout


def environment(pins: list[str]) -> str:
    """The text of a conda environment file: its python and pip are conda's, the rest are wheels."""
    head = [
        "# Generated from requirements.lock by `make lock`.",
        "channels:",
        "  - conda-forge",
        "dependencies:",
        # The versions for which every pin has a wheel.
        "  - python >=3.11,<3.14",
        "  - pip",
        "  - pip:",
    ]
    return "\n".join([*head, *(f"      - {pin}" for pin in pins)]) + "\n"


def main() -> None:
    hashes = "--generate-hashes"
    uv_compile("-", hashes, "--output-file", "envs/bootstrap.txt", source="uv\n")
    uv_compile("pyproject.toml", hashes, "--all-extras", "--output-file", "requirements.lock")
    for family in FAMILIES:
        pins = uv_compile(
            *("pyproject.toml", "--extra", family, "--constraints", "requirements.lock"),
            *("--no-annotate", "--no-header"),
        )
        (ROOT / "envs" / f"{family}.yaml").write_text(environment(pins.splitlines()))


if __name__ == "__main__":
    main()
