"""How long refinement takes, dense against the papers' own step, and on a graph; the orders of a gradient's products.

python -m benchmarks.refine [--generator portraits] [--layer 5]
"""

import argparse
import time

from torch import Tensor

from benchmarks import targets, timing
from panda_core.catalogue import Loaded, feature_source, fit_layer
from panda_core.refinement import refine_parts
from panda_core.solver import parts_gradient, parts_objective

RATES = tuple(10.0**e for e in range(-10, 0))


def papers(X: Tensor, P: Tensor, rate: float, steps: int = 100) -> float:
    """f after so many projected steps of one rate (I Eq. 6), with the gradient in the order of II Eq. 12."""
    for _ in range(steps):
        P = (P - rate * parts_gradient(P, X.mT @ (X @ P))).clamp_min(0)
    return float(parts_objective(P, X.mT @ (X @ P)))


def operations(C: int, S: int, R_S: int) -> tuple[float, float]:
    """Multiplications and additions of II Eq. 11 with W formed, and of Eq. 12 (II Fig. 3)."""
    eq_11 = 2 * S * S * C + 2 * S * S * R_S + 6 * S * R_S * R_S
    eq_12 = 4 * C * S * R_S + 2 * C * R_S * R_S + 6 * S * R_S * R_S
    return eq_11, eq_12


def compare(loaded: Loaded, layer: int, R_S: int) -> None:
    generator = loaded.generator
    psi = 0.8 if generator.psi_range else 1.0
    factors = fit_layer("it", loaded, layer, None, R_S, samples=64, psi=psi)
    A, P = factors.appearances.to(generator.device), factors.parts.to(generator.device)
    Z = feature_source(generator, layer, psi)(10**5, 1)
    X = A.t() @ Z[0].flatten(1)
    best = min((papers(X, P, rate), rate) for rate in RATES)
    slow = timing.measure(lambda: papers(X, P, best[1]), 5)
    reached = []

    def watch(steps: int, solution) -> None:
        reached.append((float(solution.objective[0]), time.perf_counter() - start))

    start = time.perf_counter()
    refine_parts(Z, A, P, iterations=400, tolerance=0.0, report=watch)
    enough = next((seconds for f, seconds in reached if f <= best[0]), float("nan"))
    total = float(X.square().sum())
    print(f"layer {layer}, {'x'.join(map(str, generator.layers[layer]))}, R_S = {R_S}; energy explained; milliseconds")
    print(f"  papers, 100 steps of {best[1]:.0e}: {-best[0] / total:.4f} {timing.milliseconds(slow)}")
    print(f"  ours to the same: {1e3 * enough:.1f}; to the end: {-reached[-1][0] / total:.4f}")
    for k in (None, 32):
        taken = timing.measure(lambda k=k: refine_parts(Z, A, P, k), 5)
        print(f"  ours as the page runs it, {'dense' if k is None else f'k = {k}'}: {timing.milliseconds(taken)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    targets.add_arguments(parser)
    parser.add_argument("--layers", type=int, nargs="*")
    parser.add_argument("--parts", type=int, default=8)
    args = parser.parse_args()
    loaded = targets.prepare(args)
    for layer in args.layers or loaded.generator.editable_layers:
        compare(loaded, layer, args.parts)
    print("operations of one gradient, R_C = 512, R_S = 16 (II Fig. 3)")
    for side in (4, 8, 16, 32, 64, 128, 256):
        eq_11, eq_12 = operations(512, side * side, 16)
        print(f"  S = {side:3}²: Eq. 11 {eq_11:9.2e}, Eq. 12 {eq_12:9.2e}, ratio {eq_11 / eq_12:8.1f}")
    print(timing.machine(loaded.generator.device))


if __name__ == "__main__":
    main()
