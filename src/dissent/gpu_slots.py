"""GPUs for jobs that ask for one: each gets one of its own, also where several share a machine."""

import fcntl
import logging
import os
import tempfile
from pathlib import Path
from time import sleep

import torch

from dissent.commandline import InputError

VISIBLE = "CUDA_VISIBLE_DEVICES"
SECONDS_BETWEEN_TRIES = 1.0
log = logging.getLogger("dissent")
# Open as long as this process lives, and locked with it.
_held = []


def device_for(gpus: int) -> torch.device:
    """The CPU for a job that asks for no GPU; else a GPU that no other job of this user has.

    CUDA then sees that one alone, or none, so this has to come before anything that uses CUDA.
    Waits while all are taken. Raises InputError where there is none.
    """
    devices = visible()
    if not gpus:
        if devices:
            log.info("a GPU is here, and not used: set `gpus: 1` in the run file to have it")
        os.environ[VISIBLE] = ""
        return torch.device("cpu")
    if devices:
        os.environ[VISIBLE] = taken(devices)
    if not devices or not torch.cuda.is_available():
        raise InputError(
            "this job asks for a GPU, and torch finds none here: run it where there is one, or set "
            "`gpus: 0` in the run file to have the CPU do its work"
        )
    # What is called float32 should not be less in convolutions (TF32, torch's default there).
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda")


def visible() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    if (named := os.environ.get(VISIBLE)) is not None:
        return [device.strip() for device in named.split(",") if device.strip() not in ("", "-1")]
    return [str(i) for i in range(torch.cuda.device_count())]


def taken(devices: list[str], folder: Path | None = None) -> str:
    """The first of some devices that no other process holds; it is this process's from now on."""
    folder = folder or Path(tempfile.gettempdir())
    # Slurm gives each of its jobs GPUs of its own, and may call all of them 0.
    of_whom = f"{os.getuid()}-{os.environ.get('SLURM_JOB_ID', 'here')}"
    told = False
    while True:
        for device in devices:
            file = (folder / f"dissent-gpu-{of_whom}-{device.replace('/', '-')}.lock").open("w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            _held.append(file)
            return device
        if not told:
            log.info("GPUs %s are taken by other jobs: waiting", ", ".join(devices))
            told = True
        sleep(SECONDS_BETWEEN_TRIES)
