"""How long a fit takes, against drawing its samples alone and against the released procedure.

python -m benchmarks.fit [--generator portraits] [--layer 5] [--released 2000 10000]
"""

import argparse
import itertools
import time

import torch
from torch import Tensor

from benchmarks import released, targets, timing
from panda_core.catalogue import batch_for, feature_source
from panda_core.factorization import Progress, fit

HELD_OUT = 10**5  # first of the samples that no fit sees


class Clock:
    """Seconds spent sampling and solving, told apart by a fit's own progress."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.sampling = 0.0

    def __call__(self, progress: Progress) -> None:
        if progress.stage == "sampling":
            timing.synchronise()
            self.sampling = time.perf_counter() - self.start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    targets.add_arguments(parser)
    parser.add_argument("--layer", type=int)
    parser.add_argument("--parts", type=int, default=8)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--held-out", type=int, default=256)
    parser.add_argument("--released", type=int, nargs="*", default=[], help="iterations of the released procedure")
    parser.add_argument("--hosvd", type=int, default=1000, help="samples of its first step")
    args = parser.parse_args()
    generator = targets.prepare(args).generator
    layer = generator.editable_layers[len(generator.editable_layers) // 2] if args.layer is None else args.layer
    C, H, W = shape = generator.layers[layer]
    psi = 0.8 if generator.psi_range else 1.0
    draw = feature_source(generator, layer, psi)
    held_out = torch.cat([draw(HELD_OUT + i, 16) for i in range(0, args.held_out, 16)])
    print(f"{args.generator}, layer {layer}, {C} x {H} x {W}, R_C = {C}, R_S = {args.parts}, psi {psi}")
    print(f"{'what':34} {'seconds':>8} {'drawing':>8} {'solving':>8} {'samples':>8} {'unexplained, held out':>22}")

    def row(what: str, seconds: float, drawing: float | None, samples: int, A: Tensor, P: Tensor) -> float:
        loss = released.unexplained(held_out, A, P)
        split = f"{drawing:8.2f} {seconds - drawing:8.2f}" if drawing is not None else f"{'':8} {'':8}"
        print(f"{what:34} {seconds:8.2f} {split} {samples:8} {loss:22.4f}", flush=True)
        return loss

    for samples in (args.samples, None):
        clock = Clock()
        got = fit(draw, C, args.parts, samples, batch=batch_for(shape), report=clock)
        timing.synchronise()
        name = "this fit" if samples else "this fit, as many as needed"
        seconds = time.perf_counter() - clock.start
        row(name, seconds, clock.sampling, got.samples, got.appearances, got.parts)
        print(
            f"{'':34} energy {got.energy:.4f} of at most {got.bound:.4f}; stability {min(got.stability):.2f} to "
            f"{max(got.stability):.2f}; off orthonormal {off_orthonormal(got.appearances):.1e} (A), "
            f"{off_orthonormal(got.parts):.1e} (P)"
        )
    start = time.perf_counter()
    for first in range(0, args.samples, batch_for(shape)):
        draw(first, batch_for(shape))
    timing.synchronise()
    print(f"{'drawing the samples alone':34} {time.perf_counter() - start:8.2f}")
    if args.released:
        run_released(draw, C, args, row)
    print(timing.machine(generator.device))


def off_orthonormal(M: Tensor) -> float:
    """Mean |MᵀM - I|, as the papers measure it."""
    return float((M.t() @ M - torch.eye(M.shape[1]).to(M)).abs().mean())


def run_released(draw, C: int, args: argparse.Namespace, row) -> None:
    """The released procedure: HOSVD over 1,000 samples by tens, then one fresh sample per iteration.

    Its rate is the one of 1e-8 ... 1e-3 with the least loss over 200 iterations; the search is not in its time.
    """
    start = time.perf_counter()
    A = released.hosvd(draw, C, args.hosvd)
    timing.synchronise()
    first = time.perf_counter() - start
    trial = torch.cat([draw(HELD_OUT // 2 + i, 1) for i in range(32)])
    losses = {}
    for rate in released.RATES:
        *_, (B, P) = itertools.islice(released.descend(draw, A, args.parts, rate, args.hosvd), 200)
        losses[rate] = released.unexplained(trial, B, P)
    print("rates over 200 iterations: " + ", ".join(f"{rate:.0e} {loss:.3f}" for rate, loss in losses.items()))
    rate = min(losses, key=lambda r: losses[r] if losses[r] == losses[r] else float("inf"))
    start = time.perf_counter()
    last = max(args.released)
    for t, (B, P) in zip(range(1, last + 1), released.descend(draw, A, args.parts, rate, args.hosvd)):
        if t in args.released:
            timing.synchronise()
            seconds = first + time.perf_counter() - start
            row(f"released, {t} iterations, {rate:.0e}", seconds, None, args.hosvd + t, B, P)


if __name__ == "__main__":
    main()
