"""Replace one concept by another."""

import torch
from torch import Tensor

from ..shapes import check_shape


def rewrite_concept(
    features: Tensor, source: Tensor, target: Tensor, alpha: float | Tensor = 1.0, region: Tensor | None = None
) -> Tensor:
    """Put concept k wherever there is concept j (II Eqs. 14-16).

    Z' = Z + (α a_k - a_j)([a_jᵀZ]₊ ∗ p̂ᵀ). Derived: for orthonormal columns and j ≠ k this is the papers' replacement of
    rows of AᵀZ, needs no square A, and keeps what A does not span.

    Args:
        features: Z, [N, C, H, W].
        source: a_j, [C]; target: a_k, [C]; orthonormal.
        alpha: α, how much of k for one of j, one number or [N]; 0 only takes j away.
        region: p̂, [S] or [N, S] in [0, 1]; None is everywhere.
    Raises: ValueError if sizes disagree or alpha is not finite.
    """
    check_shape("features", features, N=None, C=None, H=None, W=None)
    _, C, H, W = features.shape
    check_shape("source", source, C=C)
    check_shape("target", target, C=C)
    alphas = torch.as_tensor(alpha, dtype=features.dtype, device=features.device)
    if not bool(torch.isfinite(alphas).all()):
        raise ValueError(f"alpha is {alpha}; it must be a finite number.")
    a_j, a_k = source.to(features), target.to(features)
    amount = torch.einsum("nchw,c->nhw", features, a_j).clamp_min(0)[:, None]  # [a_jᵀZ]₊, [N, 1, H, W]
    if region is not None:
        check_shape("region", region, S=H * W)
        amount = amount * region.to(features).reshape(-1, 1, H, W)
    change = alphas.reshape(-1, 1) * a_k - a_j  # [1 or N, C]
    return features + change[:, :, None, None] * amount
