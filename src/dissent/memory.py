"""What becomes of memory that a program no longer needs."""

import ctypes
import platform

# Of <malloc.h>
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# The highest that all versions of glibc accept, bytes.
HIGHEST_THRESHOLD = 32 * 2**20


def keep_freed() -> None:
    """Have this process keep the memory of tensors that are gone, for those that follow.

    glibc gives it back to the system, which then hands it out page by page, zeroed: up to a third
    of the time of a small network. Tensors of more than 32 MiB come and go as before. Other C
    libraries are left as they are.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_THRESHOLD, HIGHEST_THRESHOLD)
    libc.mallopt(M_TRIM_THRESHOLD, -1)
