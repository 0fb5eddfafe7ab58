"""Which solver finds parts best: four of them on the W of real features, from the same starts.

python -m benchmarks.solvers [--generator portraits] [--layers 3 5] [--parts 8 16]
"""

import argparse
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks import targets, timing
from panda_core.catalogue import batch_for, feature_source
from panda_core.moments import SpatialMoments
from panda_core.solver import _best_scale, _best_step, minimise_parts, parts_gradient, parts_objective

# A solver yields (P, products with W so far) from W [S, S] and a start [S, R], for ever.
Solver = Callable[[Tensor, Tensor], Iterator[tuple[Tensor, int]]]


def spectral(W: Tensor, P: Tensor) -> Iterator[tuple[Tensor, int]]:
    """The one in panda_core: projected gradient, Barzilai-Borwein steps, exact line search."""
    states = []
    minimise_parts(lambda Q: W @ Q, P[None], MOST, 0.0, lambda i, s: states.append((s.parts[0], i + 1)))
    yield from states


def accelerated(W: Tensor, P: Tensor) -> Iterator[tuple[Tensor, int]]:
    """Nesterov's acceleration with a backtracked step, restarted whenever f would rise."""
    P, Q = (x[0] for x in _best_scale(P[None], (W @ P)[None]))
    last, WQ_last, L, theta, products = P, Q, float(parts_gradient(P, Q).norm() / P.norm()), 1.0, 1
    f = parts_objective(P, Q)
    while True:
        theta_next = (1 + (1 + 4 * theta**2) ** 0.5) / 2
        beta = (theta - 1) / theta_next
        Y, WY = P + beta * (P - last), Q + beta * (Q - WQ_last)
        f_Y, G = parts_objective(Y, WY), parts_gradient(Y, WY)
        L /= 1.5
        while True:
            new = (Y - G / L).clamp_min(0)
            Q_new = W @ new
            products += 1
            f_new, D = parts_objective(new, Q_new), new - Y
            if f_new <= f_Y + (G * D).sum() + L / 2 * D.square().sum() or L > 1e12:
                break
            L *= 2
        if f_new > f:
            if theta == 1.0:
                L *= 2
            theta, last, WQ_last = 1.0, P, Q
        else:
            last, WQ_last, P, Q, f, theta = P, Q, new, Q_new, f_new, theta_next
        yield P, products


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
    "spectral": spectral,
    "accelerated": accelerated,
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
