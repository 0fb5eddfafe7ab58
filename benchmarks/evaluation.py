"""The papers' measures: how local an edit is (ROIR, I Eq. 7), how well a mask fits (IoU)."""

import torch
from torch import Tensor

from panda_core.shapes import check_shape


def outside_inside_ratios(before: Tensor, after: Tensor, region: Tensor) -> Tensor:
    """‖(1 - M) ∗ (X - X')‖ / ‖M ∗ (X - X')‖ of every picture, [N]; ROIR (I Eq. 7, II Eq. 13) is their mean.

    Lower is more local. Where nothing changes inside, it is infinite; where nothing changes at all, not a number.

    Args:
        before, after: X and X', [N, 3, h, w], in any unit.
        region: M in [0, 1], [h, w] or [N, h, w], the same for all channels.
    Raises: ValueError if sizes disagree or the region leaves [0, 1].
    """
    check_shape("before", before, N=None, channels=None, h=None, w=None)
    N, channels, h, w = before.shape
    check_shape("after", after, N=N, channels=channels, h=h, w=w)
    if region.shape not in ((h, w), (N, h, w)):
        raise ValueError(f"region is {tuple(region.shape)}; for these pictures it must be {(h, w)} or {(N, h, w)}.")
    if not 0 <= float(region.min()) <= float(region.max()) <= 1:
        raise ValueError(f"region has values {float(region.min()):g} to {float(region.max()):g}; they must be 0 to 1.")
    change = (before.double() - after.double()).square().sum(dim=1)  # [N, h, w]
    M = region.double().expand(N, h, w)
    outside, inside = (((weight.square() * change).sum(dim=(1, 2))).sqrt() for weight in (1 - M, M))
    return outside / inside


def mask_iou(masks: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of two sets of masks, [..., h, w] of booleans -> [...]; two empty masks are alike, 1."""
    if masks.dtype != torch.bool or others.dtype != torch.bool or masks.shape != others.shape:
        raise ValueError(
            f"masks are {tuple(masks.shape)} of {masks.dtype} and {tuple(others.shape)} of {others.dtype}; "
            "they must be booleans of one shape."
        )
    both, either = ((op(masks, others)).sum(dim=(-2, -1)) for op in (torch.logical_and, torch.logical_or))
    return torch.where(either > 0, both / either.clamp_min(1), 1.0)


def ssim_map(one: Tensor, other: Tensor) -> Tensor:
    """Structural similarity at every pixel (Wang et al., 2004), [N, h, w]; mean over channels; 1 where they are alike.

    Args: one, other: [N, channels, h, w] in [-1, 1]. Windows are Gaussian, 11 x 11 of deviation 1.5, cut at the edges.
    """
    N, channels, h, w = one.shape
    check_shape("other", other, N=N, channels=channels, h=h, w=w)

    def window(n: int) -> Tensor:
        """[n, n]: what every pixel of a row of n sees of it."""
        x = torch.arange(n, dtype=torch.float64, device=one.device)
        away = x[:, None] - x
        seen = torch.where(away.abs() <= 5, torch.exp(-away.square() / (2 * 1.5**2)), 0.0)
        return seen / seen.sum(dim=1, keepdim=True)

    rows, columns = window(h), window(w).t()

    def blur(values: Tensor) -> Tensor:
        return rows @ values @ columns

    a, b = one.double(), other.double()
    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    both = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2  # the pictures' range is 2
    found = (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return found.mean(dim=1)
