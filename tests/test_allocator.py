import platform
import subprocess
import sys

from panda_core.runtime.allocator import keep_freed_memory

CHURN = """
import resource, torch
from panda_core.runtime.allocator import keep_freed_memory
if {kept}: keep_freed_memory()
for _ in range(2): torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10): torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_large_blocks_are_not_mapped_anew():
    """Page faults of ten 64 MB tensors, in processes of their own: the setting lasts as long as a process."""
    if platform.libc_ver()[0] != "glibc":
        assert not keep_freed_memory()
        return
    kept, plain = (
        int(subprocess.run([sys.executable, "-c", CHURN.format(kept=kept)], capture_output=True, check=True).stdout)
        for kept in (True, False)
    )
    assert kept < 0.1 * plain
