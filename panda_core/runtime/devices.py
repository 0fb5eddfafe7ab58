"""Which device a generator runs on, and what happens when a GPU's memory is full."""

import os
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

SMALL = 128  # pixels: up to here one picture takes a CPU a few milliseconds, less than moving data to a GPU and back
allowed = True  # whether this process may use a GPU now; on ZeroGPU only a child of its own may, once the page is up
full = False  # whether its memory has proved too small; then it is left alone
wanted = False  # whether a loaded generator would be faster on a GPU
M = TypeVar("M", bound=nn.Module)


def place(generator: M) -> M:
    """The generator, moved to where it runs best: PANDA_DEVICE, else a GPU if there is one and it is large enough."""
    global wanted
    best = "cuda" if generator.resolution > SMALL and torch.cuda.is_available() else "cpu"
    best = torch.device(os.environ.get("PANDA_DEVICE") or best)
    best = torch.device("cpu") if full else best
    wanted |= best.type == "cuda"
    if allowed and generator.device.type != best.type:
        generator.to(best)
    return generator


def in_batches(run: Callable[[int, int], Tensor], count: int, size: int) -> Tensor:
    """run(first, n) for all of `count` in batches of at most `size`, in one tensor; a batch that a GPU cannot hold is
    halved.

    Raises: torch.cuda.OutOfMemoryError if it cannot hold one.
    """
    made: list[Tensor] = []
    first = 0
    while first < count or not made:
        n = min(size, count - first)
        try:
            made.append(run(first, n))
        except torch.cuda.OutOfMemoryError:
            if n <= 1:
                raise
            size = n // 2
            torch.cuda.empty_cache()
            continue
        first += n
    return made[0] if len(made) == 1 else torch.cat(made)
