"""How long a tail takes at every layer, and a tick of the strength slider, JPEG included.

python -m benchmarks.tail [--generator portraits] [--threads 2]
"""

import argparse
import io

import torch

from benchmarks import targets, timing
from panda_core.catalogue import Catalogue, Loaded
from panda_core.fitting import fit_layer
from panda_core.images import to_pil
from panda_core.ops import Edit
from panda_core.recipes import Recipe
from panda_core.regions import Region
from panda_core.rendering import Renderer


def jpeg(images: torch.Tensor) -> bytes:
    out = io.BytesIO()
    to_pil(images)[0].save(out, "JPEG", quality=88)
    return out.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    targets.add_arguments(parser)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    loaded = targets.prepare(args)
    generator = loaded.generator
    catalogue = Catalogue(load=lambda name: loaded)
    print(f"{args.generator}, {generator.resolution} pixels; milliseconds, median ± interquartile range")
    print(f"{'layer':>5} {'shape':>14} {'head':>14} {'tail':>14} {'tick':>14} {'12 variants':>16}  in full tails")
    for layer in generator.editable_layers:
        head, tail, tick, sheet = time_layer(catalogue, loaded, layer, args.repeats)
        shape = "x".join(map(str, generator.layers[layer]))
        row = " ".join(f"{timing.milliseconds(t):>14}" for t in (head, tail, tick, sheet))
        print(f"{layer:5} {shape:>14} {row}  {sheet[0] / tail[0]:8.1f}", flush=True)
    print(timing.machine(generator.device))


def time_layer(catalogue: Catalogue, loaded: Loaded, layer: int, repeats: int) -> list[tuple[float, float]]:
    """Head, tail, tick (edit, tail, 8 bits, JPEG), and a sheet of twelve."""
    generator = loaded.generator
    factors_id = f"bundled:{layer}"
    catalogue.add("it", factors_id, fit_layer("it", loaded, layer, R_S=4, samples=16, psi=1.0))
    renderer = Renderer(catalogue)
    edit = Edit("add", layer, factors_id, Region(parts=(0,)), appearance=0, strength=1.0)
    recipe = Recipe("it", None, None, 1, 1.0, (edit,))
    with torch.inference_mode():
        latents = generator.sample([1], 1.0)
        cut = renderer.prepare(recipe, 0)
        edits = renderer.suggestions(recipe, edit, 12)
        return [
            timing.measure(lambda: generator.head(latents, layer), repeats),
            timing.measure(lambda: generator.tail(cut), repeats),
            timing.measure(lambda: jpeg(renderer.finish(cut, recipe, 0)), repeats),
            timing.measure(lambda: renderer.variants(recipe, 0, edits), max(3, repeats // 3)),
        ]


if __name__ == "__main__":
    main()
