"""Parts, appearances and variations of the published faces, and what a search for somebody's own picture must know of
their generator, so that the page need not learn them: assets/faces/.

sheet.jpg: what the named changes do to the first seeds, uncurated.

    python -m tools.make_faces

The weights are downloaded (registry: faces). No label exists for them: names.toml says what a person saw.
"""

import tomllib
from dataclasses import replace

import torch
from PIL import Image, ImageDraw
from torch.nn.functional import interpolate

from panda_core.catalogue import Catalogue
from panda_core.factors import Ends
from panda_core.fitting import fit_layer
from panda_core.generators import registry
from panda_core.images import to_pil
from panda_core.method.inversion import Space
from panda_core.method.parts import combine_parts
from panda_core.method.variations import learn_variations
from panda_core.popular import popular
from panda_core.recipes import Recipe
from panda_core.rendering import Renderer
from panda_core.runtime.allocator import keep_freed_memory
from panda_core.samples import SampleCache
from tools.make_assets import VARIATIONS, half, score_suggestions, turned_to_background

NAME, LAYER, R_C, R_S = "faces", 5, 256, 12
SHOWN = ("no glasses", "dark glasses", "mouth closed", "mouth open", "smile", "fringe", "bare forehead")
SEEDS, SIDE, LABEL = 6, 160, 18


def draw_sheet(catalogue: Catalogue) -> Image.Image:
    """A row for each seed: the picture, and each of the changes alone."""
    renderer, known = Renderer(catalogue), {change.name: change.edit for change in popular(catalogue, NAME)}
    sheet = Image.new("RGB", (SIDE * (1 + len(SHOWN)), LABEL + SIDE * SEEDS), "white")
    for column, name in enumerate(("as generated", *SHOWN)):
        ImageDraw.Draw(sheet).text((SIDE * column + 4, 3), name, fill="black")
        for seed in range(SEEDS):
            edits = () if column == 0 else (known[name],)
            image = renderer.image(Recipe(NAME, None, None, seed, registry.GENERATORS[NAME].default_psi, edits))
            small = interpolate(image, (SIDE, SIDE), mode="area").clamp(-1, 1)
            sheet.paste(to_pil(small)[0], (SIDE * column, LABEL + SIDE * seed))
    return sheet


def numbered(names: dict[str, str]) -> dict[int, str]:
    return {int(number): name for number, name in names.items()}


@torch.inference_mode()
def main() -> None:
    keep_freed_memory()
    folder = registry.GENERATORS[NAME].folder()
    names = tomllib.loads((folder / "names.toml").read_text("utf-8"))
    catalogue = Catalogue()
    loaded = catalogue.generator(NAME, lambda progress: True)
    Space.measure(loaded.generator).save(folder / "space.safetensors", loaded.weights)
    factors = fit_layer(NAME, loaded, LAYER, R_C, R_S, psi=0.8)
    factors = turned_to_background(loaded.generator, factors)
    samples = SampleCache(count=1024).of(loaded, factors.info)
    found = {
        thing: half(learn_variations(samples, combine_parts(factors.parts, thing), VARIATIONS))
        for thing in factors.things
    }
    ends = {}
    for key, rows in names["ends"].items():
        given = {int(m): Ends(*pair, shares=None) for m, pair in rows.items()}
        ends[key] = [given.get(m) for m in range(VARIATIONS)]
    factors = replace(factors, variations=found).with_info(
        part_names=numbered(names["parts"]),
        appearance_names=numbered(names["appearances"]),
        thing_names=names["things"],
        ends=ends,
    )
    factors_id = f"bundled:{factors.stem()}"
    catalogue.add(NAME, factors_id, factors)
    factors = replace(factors, suggested=score_suggestions(Renderer(catalogue), NAME, factors, factors_id))
    path = factors.path(folder)
    factors.save(path)
    draw_sheet(catalogue).save(folder / "sheet.jpg", quality=86)
    print(f"{path.relative_to(registry.ASSETS)}: {path.stat().st_size / 1e6:.1f} MB; things {factors.things}")


if __name__ == "__main__":
    main()
