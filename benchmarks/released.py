"""The released procedure, as the yardstick: I Algorithm 1 with a fresh sample per iteration and a given rate."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

RATES = tuple(10.0**e for e in range(-8, -1))


def gradient_parts(Z: Tensor, A: Tensor, P: Tensor) -> Tensor:
    """I Eq. 4, for any A and P: Z [N, C, S], A [C, R_C], P [S, R_S] -> [S, R_S]. Thin products first."""
    X, K = A.t() @ Z, A.t() @ A  # [N, R_C, S]
    Y = X @ P  # AᵀZP, [N, R_C, R_S]
    KY = K @ Y
    return 2 * (P @ (Y.mT @ KY) + X.mT @ KY @ (P.t() @ P) - 2 * X.mT @ Y).sum(dim=0)


def parts_gradient(parts: Tensor, product: Tensor) -> Tensor:
    """∇f = 2P(PᵀWP) + 2WP(PᵀP) - 4WP, [..., S, R]: II Eq. 11 in the order of Eq. 12, nothing of size S x S."""
    P, Q = parts, product
    return 2 * (P @ (P.mT @ Q) + Q @ (P.mT @ P) - 2 * Q)


def gradient_appearances(Z: Tensor, A: Tensor, P: Tensor) -> Tensor:
    """I Eq. 5, for any A and P: -> [C, R_C]."""
    Q, K = Z @ P, P.t() @ P  # ZP, [N, C, R_S]
    Y = A.t() @ Q
    YK = Y @ K
    return 2 * (A @ (YK @ Y.mT) + Q @ YK.mT @ (A.t() @ A) - 2 * Q @ Y.mT).sum(dim=0)


def hosvd(draw: Callable[[int, int], Tensor], R_C: int, samples: int = 1000, batch: int = 10) -> Tensor:
    """A of Algorithm 1's first line: leading left singular vectors of ΣZZᵀ."""
    total = 0
    for first in range(0, samples, batch):
        Z = draw(first, batch).transpose(0, 1).flatten(1)
        total = total + Z @ Z.t()
    return torch.linalg.svd(total).U[:, :R_C]


def descend(
    draw: Callable[[int, int], Tensor], A: Tensor, R_S: int, rate: float, first: int, seed: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Algorithm 1's loop without end: yields (A, P) after each iteration; sample first + t in iteration t."""
    S = draw(first, 1)[0, 0].numel()
    P = 0.01 * torch.rand(S, R_S, generator=torch.Generator().manual_seed(seed))
    t = first
    while True:
        Z = draw(t, 1).flatten(2)
        P = (P - rate * gradient_parts(Z, A, P)).clamp_min(0)
        A = A - rate * gradient_appearances(Z, A, P)
        t += 1
        yield A, P


def unexplained(Z: Tensor, A: Tensor, P: Tensor) -> float:
    """Eq. 3 over Σ‖Z‖², from the residual itself: A need not be orthonormal here."""
    Z, A, P = Z.flatten(2).double(), A.double(), P.double()
    return float((Z - A @ (A.t() @ Z @ P) @ P.t()).square().sum() / Z.square().sum())
