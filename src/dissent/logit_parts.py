"""What a job that caches logits has so far: a part for every so many examples, kept on the disk.

So a job that is killed goes on where it was.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from dissent.files import atomic
from dissent.logits import Key, write_tensors
from dissent.parts import folder_of

Columns = Mapping[str, np.ndarray]


class Parts:
    """The parts of the logits files `outputs`, one a model, of `n_examples` in steps of `step`."""

    def __init__(
        self,
        keys: Sequence[Key],
        outputs: Sequence[Path],
        n_examples: int,
        step: int,
        *more: object,
    ):
        self.keys, self.outputs = keys, outputs
        self.starts = range(0, n_examples, step)
        self.sizes = [min(step, n_examples - start) for start in self.starts]
        decisive = [*map(asdict, keys), list(map(str, outputs)), n_examples, step, *more]
        self.folder = folder_of(*decisive)

    def path(self, index: int) -> Path:
        """Where a part lies."""
        return self.folder / f"{self.starts[index]:09d}.safetensors"

    def examples_done(self) -> int:
        """How many examples are in parts, up to the first part that is missing or damaged."""
        done = 0
        for index, size in enumerate(self.sizes):
            if not self._is_whole(index):
                break
            done += size
        return done

    def _is_whole(self, index: int) -> bool:
        path = self.path(index)
        if not path.exists():
            return False
        try:
            # Opening compares the header with the file's length.
            with safe_open(path, "np") as file:
                names = list(file.keys())
                rows = {file.get_slice(name).get_shape()[0] for name in names}
        except SafetensorError:
            return False
        return rows == {self.sizes[index]}

    def keep(self, start: int, columns: Sequence[Mapping[str, Sequence[np.ndarray]]]) -> None:
        """Write the part that begins with example `start`: of each model, columns in pieces."""
        tensors = {
            # Whatever its strides, safetensors takes an array's memory as it lies.
            f"{model}.{name}": np.ascontiguousarray(np.concatenate(pieces))
            for model, of_model in enumerate(columns)
            for name, pieces in of_model.items()
        }
        with atomic(self.path(self.starts.index(start))) as temporary:
            save_file(tensors, temporary)

    def assemble(self) -> None:
        """Write the logits files from the parts, one model in memory at a time."""
        for model, (key, output) in enumerate(zip(self.keys, self.outputs, strict=True)):
            parts = [dict(self._columns(index, model)) for index in range(len(self.starts))]
            whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            write_tensors(output, key, whole)

    def _columns(self, index: int, model: int) -> Iterator[tuple[str, np.ndarray]]:
        for name, tensor in load_file(self.path(index)).items():
            of_model, _, column = name.partition(".")
            if of_model == str(model):
                yield column, tensor
