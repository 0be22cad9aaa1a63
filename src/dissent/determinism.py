"""Having torch compute the same thing every time."""

import hashlib
import json
import os

import torch


def use(threads: int) -> None:
    """Have torch compute the same thing every time, on this many cores."""
    # Read by CUDA when it starts; its matrix products differ from call to call without it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    # On a GPU a few kernels have no such version: better slightly different than not at all.
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    # Which also fills memory that is about to be written, and takes a tenth of the time for it.
    torch.utils.deterministic.fill_uninitialized_memory = False


def fastest_device() -> torch.device:
    """Where torch learns fastest on this machine."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seed_of(*parts: str | int | list[str]) -> int:
    """A seed of torch for what these words and numbers say."""
    return int(hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:15], 16)
