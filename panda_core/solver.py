"""Minimise the parts objective: projected gradient steps whose length comes from the problem itself."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Affinity = Callable[[Tensor], Tensor]  # P [..., S, R] -> WP, W symmetric, of any sign


@dataclass(frozen=True)
class Solution:
    """parts: P >= 0, [B, S, R]; objective: f(P), [B]; history: f after every step, [steps + 1, B], never rising."""

    parts: Tensor
    objective: Tensor
    history: Tensor


def parts_objective(parts: Tensor, product: Tensor) -> Tensor:
    """f(P) = -2 tr PᵀWP + tr (PᵀP)(PᵀWP), [...], from P and WP, both [..., S, R].

    For W = ΣXᵀX this is Σ‖X_i - X_iPPᵀ‖² less its constant tr W (II Eq. 10); -f is the energy explained.
    """
    K, M = parts.mT @ parts, parts.mT @ product
    return -2 * _trace(M) + (K * M).sum(dim=(-2, -1))


def parts_gradient(parts: Tensor, product: Tensor) -> Tensor:
    """∇f = 2P(PᵀWP) + 2WP(PᵀP) - 4WP, [..., S, R]: II Eq. 11 in the order of Eq. 12, nothing of size S x S."""
    P, Q = parts, product
    return 2 * (P @ (P.mT @ Q) + Q @ (P.mT @ P) - 2 * Q)


def minimise_parts(
    affinity: Affinity,
    start: Tensor,
    iterations: int = 400,
    tolerance: float = 1e-6,
    report: Callable[[int, Solution], None] | None = None,
) -> Solution:
    """Descend from `start` to a stationary point of f on P >= 0.

    Spectral projected gradient (Birgin, Martinez, Raydan 2000): D = max(P - ηG, 0) - P with Barzilai and Borwein's η,
    then the exact minimum of f(P + tD) over t in [0, 1]. That is a quartic in t whose coefficients need only R x R
    matrices, so that a step costs one product with W. f never rises, W may be indefinite, and there is no rate to tune:
    the first η is exact for scaling, later ones are measured.

    Args:
        affinity: P -> WP, for [B, S, R].
        start: P >= 0, [B, S, R]: B problems (or starts of one) side by side; its scale is chosen here.
        tolerance: stop when ten steps together gain less than this share of f, in every problem.
        report: called every ten steps with (steps done, solution so far); what it raises ends the search.
    """
    P = start
    Q = affinity(P)
    P, Q = _best_scale(P, Q)
    f, G = parts_objective(P, Q), parts_gradient(P, Q)
    step = P.flatten(1).norm(dim=1) / G.flatten(1).norm(dim=1).clamp_min(1e-300)
    history = [f]
    for i in range(1, iterations + 1):
        D = (P - step[:, None, None] * G).clamp_min(0) - P
        E = affinity(D)
        t = _best_step(_quartic(P, Q, D, E))[:, None, None]
        # P + tD is >= 0 in exact arithmetic; rounding can leave -1e-17 where t = 1 should give 0
        P, Q, G_old = (P + t * D).clamp_min(0), Q + t * E, G
        G = parts_gradient(P, Q)
        history.append(torch.minimum(parts_objective(P, Q), history[-1]))
        step = _spectral_step(t * D, G - G_old, step, long=i % 2 == 0)
        if i % 10 == 0:
            if report is not None:
                report(i, Solution(P, history[-1], torch.stack(history)))
            if bool((history[-11] - history[-1] <= tolerance * history[-1].abs()).all()):
                break
    return Solution(P, history[-1], torch.stack(history))


def _trace(M: Tensor) -> Tensor:
    return M.diagonal(dim1=-2, dim2=-1).sum(dim=-1)


def _best_scale(P: Tensor, Q: Tensor) -> tuple[Tensor, Tensor]:
    """(cP, cQ) with c² = tr M / tr KM, the minimum of f over the scale; as it stands where tr M <= 0."""
    K, M = P.mT @ P, P.mT @ Q
    trace, square = _trace(M), (K * M).sum(dim=(-2, -1))
    usable = (trace > 0) & (square > 0)
    c = torch.where(usable, trace / torch.where(usable, square, 1), 1).sqrt()[:, None, None]
    return c * P, c * Q


def _quartic(P: Tensor, Q: Tensor, D: Tensor, E: Tensor) -> Tensor:
    """Coefficients of f(P + tD) - f(P) in t, t², t³, t⁴: [4, B], from Q = WP and E = WD."""
    K, M = P.mT @ P, P.mT @ Q
    K1, M1 = P.mT @ D, P.mT @ E
    K1, M1 = K1 + K1.mT, M1 + M1.mT
    K2, M2 = D.mT @ D, D.mT @ E

    def dot(X: Tensor, Y: Tensor) -> Tensor:
        return (X * Y).sum(dim=(-2, -1))

    return torch.stack(
        [
            -2 * _trace(M1) + dot(K, M1) + dot(K1, M),
            -2 * _trace(M2) + dot(K, M2) + dot(K1, M1) + dot(K2, M),
            dot(K1, M2) + dot(K2, M1),
            dot(K2, M2),
        ]
    )


def _best_step(c: Tensor) -> Tensor:
    """argmin over t in [0, 1] of c₁t + c₂t² + c₃t³ + c₄t⁴, [B]: a grid, then Newton; 0 if nothing is below 0."""

    def value(t: Tensor) -> Tensor:
        return t * (c[0] + t * (c[1] + t * (c[2] + t * c[3])))

    grid = torch.linspace(0, 1, 33, dtype=c.dtype, device=c.device)[:, None]
    t = best = grid[value(grid).argmin(dim=0), 0]
    for _ in range(4):
        slope = c[0] + t * (2 * c[1] + t * (3 * c[2] + t * 4 * c[3]))
        curve = 2 * c[1] + t * (6 * c[2] + t * 12 * c[3])
        t = torch.where(curve > 0, t - slope / torch.where(curve > 0, curve, 1), t).clamp(0, 1)
        best = torch.where(value(t) < value(best), t, best)
    return best


def _spectral_step(s: Tensor, y: Tensor, last: Tensor, long: bool) -> Tensor:
    """Barzilai and Borwein's two step lengths in turn, [B]; twice the last one where the curvature is not positive."""
    ss, sy, yy = (a.flatten(1).mul(b.flatten(1)).sum(dim=1) for a, b in ((s, s), (s, y), (y, y)))
    good = (sy > 0) & (ss > 0)
    ratio = ss / torch.where(good, sy, 1) if long else sy / torch.where(good, yy, 1)
    still = ss == 0  # no progress along this D: try a shorter one
    return torch.where(good, ratio, torch.where(still, 0.1 * last, 2 * last))
