"""Local edits: add an appearance to a region of the features; the numbers of an object's removal."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..factors import scale_parts
from ..shapes import check_shape


def add_appearance(features: Tensor, appearance: Tensor, region: Tensor, alpha: float | Tensor) -> Tensor:
    """Add one appearance to the features, in one region.

    Z' = Z + α a p̂ᵀ, with p̂ the region in [0, 1].  PandA (ICLR 2023), Sec. 3.3.

    Args:
        features: Z, [N, C, H, W], at the layer the factors were learned from; [1, C, H, W] for N edits of one picture.
        appearance: a, [C], or [N, C]: one for each edit.
        region: p̂, [S] or [N, S], in [0, 1]: a scaled part, a drawn mask, or ones for everywhere.
        alpha: α, in feature units, one number or [N]; 0 changes nothing, a negative value takes away.
    Returns: Z', [N, C, H, W], a new tensor.
    Raises: ValueError if sizes disagree or alpha is not finite.
    """
    check_shape("features", features, N=None, C=None, H=None, W=None)
    _, C, H, W = features.shape
    check_shape("appearance", appearance, C=C)
    check_shape("region", region, S=H * W)  # the last dimension; a leading N is allowed
    alphas = torch.as_tensor(alpha, dtype=features.dtype, device=features.device)
    if not bool(torch.isfinite(alphas).all()):
        raise ValueError(f"alpha is {alpha}; it must be a finite number.")
    Z, a, p = features, appearance.to(features).reshape(-1, C, 1, 1), region.to(features).reshape(-1, 1, H, W)
    return Z + alphas.reshape(-1, 1, 1, 1) * a * p


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


def extend_from_frame(mask: Tensor, frame: tuple[int, int, int, int]) -> Tensor:
    """A region drawn inside the frame, carried outward to the edge of the grid by replication; [H, W] -> [H, W]."""
    check_shape("mask", mask, H=None, W=None)
    top, left, bottom, right = frame
    H, W = mask.shape
    inside = mask[None, None, top:bottom, left:right]
    return F.pad(inside, (left, W - right, top, H - bottom), mode="replicate")[0, 0]


def background_cells(
    features: Tensor, appearance: Tensor, region: Tensor, threshold: float, frame: tuple[int, int, int, int]
) -> Tensor:
    """Where one picture has background outside a region: p̂ < 1/2, inside the frame, a_bᵀz >= μ_b; [S] booleans.

    Derived; method.md, "Object removal".

    Args:
        features: Z of one picture, [1, C, H, W].
        appearance: a_b, [C]; its negative where the background is the negative end.
        region: p̂, [S]; threshold: μ_b for this a_b.
    Raises: ValueError if the region is empty or nothing outside it is background.
    """
    check_shape("features", features, N=1, C=len(appearance), H=None, W=None)
    H, W = features.shape[2:]
    check_shape("region", region, S=H * W)
    top, left, bottom, right = frame
    inside = torch.zeros(H, W, dtype=torch.bool, device=features.device)
    inside[top:bottom, left:right] = True
    m = torch.einsum("c,chw->hw", appearance.to(features), features[0])
    outside = (region.to(m.device).reshape(H, W) < 0.5) & inside & (m >= threshold)
    if float(region.sum()) <= 0:
        raise ValueError("The region to remove is empty; choose a part or draw one.")
    if not bool(outside.any()):
        raise ValueError("Nothing outside the region counts as background in this picture; choose another appearance.")
    return outside.flatten()


def cover_alphas(features: Tensor, appearances: Tensor, region: Tensor, cells: Tensor) -> Tensor:
    """The α_j that bring a region's mean feature to that of some cells, an edit for each appearance; [R], float64.

    α_j = (b_j - m_j) / (p̂ᵀp̂ / 1ᵀp̂) (derived): m_j the p̂-weighted mean of a_jᵀZ in the region, b_j its mean over the
    cells. Orthonormal appearances leave each other's means alone: any choice of these edits does it for those chosen.

    Args: features: Z, [1, C, H, W]. appearances: [C, R]. region: p̂, [S]. cells: [S] booleans.
    """
    M = torch.einsum("cr,chw->rhw", appearances.to(features), features[0]).flatten(1).double()
    p = region.to(M)
    return (M[:, cells].mean(dim=1) - M @ p / p.sum()) / (p.square().sum() / p.sum())
