"""Keep freed memory instead of handing it back: feature maps are freed and asked for again in every layer."""

import ctypes
import platform

_ARENA_MAX, _MMAP_MAX, _TRIM_THRESHOLD, _TOP_PAD = -8, -4, -1, -2  # glibc's malloc.h


def keep_freed_memory() -> bool:
    """Tell glibc to take large blocks from one heap, and not to shrink it. For the start of a program, not a library.

    Otherwise every large tensor is mapped and unmapped, and the kernel clears its pages anew: a tail of the bundled
    generator took 1.5 to 3.6 times as long on a CPU (batches of 1 to 128). What the process holds is then its largest
    need so far.

    Returns: whether it could; False where the C library is not glibc, and nothing is changed.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    wishes = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 2**26))
    return all(mallopt(which, value) for which, value in wishes)
