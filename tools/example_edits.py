"""Edits to show: for each wish, the one edit that comes nearest to the portrait that the world draws for it.

    python -m tools.example_edits      # assets/portraits/examples.json and edits.png

The world can draw the same person with one factor changed. Over layers, parts (or a pair of them), appearances and
strengths, the edit is kept whose picture lies nearest to that portrait where the two portraits differ, at little change
elsewhere; `closer` says how much of the difference it made up for. Rows of edits.png: before,
edited, and what the world draws.
"""

import json
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from panda_core.generators import registry
from panda_core.images import grid
from panda_core.recipes import Edit, Recipe, Region
from panda_core.rendering import Renderer
from tools import portraits

NAME = "portraits"
WISHES = (  # title, seed, factors after
    ("mouth open", 6, {"mouth_openness": 0.97}),
    ("smile", 9, {"mouth_curve": 0.95}),
    ("larger eyes", 13, {"eye_size": 0.97, "eye_openness": 0.95}),
    ("short hair", 7, {"hair_length": 0.1}),
    ("other hair", 11, {"hair_colour": 0.05}),
    ("glasses off", 18, {"glasses": 0.1}),
    ("hat off", 33, {"hat": 0.1}),
    ("other background", 3, {"background_colour": 0.95}),
)
STRENGTHS = (-8.0, -4.0, 4.0, 8.0)


def true_pair(generator, seed: int, changes: dict[str, float]) -> Tensor:
    """What the world draws before and after, [2, 3, h, w]."""
    z = torch.from_numpy(np.random.RandomState(seed).randn(1, generator.z_dim).astype(np.float32))
    u = portraits.factors_of_latents(z).repeat(2, 1)
    for name, value in changes.items():
        u[1, portraits.NAMES.index(name)] = value
    return portraits.render(u, generator.resolution).images


@torch.inference_mode()
def nearest_edit(renderer: Renderer, seed: int, changes: dict[str, float]) -> tuple[Recipe, float, Tensor]:
    """The recipe whose picture is nearest to the wish, the share of the difference made up for, and the wish."""
    start = Recipe(NAME, None, None, seed, 1.0)
    before, after = true_pair(renderer.generator(start), seed, changes)
    differs = ((before - after).abs().amax(dim=0) > 0.05).float()
    base = renderer.base(start)[0]
    wanted = base + (after - before)  # the generator's own person, with the world's change
    away = ((base - wanted).abs() * differs).sum()
    best, least = start, float(away)
    for layer, factors_id in renderer.catalogue.bundled(NAME).items():
        factors = renderer.catalogue.factors(NAME, factors_id)
        parts = range(factors.parts.shape[1])
        template = Edit("add", layer, factors_id, Region(parts=(0,)), appearance=0, strength=0.0)
        overlaps = [
            float((renderer.region_map(start, replace(template, region=Region((k,)))) * differs).sum()) for k in parts
        ]
        first, second = sorted(parts, key=lambda k: -overlaps[k])[:2]
        for region in ((first,), (second,), (first, second)):
            recipe = replace(start, edits=(replace(template, region=Region(region)),))
            numbers = factors.sigma[:, list(region)].sum(dim=1).argsort(descending=True)[:24].tolist()
            edits = [replace(recipe.edits[0], appearance=j, strength=s) for j in numbers for s in STRENGTHS]
            pictures = renderer.variants(recipe, 0, edits)
            off = ((pictures - wanted).abs() * (0.05 + differs)).sum(dim=(1, 2, 3))
            choice = int(off.argmin())
            if float(off[choice]) < least:
                best, least = recipe.with_edit(0, edits[choice]), float(off[choice])
    return best, 1 - least / float(away), after


def main() -> None:
    renderer, rows, table = Renderer(), [], []
    for title, seed, changes in WISHES:
        recipe, closer, after = nearest_edit(renderer, seed, changes)
        rows.append(torch.stack([renderer.base(recipe)[0], renderer.image(recipe)[0], after]))
        table.append({"title": title, "closer": round(closer, 3), "recipe": recipe.to_dict()})
        print(f"{title}: {closer:.0%} of the difference")
    pictures = torch.stack(rows, dim=1).flatten(0, 1)
    enlarged = torch.nn.functional.interpolate(pictures, scale_factor=2, mode="bicubic", align_corners=False)
    folder = registry.ASSETS / NAME
    grid(enlarged, len(WISHES)).save(folder / "edits.png", optimize=True)
    (folder / "examples.json").write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
