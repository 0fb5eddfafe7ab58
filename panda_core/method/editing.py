"""Local edits: add an appearance to a region of the features, cover it, or take it from another picture."""

import torch
import torch.nn.functional as F
from torch import Tensor

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

    Derived; docs/method.md, "Object removal".

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


def cover(features: Tensor, cells: Tensor, region: Tensor, strength: float | Tensor = 1.0) -> Tensor:
    """Cover what is in a region: its mean feature moves to that of some cells of the same picture.

    Z' = Z + s (b - m) p̂ᵀ / (p̂ᵀp̂ / 1ᵀp̂) (derived): m the p̂-weighted mean of Z in the region, b its mean over the cells.
    With one appearance instead of b - m it is the papers' removal (I 4.1.1).

    Args: features: Z, [N, C, H, W]. cells: [S] booleans. region: p̂, [S] in [0, 1]. strength: s; 0 changes nothing.
    """
    check_shape("features", features, N=None, C=None, H=None, W=None)
    H, W = features.shape[2:]
    check_shape("region", region, S=H * W)
    Z, p = features.flatten(2), region.to(features)
    shift = Z[:, :, cells.to(Z.device)].mean(dim=2) - Z @ p / p.sum()  # b - m, [N, C]
    s = torch.as_tensor(strength, dtype=features.dtype, device=features.device)
    change = s.reshape(-1, 1) * shift * (p.sum() / p.square().sum())
    return features + change[:, :, None, None] * p.reshape(1, 1, H, W)


def transfer(features: Tensor, other: Tensor, region: Tensor, share: float | Tensor = 1.0) -> Tensor:
    """A region's features go a share of the way to those of another picture; the styles stay the picture's own.

    Z' = Z + t p̂ ∗ (Z_other - Z) (ours; docs/method.md, "From another picture").

    Args: features: Z, [N, C, H, W]. other: Z_other, [1 or N, C, H, W]. region: p̂, [S]. share: t in [0, 1], one or [N].
    """
    check_shape("features", features, N=None, C=None, H=None, W=None)
    _, C, H, W = features.shape
    check_shape("other", other, C=C, H=H, W=W)
    check_shape("region", region, S=H * W)
    t = torch.as_tensor(share, dtype=features.dtype, device=features.device).reshape(-1, 1, 1, 1)
    return features + t * region.to(features).reshape(1, 1, H, W) * (other.to(features) - features)
