"""Adapt the parts to one picture, densely (I Eq. 6) or on a graph of its positions (II Algorithm 2)."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..shapes import check_shape
from .solver import Dense, Factored, Solution, minimise_parts

ROWS = 2**23  # numbers of one block of distances: 64 MB of float64


def refine_parts(
    features: Tensor,
    appearances: Tensor,
    parts: Tensor,
    k: int | None = None,
    iterations: int = 100,
    tolerance: float = 1e-5,
    report: Callable[[int, Solution], None] | None = None,
) -> Tensor:
    """Adapt P to each picture, starting from the global one.

    min over P̃ >= 0 of -2 tr P̃ᵀW_iP̃ + tr P̃P̃ᵀW_iP̃P̃ᵀ (II Eq. 10), with W_i = X_iᵀX_i, X_i = AᵀZ_i, formed only
    where S <= R_C (dense); or W_i = G ∗ (X_iᵀX_i), G the mutual k-nearest-neighbour graph of the columns of X_i with
    ones on its diagonal, kept sparse: 8 (k + 1) S bytes of numbers and as many of indices.

    Args:
        features: Z, [N, C, H, W]; every sample has a problem of its own, all solved side by side.
        appearances: A, [C, R_C], orthonormal columns.
        parts: P, [S, R_S] >= 0.
        k: neighbours, 1 to S - 1 (S - 1 is the dense problem again); None is dense.
        report: as in minimise_parts.
    Returns: P̃, [N, S, R_S] >= 0. Where all features are 0, P up to the lengths of its columns.
    """
    check_shape("features", features, N=None, C=len(appearances), H=None, W=None)
    N, _, H, W = features.shape
    S = H * W
    check_shape("parts", parts, S=S, R_S=None)
    if k is not None and not 1 <= k <= S - 1:
        raise ValueError(f"k is {k}; this layer has {S} positions, so it must be 1 to {S - 1}.")
    Z = features.flatten(2).double()  # in float32 the parts of two machines could differ by a tenth
    X = torch.einsum("cr,ncs->nrs", appearances.to(Z), Z)
    start = parts.to(Z).expand(N, -1, -1)
    if k is not None:
        affinity = _Graph([neighbour_affinity(x, k) for x in X])
    else:  # whichever is smaller, W or X
        affinity = Dense(X.mT @ X) if X.shape[1] >= S else Factored(X)
    return minimise_parts(affinity, start, iterations, tolerance, report).parts.to(features.dtype)


def neighbour_affinity(columns: Tensor, k: int) -> Tensor:
    """W = G ∗ (XᵀX) in sparse CSR form, [S, S], from X, [R, S] (II Algorithm 2).

    G joins two positions that are each among the other's k nearest, in Euclidean distance; its diagonal is 1. Distances
    are made in blocks of rows, so that nothing of size S x S is held.
    """
    X = columns.t().contiguous()  # [S, R]
    S = len(X)
    squares = X.square().sum(dim=1)
    block = max(1, ROWS // S)
    rows = torch.arange(S, device=X.device)
    nearest = []
    for start in range(0, S, block):
        mine = rows[start : start + block]
        distance = squares[None] - 2 * X[mine] @ X.t()  # less |x_i|², the same along a row
        distance[torch.arange(len(mine), device=X.device), mine] = torch.inf  # a position is not its own neighbour
        nearest.append(distance.topk(k, dim=1, largest=False, sorted=False).indices)
    neighbours = torch.cat(nearest)  # [S, k]
    forth = (rows[:, None] * S + neighbours).flatten().sort().values
    back = (neighbours * S + rows[:, None]).flatten().sort().values
    found = torch.searchsorted(back, forth).clamp_max(len(back) - 1)
    mutual = forth[back[found] == forth]
    edges = torch.cat([mutual, rows * (S + 1)]).sort().values
    i, j = edges // S, edges % S
    weights = torch.empty(len(edges), dtype=X.dtype, device=X.device)
    for start in range(0, len(edges), chunk := max(1, ROWS // X.shape[1])):
        piece = slice(start, start + chunk)
        weights[piece] = (X[i[piece]] * X[j[piece]]).sum(dim=1)
    starts = torch.searchsorted(i, torch.arange(S + 1, device=X.device))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(starts, j, weights, (S, S), check_invariants=False)


@dataclass(frozen=True)
class _Graph:
    matrices: list[Tensor]

    def __call__(self, P: Tensor) -> Tensor:
        return torch.stack([W @ p for W, p in zip(self.matrices, P)])
