"""How much of an object is gone: removals on portraits, against the portrait that the world draws without it.

python -m benchmarks.removal [--seeds 12]

The world (tools/portraits.py) draws the same person with and without glasses, hat and object behind. The region is the
two parts that cover the difference best, as learned or refined, or the difference itself, as if painted. Columns: share
of the difference made up for (what changes elsewhere counts a twentieth; 0 is no edit, below 0 is further away), mean
over seeds: of the background that `Renderer.removal` finds; of it at twice and four times its α; of the best of the
six of `Renderer.coverings`; of the best of the six appearances likest to the border.
"""

import argparse
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks import timing
from panda_core.catalogue import feature_source
from panda_core.recipes import Edit, Mask, Recipe, Region
from panda_core.rendering import Renderer
from panda_core.saliency import border_scores
from tools import portraits
from tools.find_presets import Wish, true_pictures

NAME = "portraits"


@torch.inference_mode()
def shares(renderer: Renderer, recipe: Recipe, layer: int, region: Region, pair, differs, likeness) -> list[float]:
    factors_id, base = renderer.catalogue.bundled(NAME)[layer], renderer.base(recipe)[0]
    wanted = base + (pair[1] - pair[0])

    def off(pictures: torch.Tensor) -> torch.Tensor:
        return ((pictures - wanted).abs() * (0.05 + differs)).sum(dim=(1, 2, 3))

    def closer(edits: list[Edit]) -> float:
        pictures = renderer.variants(replace(recipe, edits=(edits[0],)), 0, edits)
        return 1 - float(off(pictures).min() / off(base[None]))

    found = renderer.removal(recipe, layer, factors_id, region)
    every = renderer.coverings(recipe, layer, factors_id, region, count=99)
    like_border = sorted(every, key=lambda e: -likeness[int(e.alpha < 0), e.appearance])
    stronger = [replace(found, alpha=n * found.alpha) for n in (1, 2, 4)]
    return [closer(edits) for edits in (*([e] for e in stronger), every[:6], like_border[:6])]


def regions(renderer: Renderer, recipe: Recipe, layer: int, differs: torch.Tensor) -> dict[str, Region]:
    maps = renderer.part_maps(recipe, layer, renderer.catalogue.bundled(NAME)[layer])
    overlap = (maps * differs).sum(dim=(1, 2)) / maps.sum(dim=(1, 2)).sqrt()
    parts = tuple(overlap.topk(2).indices.tolist())
    grid = renderer.generator(recipe).layers[layer][1:]
    painted = Mask.from_tensor((F.interpolate(differs[None, None], grid, mode="area")[0, 0] > 0.3).float())
    refined = {f"two parts, {how}": Region(parts, how) for how in ("dense", "graph")}
    return {"two parts": Region(parts), **refined, "painted": Region(mask=painted)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=12, help="portraits of each kind")
    count, renderer = parser.parse_args().seeds, Renderer()
    generator = renderer.generator(Recipe(NAME))
    print(f"{timing.machine(generator.device)}; {count} portraits each; share of the difference made up for, in %")
    for layer, factors_id in renderer.catalogue.bundled(NAME).items():
        factors = renderer.catalogue.factors(NAME, factors_id)
        Z = feature_source(generator, layer, factors.info.psi)(0, 100)
        likeness = border_scores(Z, factors.appearances, factors.mean, generator.frame(layer))
        for thing in ("hat", "glasses", "object"):
            rows: dict[str, list] = {}
            without = Wish(f"{thing} off", {thing: 0.1})
            for seed in range(10**4):
                z = torch.from_numpy(np.random.RandomState(seed).randn(1, generator.z_dim).astype(np.float32))
                if not without.fits(portraits.factors_of_latents(z)):
                    continue
                pair = torch.cat(true_pictures(z, without, generator.resolution))
                differs = ((pair[0] - pair[1]).abs().amax(dim=0) > 0.05).float()
                if differs.sum() < 20:
                    continue  # hardly to be seen
                recipe = Recipe(NAME, None, None, seed, 1.0)
                for name, region in regions(renderer, recipe, layer, differs).items():
                    rows.setdefault(name, []).append(shares(renderer, recipe, layer, region, pair, differs, likeness))
                if len(rows["painted"]) == count:
                    break
            for name, values in rows.items():
                means = "  ".join(f"{100 * x:6.1f}" for x in np.mean(values, axis=0))
                print(f"layer {layer}, {thing:8}{name:18}  found, x2, x4, best of six, six like the border:  {means}")


if __name__ == "__main__":
    main()
