"""How fast an index grows against a bare loop over the heads, and how fast it answers.

python -m benchmarks.ranking [--generator portraits] [--count 1024] [--synthetic 1000000]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks import targets, timing
from panda_core.catalogue import Catalogue
from panda_core.fitting import batch_for, fit_layer
from panda_core.ranking import RankingIndex, Table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    targets.add_arguments(parser)
    parser.add_argument("--layer", type=int)
    parser.add_argument("--count", type=int, default=1024, help="pictures of the index that is built")
    parser.add_argument("--synthetic", type=int, default=1_000_000, help="pictures of the index that is asked")
    args = parser.parse_args()
    loaded = targets.prepare(args)
    generator = loaded.generator
    layer = generator.editable_layers[len(generator.editable_layers) // 2] if args.layer is None else args.layer
    with tempfile.TemporaryDirectory() as folder:
        catalogue = Catalogue(load=lambda name: loaded, home=Path(folder))
        catalogue.add("it", "bundled:it", fit_layer("it", loaded, layer, samples=64, psi=1.0))
        index, draw = catalogue.ranking("it", "bundled:it", 1.0)
        batch = batch_for(generator.layers[layer])
        draw(0, batch)
        seconds = {}
        for name, run in (
            ("bare loop over G[:l]", lambda: [draw(i, batch) for i in range(0, args.count, batch)]),
            ("growing the index", lambda: index.grow(draw, args.count, batch=batch)),
        ):
            timing.synchronise()
            start = time.perf_counter()
            run()
            timing.synchronise()
            seconds[name] = time.perf_counter() - start
            print(f"{name:24} {args.count / seconds[name]:9.1f} pictures/s")
        bare, grown = seconds.values()
        print(f"{'share of the bare loop':24} {bare / grown:9.1%}")
    with tempfile.TemporaryDirectory() as folder:
        ask(fill(Path(folder), args.synthetic))
    print(timing.machine(generator.device))


def fill(folder: Path, count: int, R_C: int = 64, R_S: int = 8) -> RankingIndex:
    """An index of random scores, written by the index itself."""
    g = torch.Generator().manual_seed(0)
    A = torch.linalg.qr(torch.randn(R_C, R_C, generator=g)).Q
    table = Table.of(A, torch.rand(16, R_S, generator=g), torch.zeros(R_C), torch.eye(R_C))
    index = RankingIndex(folder, table, {"synthetic": count})
    index.grow(lambda first, n: torch.randn(n, R_C, 4, 4, generator=g), count, batch=4096, shard=65_536)
    return index


def ask(index: RankingIndex) -> None:
    R_C, columns = index.table.centre.shape
    print(f"questions to {len(index)} pictures x {R_C} x {columns - 1}, warm; milliseconds")
    rng = np.random.default_rng(0)

    def top() -> None:
        index.extremes(index.scores(int(rng.integers(R_C)), 3), 12)

    def weighted() -> None:
        index.extremes(index.weighted([(0, 1, 1.0), (5, 2, -0.5), (9, -1, 2.0)]), 12)

    for j in range(R_C):
        index.scores(j, 3)  # warm: the pages are in memory
    print(f"  {'scores of (j, k)':32} {timing.milliseconds(timing.measure(lambda: index.scores(7, 3)))}")
    print(f"  {'top and bottom 12 of (j, k)':32} {timing.milliseconds(timing.measure(top))}")
    print(f"  {'top and bottom 12 of three':32} {timing.milliseconds(timing.measure(weighted))}")


if __name__ == "__main__":
    main()
