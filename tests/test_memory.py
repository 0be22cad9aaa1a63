"""Memory of tensors that are gone, as the system counts it."""

import platform
import subprocess
import sys

import pytest

# Six tensors of 16 MiB at a time, whose pages the system would hand out anew each time.
SCRIPT = """
import resource, sys
import torch
from dissent.memory import keep_freed
if sys.argv[1] == "keep":
    keep_freed()
for _ in range(10):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [torch.ones(4 * 2**20) for _ in range(6)]
    del tensors
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_pages_of_tensors_that_are_gone_are_not_handed_out_again():
    kept, given_back = (
        int(subprocess.check_output([sys.executable, "-c", SCRIPT, word])) for word in ("keep", "")
    )
    assert kept < given_back / 4
