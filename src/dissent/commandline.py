"""What every script of the workflow shares: its log, and how it reports a mistake in its input."""

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from dissent.provenance import facts


class InputError(Exception):
    """Something the user gave is wrong; the message is one sentence: what, where, how to mend."""


def parser(description: str) -> argparse.ArgumentParser:
    """An argument parser that already knows `--log`."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    made.add_argument("--log", type=Path, help="also write messages and errors to this file")
    return made


def run(main: Callable[[argparse.Namespace], None], arguments: argparse.Namespace) -> None:
    """Call `main(arguments)`; an InputError ends the process with its sentence and status 1."""
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if arguments.log:
        arguments.log.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(arguments.log, mode="w"))
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=handlers, force=True)
    logging.captureWarnings(True)
    try:
        main(arguments)
        declare_device()
    except InputError as error:
        logging.error("error: %s", error)
        sys.exit(1)
    except Exception:
        logging.exception("%s failed", Path(sys.argv[0]).name)
        sys.exit(1)


def declare_device() -> None:
    """Note in the job's record where torch computed, if the job used torch."""
    torch = sys.modules.get("torch")
    if torch is not None:
        on_gpu = torch.cuda.is_initialized()
        facts.declare(device=torch.cuda.get_device_name() if on_gpu else "cpu")
