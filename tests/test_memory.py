"""Memory of tensors that are gone, as the system counts it."""

import platform
import subprocess
import sys

import pytest

# Tensors of 1 to 31 MiB, each alone. glibc gives what is larger than all before back to the system.
SCRIPT = """
import resource, sys
import torch
from dissent.memory import keep_freed
if sys.argv[1] == "keep":
    keep_freed()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for size in range(1, 32):
    torch.ones(size * 2**18)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_pages_of_tensors_that_are_gone_are_not_handed_out_again():
    kept, given_back = (
        int(subprocess.check_output([sys.executable, "-c", SCRIPT, word])) for word in ("keep", "")
    )
    assert kept < given_back / 4
