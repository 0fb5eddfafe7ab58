"""Minimise the parts objective: accelerated projected gradient, its step measured from the problem itself."""

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

    Accelerated projected gradient: P⁺ = project(Y - G(Y)/Lm) from Y = P + β(P - P₋), with Nesterov's β, restarted
    wherever f would rise (so it never does; W may be indefinite). m_k = |Wp_k|/|p_k| gives every part a step of its own
    (parts of little energy would crawl at the pace of the strongest: half the steps on real features), measured again
    at every restart. L is measured: it is doubled until f(P⁺) lies below its quadratic model at Y, and falls by a tenth
    per step; about 8 is right at once, the curvature of f along p itself where P is orthonormal. There is no rate to
    tune. WY follows from products already made, so that a step costs one product with W, and one more per doubling.

    All is held as Pᵀ and PᵀW, [B, 2R, S] in one tensor: products of a short wide matrix with a square one are up to six
    times as fast on CPUs as those of a tall thin one, and what depends on R alone (f, its model) costs no pass over S.

    Steps of Barzilai and Borwein were as fast but chaotic: a change of 1e-6 in the features moved parts by up to 1.0 of
    their range after a hundred steps, this one's by 1e-5 (in float64). A recipe must give one picture on every machine.

    Args:
        affinity: P -> WP, for [B, S, R].
        start: P >= 0, [B, S, R], best in float64: B problems (or starts of one) side by side; its scale is chosen here.
        tolerance: stop when ten steps together gain less than this share of f, in every problem.
        report: called every ten steps with (steps done, solution so far); what it raises ends the search.
    """
    T = torch.cat(_best_scale(start, affinity(start)), dim=-1).mT.contiguous()  # [Pᵀ; PᵀW], [B, 2R, S]
    T, *_, f = _measure(T)
    T_last, scale = T, _scale(T)
    L, restless = torch.full_like(f, 8), torch.zeros_like(f)  # restless: steps since the last restart
    history = [f]
    for i in range(1, iterations + 1):
        Y = torch.addcmul(T, T - T_last, restless / (restless + 3))
        T_new, f_new, L = _backtrack(affinity, Y, L, scale)
        falls = f_new <= f
        L = torch.where(f_new < f - 1e-12 * f.abs(), 0.9 * L, L)  # at rest it keeps its size, or it would fall for ever
        T_last = T
        if bool(falls.all()):
            T, f, restless = T_new, f_new, restless + 1
        else:
            T, f = torch.where(falls, T_new, T), torch.where(falls, f_new, f)
            scale, restless = torch.where(falls, scale, _scale(T)), torch.where(falls, restless + 1, 0)
        history.append(f)
        if i % 10 == 0:
            if report is not None:
                report(i, _solution(T, history))
            if bool((history[-11] - f <= tolerance * f.abs()).all()):
                break
    return _solution(T, history)


def _backtrack(affinity: Affinity, Y: Tensor, L: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """P⁺ = project(Y - G/Lm) with L doubled until f(P⁺) <= f(Y) + <G, D> + L/2 Σ m_k|D_k|², D = P⁺ - Y: (T⁺, f, L)."""
    R = Y.shape[1] // 2
    Y, K, M, f_Y = _measure(Y, bounded=False)
    P = Y[:, :R]
    G = torch.baddbmm(M @ P, K, Y[:, R:])  # ∇f/2, [B, R, S]
    limit = f_Y + 1e-12 * f_Y.abs()  # where both sides are equal to rounding, L must not run away
    for _ in range(100):
        weight = L * scale
        V = G * (-2 / weight)
        P_new = (P + V).clamp_min_(0)
        T, *_, f = _measure(torch.cat([P_new, affinity(P_new.mT).mT], dim=1))
        D = T[:, :R] - P
        model = ((D - 2 * V) * D).sum(dim=2, keepdim=True) * weight
        fits = f <= limit + model.sum(dim=1, keepdim=True) / 2
        if bool(fits.all()):
            break
        L = torch.where(fits, L, 2 * L)  # also where f overflowed: a comparison with NaN is false
    return T, f, L


def _measure(T: Tensor, bounded: bool = True) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(T, PᵀP - 2, PᵀWP, f) from T = [Pᵀ; PᵀW], f = <PᵀP - 2, PᵀWP>. Columns of P are made √2 long at most, first.

    That and the bound below 0 give the nearest point of a cone and a ball about its tip, one after the other.
    """
    R = T.shape[1] // 2
    J = T[:, :R] @ T.mT
    K, M = J[..., :R] - 2 * torch.eye(R, dtype=T.dtype, device=T.device), J[..., R:]
    if bounded and float((excess := K.diagonal(dim1=1, dim2=2)).amax()) > 0:
        shorter = (2 / (excess.clamp_min(0) + 2)).sqrt()[..., None]
        return _measure(T * torch.cat([shorter, shorter], dim=1), bounded=False)
    return T, K, M, (K * M).sum(dim=(1, 2), keepdim=True)


def _scale(T: Tensor) -> Tensor:
    """m_k = |Wp_k|/|p_k|, [B, R, 1]: the curvature of f in the column of part k, up to a factor that L measures."""
    P, Q = T.norm(dim=2, keepdim=True).chunk(2, dim=1)
    m = Q / P.clamp_min(1e-30)
    return m.clamp_min(1e-3 * m.amax(dim=1, keepdim=True)) + 1e-30


def _solution(T: Tensor, history: list[Tensor]) -> Solution:
    P = T[:, : T.shape[1] // 2].mT
    return Solution(P, history[-1].flatten(), torch.stack(history).flatten(1))


def _best_scale(P: Tensor, Q: Tensor) -> tuple[Tensor, Tensor]:
    """(cP, cQ) with c² = tr M / tr KM, the minimum of f over the scale; as it stands where tr M <= 0."""
    K, M = P.mT @ P, P.mT @ Q
    trace, square = _trace(M), (K * M).sum(dim=(-2, -1))
    usable = (trace > 0) & (square > 0)
    c = torch.where(usable, trace / torch.where(usable, square, 1), 1).sqrt()[:, None, None]
    return c * P, c * Q


def _trace(M: Tensor) -> Tensor:
    return M.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
