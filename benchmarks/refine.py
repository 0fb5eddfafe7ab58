"""How long refinement takes, dense against the papers' own step, and on a graph; the orders of a gradient's products.

python -m benchmarks.refine [--generator portraits] [--layers 3 5 7]
"""

import argparse
import statistics

import torch
from torch import Tensor

from benchmarks import targets, timing
from benchmarks.released import parts_gradient
from panda_core.catalogue import Loaded
from panda_core.fitting import feature_source, fit_layer
from panda_core.method.refinement import refine_parts
from panda_core.method.solver import parts_objective

RATES = tuple(10.0**e for e in range(-10, 0))


def papers(X: Tensor, P: Tensor, rate: float, steps: int = 100) -> float:
    """f after so many projected steps of one rate (I Eq. 6), its gradient in the order of II Eq. 12, as written."""
    for _ in range(steps):
        P = (P - rate * parts_gradient(P, X.mT @ (X @ P))).clamp_min(0)
    return float(parts_objective(P, X.mT @ (X @ P)))


def papers_in_rows(X: Tensor, P: Tensor, rate: float, steps: int = 100) -> float:
    """The same numbers with Pᵀ held in our order, which CPUs multiply several times faster: the hardest yardstick."""
    P = P.t().contiguous()
    for _ in range(steps):
        Q = P @ X.mT @ X
        P = (P - rate * 2 * ((Q @ P.mT) @ P + (P @ P.mT) @ Q - 2 * Q)).clamp_min(0)
    return float(parts_objective(P.mT, X.mT @ (X @ P.mT)))


def operations(C: int, S: int, R_S: int) -> tuple[float, float]:
    """Multiplications and additions of II Eq. 11 with W formed, and of Eq. 12 (II Fig. 3)."""
    eq_11 = 2 * S * S * C + 2 * S * S * R_S + 6 * S * R_S * R_S
    eq_12 = 4 * C * S * R_S + 2 * C * R_S * R_S + 6 * S * R_S * R_S
    return eq_11, eq_12


@torch.inference_mode()
def compare(loaded: Loaded, layer: int, R_S: int, pictures: int, repeats: int) -> None:
    generator = loaded.generator
    psi = 0.8 if generator.psi_range else 1.0
    factors = fit_layer("it", loaded, layer, None, R_S, samples=64, psi=psi)
    A, P = factors.appearances.to(generator.device), factors.parts.to(generator.device)
    print(f"layer {layer}, {'x'.join(map(str, generator.layers[layer]))}, R_S = {R_S}; milliseconds, energy explained")
    ratios = []
    for Z in feature_source(generator, layer, psi)(10**5, pictures).split(1):
        X = A.t() @ Z[0].flatten(1)
        f, rate = min((papers(X, P, rate), rate) for rate in RATES)
        total = float(X.square().sum())
        reached = []
        for steps in range(1, 200):  # the fewest that are enough; timed is refine_parts as a whole
            refined = refine_parts(Z, A, P, iterations=steps, tolerance=0.0)[0]
            reached.append(float(parts_objective(refined, X.mT @ (X @ refined))))
            if reached[-1] <= f:
                break
        written, rows, ours, whole, graph = timing.alternate(
            [
                lambda X=X, rate=rate: papers(X, P, rate),
                lambda X=X, rate=rate: papers_in_rows(X, P, rate),
                lambda Z=Z, steps=steps: refine_parts(Z, A, P, iterations=steps, tolerance=0.0),
                lambda Z=Z: refine_parts(Z, A, P),
                lambda Z=Z: refine_parts(Z, A, P, k=min(32, len(P) - 1)),
            ],
            repeats,
        )
        ratios.append((ours / written, ours / rows))
        print(
            f"  papers, 100 of {rate:.0e}: {1e3 * written:6.1f} ({1e3 * rows:.1f} in our order) {-f / total:.4f}; "
            f"ours to that, {steps} steps: {1e3 * ours:5.1f} ({ours / written:.2f}, {ours / rows:.2f}) "
            f"{-reached[-1] / total:.4f}; as the page runs it: {1e3 * whole:.1f}, graph {1e3 * graph:.1f}",
            flush=True,
        )
    written, rows = (statistics.median(r) for r in zip(*ratios))
    print(f"  median ratio {written:.2f} (worst {max(ratios)[0]:.2f}); to the papers' step in our order {rows:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    targets.add_arguments(parser)
    parser.add_argument("--layers", type=int, nargs="*")
    parser.add_argument("--parts", type=int, default=8)
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=20, help="of each measurement, in turns; the fastest counts")
    args = parser.parse_args()
    loaded = targets.prepare(args)
    for layer in args.layers or loaded.generator.editable_layers:
        compare(loaded, layer, args.parts, args.pictures, args.repeats)
    print("operations of one gradient, R_C = 512, R_S = 16 (II Fig. 3)")
    for side in (4, 8, 16, 32, 64, 128, 256):
        eq_11, eq_12 = operations(512, side * side, 16)
        print(f"  S = {side:3}²: Eq. 11 {eq_11:9.2e}, Eq. 12 {eq_12:9.2e}, ratio {eq_11 / eq_12:8.1f}")
    print(timing.machine(loaded.generator.device))


if __name__ == "__main__":
    main()
