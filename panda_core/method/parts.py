"""Regions made of parts, and the sign of appearances."""

from collections.abc import Sequence

import torch
from torch import Tensor


def scale_parts(parts: Tensor) -> Tensor:
    """p̂: every column min-max scaled to [0, 1], [..., S, R_S]; a constant column becomes 0."""
    low, high = parts.amin(dim=-2, keepdim=True), parts.amax(dim=-2, keepdim=True)
    return (parts - low) / torch.where(high > low, high - low, 1)


def combine_parts(parts: Tensor, numbers: Sequence[int], keep: Tensor | None = None) -> Tensor:
    """The region of several parts: each scaled to [0, 1], summed, clamped at 1; `keep` keeps a piece of it.

    Args:
        parts: P, [S, R_S] or [N, S, R_S].
        numbers: which columns; at least one.
        keep: [S] in [0, 1], multiplied in (I C.1: one eye of two), or None.
    Returns: p̂, [S] or [N, S].
    """
    if not numbers:
        raise ValueError("No part is chosen; name at least one.")
    if not all(0 <= k < parts.shape[-1] for k in numbers):
        raise ValueError(f"parts are {list(numbers)}; these factors have 0 to {parts.shape[-1] - 1}.")
    region = scale_parts(parts[..., list(numbers)]).sum(dim=-1).clamp(0, 1)
    return region if keep is None else region * keep.to(region)


def fix_signs(appearances: Tensor) -> Tensor:
    """A with every column's sign chosen by SIGN_RULE, [C, R_C]."""
    largest = appearances.gather(0, appearances.abs().argmax(dim=0, keepdim=True))
    return appearances * torch.where(largest < 0, -1.0, 1.0).to(appearances)
