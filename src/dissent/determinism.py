"""Having torch compute the same thing every time."""

import hashlib
import json
import os

import torch

from dissent.gpu_slots import device_for
from dissent.memory import keep_freed


def use(threads: int, gpus: int = 0) -> torch.device:
    """Have torch compute the same thing every time, on this many cores, and on a GPU if asked to.

    Waits for a GPU that no other job has; raises InputError where there is none.
    """
    device = device_for(gpus)
    # Read by CUDA when it starts; its matrix products differ from call to call without it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    keep_freed()
    # On a GPU a few kernels have no such version: better slightly different than not at all.
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    # Which also fills memory that is about to be written, and takes a tenth of the time for it.
    torch.utils.deterministic.fill_uninitialized_memory = False
    return device


def seed_of(*parts: str | int | list[str]) -> int:
    """A seed of torch for what these words and numbers say."""
    return int(hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:15], 16)
