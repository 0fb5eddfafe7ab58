"""Minimise the parts objective: accelerated projected gradient, its step measured from the problem itself."""

import math
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
    """Descend from `start` to a stationary point of f on P >= 0, |p_k|² <= 2.

    The bound on the columns is derived, and idle where W = ΣXᵀX (there the best p has length 1 at most): where some
    p >= 0 has pᵀWp < 0, as a masked W_i can, f falls for ever along p, and the objective of II Eq. 10 has no minimum.

    Accelerated projected gradient: P⁺ = project(Y - G(Y)/L) from Y = P + β(P - P₋), with Nesterov's β, restarted
    wherever f would rise (so it never does; W may be indefinite). L is measured: it is doubled until f(P⁺) lies below
    its quadratic model at Y, and falls by a tenth per step. There is no rate to tune. WY follows from products already
    made, so that a step costs one product with W, and one more for every doubling.

    Steps of Barzilai and Borwein were as fast but chaotic: a change of 1e-6 in the features moved parts by up to 1.0 of
    their range after a hundred steps, this one's by 1e-5 (in float64). A recipe must give one picture on every machine.

    Args:
        affinity: P -> WP, for [B, S, R].
        start: P >= 0, [B, S, R], best in float64: B problems (or starts of one) side by side; its scale is chosen here.
        tolerance: stop when ten steps together gain less than this share of f, in every problem.
        report: called every ten steps with (steps done, solution so far); what it raises ends the search.
    """
    P, Q = _best_scale(start, affinity(start))
    bounded = _project(P)
    if not torch.equal(bounded, P):
        P, Q = bounded, affinity(bounded)
    P_last, Q_last, f = P, Q, parts_objective(P, Q)
    L = _norm(parts_gradient(P, Q)) / _norm(P).clamp_min(1e-30) + 1e-30
    momentum = torch.ones_like(L)
    history = [f]
    for i in range(1, iterations + 1):
        momentum_next = (1 + (1 + 4 * momentum.square()).sqrt()) / 2
        beta = _each((momentum - 1) / momentum_next)
        Y, WY = P + beta * (P - P_last), Q + beta * (Q - Q_last)
        P_new, Q_new, f_new, L = _backtrack(affinity, Y, WY, L)
        falls = f_new <= f
        L = torch.where(f_new < f - 1e-12 * f.abs(), 0.9 * L, L)  # at rest it keeps its size, or it would fall for ever
        P_last, Q_last = P, Q
        P, Q = torch.where(_each(falls), P_new, P), torch.where(_each(falls), Q_new, Q)
        f, momentum = torch.where(falls, f_new, f), torch.where(falls, momentum_next, 1)
        history.append(f)
        if i % 10 == 0:
            if report is not None:
                report(i, Solution(P, f, torch.stack(history)))
            if bool((history[-11] - f <= tolerance * f.abs()).all()):
                break
    return Solution(P, f, torch.stack(history))


def _backtrack(affinity: Affinity, Y: Tensor, WY: Tensor, L: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """P⁺ = project(Y - G/L) with L doubled until f(P⁺) <= f(Y) + <G, D> + L/2 |D|², D = P⁺ - Y: (P⁺, WP⁺, f(P⁺), L)."""
    f_Y, G = parts_objective(Y, WY), parts_gradient(Y, WY)
    slack = 1e-12 * f_Y.abs()  # where both sides are equal to rounding, L must not run away
    for _ in range(100):
        P = _project(Y - G / _each(L))
        Q, D = affinity(P), P - Y
        f = parts_objective(P, Q)
        fits = f <= f_Y + (G * D).sum(dim=(1, 2)) + L / 2 * D.square().sum(dim=(1, 2)) + slack
        if bool(fits.all()):
            break
        L = torch.where(fits, L, 2 * L)  # also where f overflowed: a comparison with NaN is false
    return P, Q, f, L


def _project(P: Tensor) -> Tensor:
    """The nearest P >= 0 with columns of length √2 at most: of a cone and a ball about its tip, one after the other."""
    P = P.clamp_min(0)
    return P * (math.sqrt(2) / P.norm(dim=-2, keepdim=True).clamp_min(math.sqrt(2)))


def _best_scale(P: Tensor, Q: Tensor) -> tuple[Tensor, Tensor]:
    """(cP, cQ) with c² = tr M / tr KM, the minimum of f over the scale; as it stands where tr M <= 0."""
    K, M = P.mT @ P, P.mT @ Q
    trace, square = _trace(M), (K * M).sum(dim=(-2, -1))
    usable = (trace > 0) & (square > 0)
    c = _each(torch.where(usable, trace / torch.where(usable, square, 1), 1).sqrt())
    return c * P, c * Q


def _trace(M: Tensor) -> Tensor:
    return M.diagonal(dim1=-2, dim2=-1).sum(dim=-1)


def _norm(P: Tensor) -> Tensor:
    return P.flatten(1).norm(dim=1)


def _each(values: Tensor) -> Tensor:
    """One number for each problem, [B] -> [B, 1, 1]."""
    return values[:, None, None]
