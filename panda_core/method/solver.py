"""Minimise the parts objective: projected gradient with momentum, its step measured from the problem itself."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Affinity = Callable[[Tensor], Tensor]  # P [..., S, R] -> WP, W symmetric, of any sign


@dataclass(frozen=True)
class Dense:
    """P -> WP from W itself, [..., S, S]. Here and below Pᵀ comes first: the solver holds it in that order."""

    W: Tensor

    def __call__(self, P: Tensor) -> Tensor:
        return (P.mT @ self.W).mT


@dataclass(frozen=True)
class Factored:
    """P -> XᵀXP, W = XᵀX not formed, from X [..., R_C, S]."""

    X: Tensor

    def __call__(self, P: Tensor) -> Tensor:
        return (P.mT @ self.X.mT @ self.X).mT


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

    Projected gradient with momentum (Polyak's): P⁺ = project(P + β(P - P₋) - (t/m) ∇f(P)). A step that would raise f is
    not taken; the next is half as long, without momentum. So f never rises, and W may be indefinite. m_k = |Wp_k|/|p_k|
    gives every part a length of its own (parts of little energy would crawl at the pace of the strongest: half the
    steps on real features), measured again whenever f would have risen. t is measured too: 1/4 is right at once, and it
    grows by 2 % per step. There is no rate to tune.

    One picture's problem is so small that a step costs what its launches of kernels cost, not their arithmetic. Hence
    Polyak's momentum: the gradient is taken at P itself, where f is known, and all that f needs are R x R products.
    Nesterov's, with a length searched for at every point, took a fifth more steps of four times the time each, and let
    rounding grow more often. Pᵀ and PᵀW are held, [B, R, S]: products of a short wide matrix with a square one are up
    to six times as fast on CPUs as those of a tall thin one.

    Steps of Barzilai and Borwein were as fast but chaotic: a change of 1e-6 in the features moved parts by up to 1.0 of
    their range after a hundred steps, this one's by 1e-5 (in float64). A recipe must give one picture on every machine.

    Args:
        affinity: P -> WP, for [B, S, R].
        start: P >= 0, [B, S, R], best in float64: B problems (or starts of one) side by side; its scale is chosen here.
        tolerance: stop when ten steps together gain less than this share of f, in every problem.
        report: called every ten steps with (steps done, solution so far); what it raises ends the search.
    """
    P, Q = (x.mT.contiguous() for x in _best_scale(start, affinity(start)))  # Pᵀ, PᵀW
    if masked := not isinstance(affinity, Dense | Factored):
        P, Q = P * _shortening(P), Q * _shortening(P)
    eye = torch.eye(P.shape[1], dtype=P.dtype, device=P.device).expand(len(P), -1, -1)
    last, (K, M, f) = P, _measure(P, Q, eye)
    t, momentum, most = (torch.full_like(f, value) for value in (0.25, 1.0, 1.9))  # momentum: 1 + β
    step, history = t * _pace(P, Q), [f]
    for i in range(1, iterations + 1):
        G = torch.baddbmm(M @ P, K, Q)  # ∇f/2
        P_new = torch.lerp(last, P, momentum).addcmul_(step, G, value=-2).clamp_min_(0)
        if masked:  # after the bound below 0: the nearest point of a cone and a ball about its tip
            P_new *= _shortening(P_new)
        Q_new = affinity(P_new.mT).mT
        new = P_new, Q_new, *_measure(P_new, Q_new, eye)
        last, falls = P, new[-1] <= f  # where f overflowed: a comparison with NaN is false
        t, momentum, step = 1.02 * t, torch.lerp(momentum, most, 0.2), 1.02 * step
        if bool(falls.all()):
            P, Q, K, M, f = new
        else:
            P, Q, K, M, f = (torch.where(falls, x, y) for x, y in zip(new, (P, Q, K, M, f)))
            t, momentum = torch.where(falls, t, 0.5 * t), torch.where(falls, momentum, 1)
            step = torch.where(falls, step, t * _pace(P, Q))
        history.append(f)
        if i % 10 == 0:
            if report is not None:
                report(i, _solution(P, history))
            if bool((history[-11] - f <= tolerance * f.abs()).all()):
                break
    return _solution(P, history)


def _measure(P: Tensor, Q: Tensor, eye: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(PᵀP - 2, PᵀWP, f) from Pᵀ and PᵀW; f = <PᵀP - 2, PᵀWP>, [B, 1, 1]."""
    K, M = torch.baddbmm(eye, P, P.mT, beta=-2), P @ Q.mT
    return K, M, (K * M).sum(dim=(1, 2), keepdim=True)


def _pace(P: Tensor, Q: Tensor) -> Tensor:
    """1/m, [B, R, 1]; m_k = |Wp_k|/|p_k| is the curvature of f in the column of part k, up to a factor."""
    m = Q.norm(dim=2, keepdim=True) / P.norm(dim=2, keepdim=True).clamp_min(1e-30)
    return 1 / (m.clamp_min(1e-3 * m.amax(dim=1, keepdim=True)) + 1e-30)


def _shortening(P: Tensor) -> Tensor:
    """What makes the columns of P √2 long at most, [B, R, 1]."""
    return (2**0.5 / P.norm(dim=2, keepdim=True)).clamp_max(1)


def _solution(P: Tensor, history: list[Tensor]) -> Solution:
    return Solution(P.mT, history[-1].flatten(), torch.stack(history).flatten(1))


def _best_scale(P: Tensor, Q: Tensor) -> tuple[Tensor, Tensor]:
    """(cP, cQ) with c² = tr M / tr KM, the minimum of f over the scale; as it stands where tr M <= 0."""
    K, M = P.mT @ P, P.mT @ Q
    trace, square = _trace(M), (K * M).sum(dim=(-2, -1))
    usable = (trace > 0) & (square > 0)
    c = torch.where(usable, trace / torch.where(usable, square, 1), 1).sqrt()[:, None, None]
    return c * P, c * Q


def _trace(M: Tensor) -> Tensor:
    return M.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
