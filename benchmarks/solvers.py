"""Which solver finds parts best: four of them on the W of real features, from the same starts.

python -m benchmarks.solvers [--generator portraits] [--layers 3 5] [--parts 8 16]
"""

import argparse
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks import targets, timing
from panda_core.fitting import batch_for, feature_source
from panda_core.method.moments import SpatialMoments
from panda_core.method.solver import _best_scale, _trace, minimise_parts, parts_objective

# A solver yields (P, products with W so far) from W [S, S] and a start [S, R], for ever.
Solver = Callable[[Tensor, Tensor], Iterator[tuple[Tensor, int]]]


def parts_gradient(parts: Tensor, product: Tensor) -> Tensor:
    """∇f = 2P(PᵀWP) + 2WP(PᵀP) - 4WP, [..., S, R]: II Eq. 11 in the order of Eq. 12, nothing of size S x S."""
    P, Q = parts, product
    return 2 * (P @ (P.mT @ Q) + Q @ (P.mT @ P) - 2 * Q)


def accelerated(W: Tensor, P: Tensor) -> Iterator[tuple[Tensor, int]]:
    """The one in panda_core: accelerated projected gradient with a measured step and restarts."""
    products, states = [0], []

    def times(Q: Tensor) -> Tensor:
        products[0] += 1
        return W @ Q

    minimise_parts(times, P[None], MOST, 0.0, lambda i, s: states.append((s.parts[0], products[0])))
    yield from states


def spectral(W: Tensor, P: Tensor) -> Iterator[tuple[Tensor, int]]:
    """Projected gradient with the steps of Barzilai and Borwein and an exact line search (Birgin and others, 2000).

    D = max(P - ηG, 0) - P, then the exact minimum of f(P + tD), a quartic in t in [0, 1].
    """
    P, Q = _best_scale(P[None], (W @ P)[None])
    G = parts_gradient(P, Q)
    step = P.flatten(1).norm(dim=1) / G.flatten(1).norm(dim=1)
    products = 1
    while True:
        D = (P - step[:, None, None] * G).clamp_min(0) - P
        E = W @ D
        products += 1
        t = _best_step(_quartic(P, Q, D, E))[:, None, None]
        P, Q, G_old = (P + t * D).clamp_min(0), Q + t * E, G
        G = parts_gradient(P, Q)
        step = _spectral_step(t * D, G - G_old, step, long=products % 2 == 0)
        yield P[0], products


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


def multiplicative(W: Tensor, P: Tensor) -> Iterator[tuple[Tensor, int]]:
    """P ∗ (N / D)^(1/3), with the gradient D - N split by the sign of W."""
    up, down = W.clamp_min(0), (-W).clamp_min(0)
    P = _best_scale(P[None], (W @ P)[None])[0][0].clamp_min(1e-12)
    products = 0
    while True:
        A, B, K = up @ P, down @ P, P.t() @ P
        N, D = 4 * A + 2 * P @ (P.t() @ B) + 2 * B @ K, 2 * P @ (P.t() @ A) + 2 * A @ K + 4 * B
        P = P * (N / D.clamp_min(1e-300)) ** (1 / 3)
        products += 2
        yield P, products


def by_columns(W: Tensor, P: Tensor) -> Iterator[tuple[Tensor, int]]:
    """Block coordinates: one part after the other, by the same step as `spectral`; a sweep is one product with W.

    PᵀP and PᵀWP are kept up to date by vectors, so that a column costs O(S² + SR).
    """
    P, Q = (x[0].clone() for x in _best_scale(P[None], (W @ P)[None]))
    R, products = P.shape[1], 1
    K, M = P.t() @ P, P.t() @ Q
    steps = [float(P.norm() / parts_gradient(P, Q).norm())] * R
    seen: list = [None] * R
    while True:
        for r in range(R):
            p = P[:, r]
            g = 2 * (P @ M[:, r] + Q @ K[:, r]) - 4 * Q[:, r]
            if seen[r] is not None:
                s, y = p - seen[r][0], g - seen[r][1]
                sy = float(s @ y)
                steps[r] = float(s @ s) / sy if sy > 0 else 2 * steps[r]
            seen[r] = (p.clone(), g)
            d = (p - steps[r] * g).clamp_min(0) - p
            e = W @ d
            k, m, dd, de = d @ P, e @ P, d @ d, d @ e
            quartic = torch.stack(
                [
                    -4 * m[r] + 2 * (K[r] @ m) + 2 * (M[r] @ k),
                    -2 * de + K[r, r] * de + dd * M[r, r] + 2 * (k[r] * m[r] + k @ m),
                    2 * de * k[r] + 2 * dd * m[r],
                    dd * de,
                ]
            )
            t = float(_best_step(quartic[:, None]))
            P[:, r] = (p + t * d).clamp_min(0)
            Q[:, r] += t * e
            for G, x, xx in ((K, k, dd), (M, m, de)):
                G[r] += t * x
                G[:, r] += t * x
                G[r, r] += t * t * xx
        products += 1
        yield P, products


SOLVERS: dict[str, Solver] = {
    "accelerated": accelerated,
    "spectral": spectral,
    "multiplicative": multiplicative,
    "by columns": by_columns,
}
MOST = 800
MARKS = (50, 100, 200, 400, 800)


def trace_of(solver: Solver, W: Tensor, start: Tensor) -> tuple[list[float], float]:
    """Energy explained after MARKS products with W, and the seconds that the last mark took."""
    total, got, begin = float(W.trace()), [], time.perf_counter()
    for P, products in solver(W, start):
        while len(got) < len(MARKS) and products >= MARKS[len(got)]:
            got.append(-float(parts_objective(P, W @ P)) / total)
        if products >= MARKS[-1]:
            break
    seconds = time.perf_counter() - begin
    while len(got) < len(MARKS):  # it stopped early: where it stopped
        got.append(-float(parts_objective(P, W @ P)) / total)
    return got, seconds


def compare(W: Tensor, R_S: int, starts: int) -> None:
    for name, solver in SOLVERS.items():
        runs, seconds = [], []
        for seed in range(starts):
            start = torch.rand(len(W), R_S, generator=torch.Generator().manual_seed(seed), dtype=W.dtype)
            energy, spent = trace_of(solver, W, start)
            runs.append(energy)
            seconds.append(spent)
        runs = torch.tensor(runs)
        columns = " ".join(f"{m:7.4f} ({b:.4f})" for m, b in zip(runs.mean(dim=0), runs.max(dim=0).values))
        print(f"  {name:16} {columns}   {sum(seconds) / starts:6.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    targets.add_arguments(parser)
    parser.add_argument("--layers", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--parts", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--starts", type=int, default=4)
    args = parser.parse_args()
    generator = targets.prepare(args).generator
    print("energy explained after so many products with W, mean over the starts (best of them); seconds for the last")
    print(f"  {'solver':16} " + " ".join(f"{m:>16}" for m in MARKS))
    for layer in args.layers:
        shape = generator.layers[layer]
        draw, batch = feature_source(generator, layer, 0.8 if generator.psi_range else 1.0), batch_for(shape)
        W = sum(SpatialMoments.of(draw(i, batch)).matrix for i in range(0, args.samples, batch))
        for R_S in args.parts:
            bound = float(torch.linalg.eigvalsh(W)[-R_S:].sum() / W.trace())
            print(f"layer {layer}, {'x'.join(map(str, shape))}, R_S = {R_S}; bound {bound:.4f}")
            compare(W, R_S, args.starts)
    print(timing.machine(generator.device, torch.float64))


if __name__ == "__main__":
    main()
