"""How much of an object is gone: removals on portraits, against the same portrait without it.

python -m benchmarks.removal [--seeds 12]

The world (tools/worlds/portraits.py) knows a latent of the same person without glasses, hat or object behind: what the
generator draws for it is the picture wanted, and where that differs from the portrait is the object. The region is the
two parts that cover it best, as learned or refined, or the object itself, as if painted. Columns: share of the
difference made up for (what changes elsewhere counts a twentieth; 0 is no edit, below 0 is further away), mean over
seeds: of the background appearance alone, as the papers do; of `Renderer.removal` with 4, 8 (its own), 12 and all
appearances; of the best of the six of `Renderer.coverings`; of the best of the six single appearances likest to the
border.
"""

import argparse
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from tools.find_presets import Wish, latents_for

from benchmarks import timing
from panda_core.fitting import feature_source
from panda_core.generators.split import Latents
from panda_core.method.saliency import border_scores
from panda_core.ops import Edit
from panda_core.recipes import Recipe
from panda_core.regions import Mask, Region
from panda_core.rendering import Renderer

NAME = "portraits"
COLUMNS = "one look, 4, 8, 12, all looks, best of six, six like the border"


@torch.inference_mode()
def shares(renderer: Renderer, recipe: Recipe, layer: int, region: Region, wanted, differs, likeness) -> list[float]:
    factors_id, base = renderer.catalogue.bundled(NAME)[layer], renderer.base(recipe)[0]

    def off(pictures: torch.Tensor) -> torch.Tensor:
        return ((pictures - wanted).abs() * (0.05 + differs)).sum(dim=(1, 2, 3))

    def closer(ways: list[tuple[Edit, ...]]) -> float:
        if not ways:
            return 0.0
        pictures = renderer.variants(replace(recipe, edits=ways[0][:1]), 0, ways)
        return 1 - float(off(pictures).min() / off(base[None]))

    several = [renderer.removal(recipe, layer, factors_id, region, n) for n in (4, 8, 12, 10**4)]
    found = renderer.background(recipe, layer, factors_id)
    first, *singles = renderer.coverings(recipe, layer, factors_id, region, count=99)
    alone = [way for way in singles if (way[0].appearance, 1 if way[0].alpha > 0 else -1) == found]
    like_border = sorted(singles, key=lambda way: -likeness[int(way[0].alpha < 0), way[0].appearance])
    return [closer(ways) for ways in (alone, *([way] for way in several), [first, *singles[:5]], like_border[:6])]


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
            seeds, _, changed = latents_for(Wish(f"{thing} off", {thing: 0.1}), generator.z_dim, 0, 2 * count)
            for seed, z in zip(seeds, changed):
                recipe = Recipe(NAME, None, None, seed, 1.0)
                with torch.inference_mode():
                    wanted = generator.tail(generator.start(Latents(z[None])))[0]
                differs = ((renderer.base(recipe)[0] - wanted).abs().amax(dim=0) > 0.15).float()
                if differs.sum() < 40:
                    continue  # hardly to be seen
                for name, region in regions(renderer, recipe, layer, differs).items():
                    rows.setdefault(name, []).append(shares(renderer, recipe, layer, region, wanted, differs, likeness))
                if len(rows["painted"]) == count:
                    break
            for name, values in rows.items():
                means = "  ".join(f"{100 * x:6.1f}" for x in np.mean(values, axis=0))
                print(f"layer {layer}, {thing:8}{name:18}  {COLUMNS}:  {means}")


if __name__ == "__main__":
    main()
