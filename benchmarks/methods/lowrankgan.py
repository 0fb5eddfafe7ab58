"""LowRankGAN (Zhu et al., NeurIPS 2021): what changes a region most and, to first order, nothing else.

As published: JᵀJ of the region and of the rest each split by robust PCA into low rank and sparse; the leading
eigenvectors of the region's low-rank part, projected onto the null space of the rest's. Adapted: J is averaged over a
few pictures (theirs is of one); how much of the rest's subspace is projected out is chosen with the direction, as they
chose it by eye; applied to the three ranges of layers.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from .base import Aim, Candidate, Candidates, Ground, directions_as_candidates

KEPT_OUT = 0.99, 0.9  # shares of the rest's low-rank energy that the projection takes away


def low_rank(M: Tensor, steps: int = 60) -> Tensor:
    """L of min ‖L‖_* + λ‖S‖₁ with M = L + S, λ = 1/√n, by the inexact augmented Lagrangian (Lin et al., 2010)."""
    M = M.double()
    top = torch.linalg.matrix_norm(M, 2)
    if top == 0:  # the region is all of the picture, and nothing is left for the rest
        return M
    lam = max(M.shape) ** -0.5
    Y = M / torch.maximum(top, M.abs().max() / lam)
    S, mu, L = torch.zeros_like(M), 1.25 / top, M
    for _ in range(steps):
        U, s, Vh = torch.linalg.svd(M - S + Y / mu, full_matrices=False)
        L = (U * (s - 1 / mu).clamp_min(0)) @ Vh
        rest = M - L + Y / mu
        S = rest.sign() * (rest.abs() - lam / mu).clamp_min(0)
        Y, mu = Y + mu * (M - L - S), min(mu * 1.5, 1e7 / top)
        if float((M - L - S).norm()) < 1e-7 * float(M.norm()):
            break
    return L


def directions(inside: Tensor, outside: Tensor, kept_out: float, count: int) -> Tensor:
    """The leading directions inside, projected onto the null space of what moves the rest, [w_dim, count]."""
    V = torch.linalg.eigh(inside).eigenvectors.flip(1)[:, :count]
    values, B = torch.linalg.eigh(outside)
    values, B = values.flip(0).clamp_min(0), B.flip(1)
    rank = int((values.cumsum(0) < kept_out * values.sum()).sum()) + int(values.sum() > 0)
    B = B[:, :rank]
    return V - B @ (B.t() @ V)


def learn(ground: Ground) -> Candidates:
    ground.jacobians  # noqa: B018  (drawn here, so that it counts as learning)

    def candidates(aim: Aim) -> Iterator[Candidate]:
        inside, outside = (low_rank(ground.gram(weight)) for weight in (aim.region, 1 - aim.region))
        for share in KEPT_OUT:
            V = directions(inside, outside, share, 6).float()
            yield from directions_as_candidates(ground, V[:, V.norm(dim=0) > 1e-6], f"less {share:.0%} of the rest,")

    return candidates
