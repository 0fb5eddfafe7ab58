"""What a click on the Edit tab costs in the core: stored variations, twelve tiles, a tick, a painted region.

python -m benchmarks.variations [--threads 2] [--layer 5]
"""

import argparse
import time
from dataclasses import replace

import torch

from benchmarks import timing
from panda_core.catalogue import Catalogue
from panda_core.jpegs import jpegs
from panda_core.ops import Edit
from panda_core.recipes import Recipe
from panda_core.regions import Mask, Region
from panda_core.rendering import Renderer
from panda_core.runtime.allocator import keep_freed_memory

NAME = "portraits"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layer", type=int, default=5)
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    renderer = Renderer(Catalogue(), cached=48)
    generator = renderer.generator(Recipe(NAME))
    factors_id = renderer.catalogue.bundled(NAME)[args.layer]
    thing = renderer.catalogue.factors(NAME, factors_id).things[0]
    edit = Edit("vary", args.layer, factors_id, Region(thing), variation=0, strength=3.0)
    recipe = Recipe(NAME, seed=18, edits=(edit,))
    ends = [replace(edit, variation=m, strength=s) for m in range(6) for s in (-3.0, 3.0)]
    cut, strengths = renderer.prepare(recipe, 0), iter(torch.linspace(-4, 4, 1000).tolist())

    def tick() -> list[str]:
        return jpegs(renderer.finish(cut, replace(recipe, edits=(edit.with_size(next(strengths)),)), 0))

    def stored() -> None:
        renderer.direction(recipe, args.layer, factors_id, Region(thing), 0)

    def painted(rows: int) -> Region:
        _, H, W = generator.layers[args.layer]
        mask = torch.zeros(H, W)
        mask[H // 4 : H // 4 + rows, W // 4 : 3 * W // 4] = 1
        return Region(mask=Mask.from_tensor(mask))

    began = time.perf_counter()
    renderer.variations(recipe, args.layer, factors_id, painted(3))
    first = time.perf_counter() - began
    fresh = iter(range(4, 9))  # regions that were not asked for before
    rows = {
        "strength tick, JPEG included": timing.measure(tick),
        "twelve tiles at full size": timing.measure(lambda: renderer.variants(recipe, 0, ends), 5),
        "twelve tiles at half size": timing.measure(lambda: renderer.variants(recipe, 0, ends, shrink=2), 5),
        "a thing's stored variations": timing.measure(stored),
        "a painted region's, samples there": timing.measure(
            lambda: renderer.variations(recipe, args.layer, factors_id, painted(next(fresh))), 4, 1
        ),
    }
    print(f"{NAME}, {generator.resolution} pixels, layer {args.layer}; milliseconds, median ± interquartile range")
    for name, measured in rows.items():
        print(f"{name:36} {timing.milliseconds(measured)}")
    print(f"{'a painted region, samples drawn first':36} {1e3 * first:8.0f}")
    print(timing.machine(generator.device))


if __name__ == "__main__":
    main()
