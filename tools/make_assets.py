"""From a training run to everything that ships with the bundled generator, in one command.

    python -m tools.make_assets runs/portraits
    python -m tools.make_assets runs/portraits --card      # only write the card again, after NOTES.md or --drop
    python -m tools.make_assets --concepts      # only name the appearances of the bundled factors again

Writes assets/portraits/, replacing what is there: generator.safetensors (EMA weights, fp16), factors for a coarse and a
fine layer with named parts and concepts, scored suggestions and measured ends of their sliders, the sheet of seeds 0 to
63, named edits (presets.json, presets.png, edits.png), and the model card README.md. NOTES.md, what a person
saw, goes into the card as it is: look, and rewrite it; take out presets that do not look like their names
(tools/find_presets.py). start.json names parts by number, so the old one is removed; the page then opens on the look
that changes most.
"""

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from panda_core.catalogue import Catalogue
from panda_core.checkpoints.load import save_generator
from panda_core.factors import Factors
from panda_core.fitting import batch_for, feature_source, fit_layer
from panda_core.generators import registry
from panda_core.generators.split import Latents
from panda_core.generators.stylegan2 import StyleGAN2
from panda_core.images import grid
from panda_core.masks import otsu_threshold
from panda_core.method.factorization import coefficient_deviation, fix_signs
from panda_core.method.feature_store import FeatureStore
from panda_core.method.saliency import border_and_middle, saliency, saliency_mask
from panda_core.recipes import Edit, Recipe, Region
from panda_core.rendering import Renderer
from panda_core.runtime.allocator import keep_freed_memory
from tools import find_presets
from tools.check_strengths import measure_ends
from tools.distances import sliced_wasserstein
from tools.worlds import WORLDS

NAME = "portraits"
portraits = WORLDS[NAME]
LAYERS = {3: 12, 5: 16}  # layer -> R_S: a coarse one and a fine one
SUGGESTED = 48  # appearances looked at, and kept, per part
SCORED_AT = 3.0  # units of strength at which they are compared
WITHIN = 0.3  # added to the scatter within border and middle, as a share of its mean
TURNED = "; leading appearances turned to the background"
CONCEPT = 0.3  # what the IoU of a concept's mask must reach: 0 is what a mask of everything has, 1 is exact


def export_generator(run: Path, out: Path, size: int | None) -> StyleGAN2:
    """The EMA weights of a run, up to `size` pixels (None: all that were trained), their mean style, as fp16."""
    state = torch.load(run / "checkpoint.pt", map_location="cpu", weights_only=True)
    settings = state["settings"]
    channels = tuple(settings["channels"])
    mapping = [settings[name] for name in ("z_dim", "w_dim", "mapping_layers", "mapping_width")]
    trained = StyleGAN2(channels, *mapping)
    trained.load_state_dict(state["mean"])
    size = (
        size
        or [pixels for pixels, start in settings["stages"] if state["minutes"] > start * settings["total_minutes"]][-1]
    )
    channels = channels[: int(np.log2(size)) - 1]
    generator = StyleGAN2(channels, *mapping)
    known = generator.state_dict()
    generator.load_state_dict({key: value for key, value in trained.state_dict().items() if key in known})
    generator.eval().requires_grad_(False)
    z = torch.randn(16384, generator.z_dim, generator=torch.Generator().manual_seed(0))
    generator.w_avg.copy_(generator.mapping(z).mean(dim=0))
    source = {
        "licence": "MIT",
        "made_by": "tools/train.py",
        "minutes": f"{state['minutes']:.1f}",
        "steps": str(state["step"]),
    }
    save_generator(generator, out, source, torch.float16)
    return generator


def true_masks(n: int, z_dim: int, size: int) -> Tensor:
    """Mean exact mask of every part over n portraits, [parts, size, size]."""
    return portraits.of_seeds(list(range(n)), z_dim, size).masks.mean(dim=0)


def name_parts(factors: Factors, masks: Tensor, resolution: int) -> dict[int, str]:
    """A name for every learnt part: the true part whose mean mask it lies on most, compared with chance, and where.

    Skin, hair and background are large, so several learnt parts share one: these say on which side they are.
    """
    info = factors.info
    maps = factors.scaled_parts.t().reshape(-1, 1, info.height, info.width)
    maps = F.interpolate(maps, (resolution, resolution), mode="bilinear", align_corners=False)[:, 0]
    inside = torch.einsum("khw,phw->kp", maps, masks) / maps.sum(dim=(1, 2))[:, None]
    lift = inside / masks.mean(dim=(1, 2)).clamp_min(1e-4)
    score = torch.where(inside > 0.08, lift, 0.0)
    score[:, portraits.parts.index("object")] *= 0.25  # lies in front of the background in a third of the pictures
    score[:, portraits.parts.index("hat")] *= 0.5
    grid = (torch.arange(resolution) + 0.5) / resolution * 2 - 1
    names: dict[int, str] = {}
    for k in range(len(maps)):
        weight = maps[k] ** 2 / (maps[k] ** 2).sum()
        x, y = float((weight * grid[None]).sum()), float((weight * grid[:, None]).sum())
        label = portraits.parts[int(score[k].argmax())]
        beside = 0.1 if label in ("eyes", "brows", "mouth", "nose") else 0.2
        vertical = "top" if y < -0.3 else "bottom" if y > 0.3 else ""
        sideways = "left" if x < -beside else "right" if x > beside else ""
        words = [sideways] if label in ("eyes", "brows", "mouth", "nose", "clothes") else [vertical, sideways]
        place = " ".join(word for word in words if word)
        names[k] = f"{label}, {place}" if place else label
    return number_twins(names)


@torch.inference_mode()
def name_concepts(generator: StyleGAN2, factors: Factors, n: int = 64, leading: int = 24) -> dict[int, str]:
    """Names of leading appearances: the true part that the saliency mask of either sign overlaps best, where it does.

    The mask is aᵀZ at image size, cut in each where the page begins (`masks.otsu_threshold`). The overlap is the mean
    IoU over n portraits, above that of a mask of everything and as a share of what was left to win; it counts from
    CONCEPT on, for the best appearance of each part. "hair (-)": hair where aᵀZ is low.
    """
    info, size = factors.info, generator.resolution
    truth = portraits.of_seeds(list(range(n)), generator.z_dim, size).masks > 0.5  # [n, parts, h, w]
    area = truth.flatten(2).float().mean(dim=2)
    there = area > 0.003  # a part that a portrait lacks says nothing
    count = there.sum(dim=0).clamp_min(1)
    chance = (area * there).sum(dim=0) / count
    Z = generator.head(generator.sample(range(n)), info.layer).features
    top, left, bottom, right = generator.frame(info.layer)
    found = []
    for j in range(min(leading, factors.appearances.shape[1])):
        maps = saliency(Z, factors.appearances[:, j])[:, None, top:bottom, left:right]
        maps = F.interpolate(maps, (size, size), mode="bilinear", align_corners=False)
        mask = torch.stack([saliency_mask(m, otsu_threshold(m[:, ::4, ::4])) for m in maps])  # [n, 1, h, w]
        for sign, chosen in (("", mask), (" (-)", ~mask)):
            both, either = (x.flatten(2).sum(dim=2) for x in (chosen & truth, chosen | truth))
            iou = (both / either.clamp_min(1) * there).sum(dim=0) / count
            iou = torch.where(iou - chance >= CONCEPT * (1 - chance), iou, 0.0)
            part = int(iou.argmax())
            found.append((float(iou[part]), j, portraits.parts[part] + sign))
    names: dict[int, str] = {}
    for iou, j, name in sorted(found, reverse=True):  # the best overlap has the plain name
        known = {other.removesuffix(" (-)") for other in names.values()}
        if iou > 0 and j not in names and name.removesuffix(" (-)") not in known:
            names[j] = name
            print(f"layer {info.layer}, appearance {j}: {name}, IoU {iou:.2f}", flush=True)
    return names


def number_twins(names: dict[int, str]) -> dict[int, str]:
    """Equal names get numbers: "hair", "hair 2"."""
    seen: dict[str, int] = {}
    out = {}
    for k, name in names.items():
        seen[name] = seen.get(name, 0) + 1
        out[k] = name if seen[name] == 1 else f"{name} {seen[name]}"
    return out


@torch.inference_mode()
def score_suggestions(renderer: Renderer, factors: Factors, factors_id: str, seeds: tuple[int, ...] = (0, 7)) -> Tensor:
    """For every part, appearance numbers in the order in which to offer them, [R_S, SUGGESTED].

    An appearance is good if it changes the part visibly and little else, and unlike those before it: greedily the
    highest visible / (1/2 + outside/inside), times 1 minus the largest |cos| of its change with those chosen.
    """
    info = factors.info
    rows = []
    for part in range(factors.parts.shape[1]):
        candidates = factors.sigma[:, part].argsort(descending=True)[:SUGGESTED].tolist()
        region = Region(parts=(part,))
        changes, visible, ratio = [], 0.0, 0.0
        for seed in seeds:
            template = Edit("add", info.layer, factors_id, region, appearance=0, strength=0.0)
            recipe = Recipe(NAME, None, None, seed, info.psi, (template,))
            base = renderer.base(recipe)
            edits = [replace(template, appearance=j, strength=s) for j in candidates for s in (-SCORED_AT, SCORED_AT)]
            made = renderer.variants(recipe, 0, edits).clamp(-1, 1)
            change = made - base.clamp(-1, 1)  # [2 n, 3, h, w]
            M = renderer.region_map(recipe, template)
            inside, outside = (change * M).flatten(1).norm(dim=1), (change * (1 - M)).flatten(1).norm(dim=1)
            seen = (change.abs().mean(1) * M).sum(dim=(1, 2)) / M.sum()
            visible = visible + seen.view(-1, 2).mean(1)
            ratio = ratio + (outside / inside.clamp_min(1e-6)).view(-1, 2).mean(1)
            changes.append(F.avg_pool2d(change.view(-1, 2, *change.shape[1:])[:, 1], 2).flatten(1))
        score = visible / (0.5 + ratio / len(seeds))
        directions = F.normalize(torch.cat(changes, dim=1), dim=1)
        alike = (directions @ directions.t()).abs()
        order: list[int] = []
        while len(order) < len(candidates):
            far = 1 - alike[:, order].amax(dim=1) if order else torch.ones_like(score)
            merit = score * (0.15 + far)
            merit[order] = -1
            order.append(int(merit.argmax()))
        rows.append([candidates[i] for i in order])
    return torch.tensor(rows)


@torch.inference_mode()
def turned_to_background(generator: StyleGAN2, factors: Factors, leading: int = 16, samples: int = 100) -> Factors:
    """The same factors with the leading appearances turned so that one of them tells the border from the middle.

    With all appearances kept the objective does not depend on an orthogonal A (method.md): the basis is free, and
    eigenvectors of like energy mix background with hair. A Householder reflection takes the column that is nearest to
    it onto Fisher's discriminant of border and middle cells, and the others as little as can be.
    """
    info = factors.info
    draw, batch = feature_source(generator, info.layer, info.psi), batch_for(generator.layers[info.layer])
    A = factors.appearances.double()
    Z = torch.cat([draw(first, 10) for first in range(0, samples, 10)]).double()
    Y = torch.einsum("nchw,cr->hwnr", Z, A[:, :leading])
    border, middle = (Y[cells].flatten(0, 1) for cells in border_and_middle(info.height, info.width))
    within = (border.t().cov() + middle.t().cov()) / 2
    within += WITHIN * within.diagonal().mean() * torch.eye(leading)
    wanted = F.normalize(torch.linalg.solve(within, border.mean(dim=0) - middle.mean(dim=0)), dim=0)
    k = int(wanted.abs().argmax())
    across = F.normalize(torch.eye(leading, dtype=torch.float64)[k] - wanted * wanted[k].sign(), dim=0)
    A[:, :leading] -= 2 * torch.outer(A[:, :leading] @ across, across)
    A = fix_signs(A)
    sigma = coefficient_deviation(FeatureStore(draw, batch), A, factors.parts.double(), info.samples)
    degrees = math.degrees(math.acos(abs(wanted[k])))
    print(f"layer {info.layer}: appearance {k} turned to the background, by {degrees:.0f}°")
    return replace(factors, appearances=A.float(), sigma=sigma.float(), info=replace(info, solver=info.solver + TURNED))


def make_factors(out: Path, layer: int, R_S: int, masks: Tensor) -> Factors:
    """Fit, name, score and measure the factors of one layer, and save them where the registry looks."""
    catalogue = Catalogue()
    loaded = catalogue.generator(NAME)
    resolution = loaded.generator.resolution
    factors = fit_layer(NAME, loaded, layer, R_S=R_S, psi=registry.GENERATORS[NAME].default_psi)
    factors = turned_to_background(loaded.generator, factors)
    names = name_parts(factors, masks, resolution), name_concepts(loaded.generator, factors)
    factors = factors.with_info(part_names=names[0], appearance_names=names[1])
    factors.save(factors.path(out))
    renderer = Renderer(catalogue)
    factors_id = f"bundled:{factors.stem()}"
    suggested = score_suggestions(renderer, factors, factors_id)
    factors = replace(factors, suggested=suggested)
    catalogue.add(NAME, factors_id, factors)
    factors = measure_ends(renderer, NAME, factors, factors_id, [0, 7, 11])
    factors.save(factors.path(out))
    return factors


@torch.inference_mode()
def measure(generator: StyleGAN2, n: int = 1024) -> tuple[list[float], list[float], float]:
    """Sliced Wasserstein distances (generator to renders; renders to renders) and held-out L1 to the true portraits."""
    rng = torch.Generator().manual_seed(7)
    size, made, one, other = generator.resolution, [], [], []
    for _ in range(n // 32):
        z = torch.randn(32, generator.z_dim, generator=rng)
        made.append(generator(Latents(z)).clamp(-1, 1))
        one.append(portraits.render(portraits.factors_of_latents(z), size).images)
        other.append(
            portraits.render(portraits.factors_of_latents(torch.randn(32, generator.z_dim, generator=rng)), size).images
        )
    made, one, other = torch.cat(made), torch.cat(one), torch.cat(other)
    return sliced_wasserstein(made, other), sliced_wasserstein(one, other), (made - one).abs().mean().item()


def preset_lines(folder: Path) -> list[str]:
    """The named edits and what was measured of them, for the card."""
    table = json.loads((folder / "presets.json").read_text())

    def row(preset: dict) -> str:
        share, holds, outside = (f"{preset['measured'][key]:.0%}" for key in ("closer", "holds", "outside"))
        return f"| {preset['name']} | {share} | {holds} | {outside} | {preset['note']} |"

    return [
        "## Named edits",
        "",
        "Each is a few `add` edits, found by `tools/find_presets.py` and measured on other seeds, ψ = 1: the shares of "
        "the wanted difference (between the two exact portraits) made up for where they differ, of seeds that "
        "come closer, and the mean change elsewhere as a share of that inside.",
        "",
        "| name | made up for | seeds closer | outside / inside | |",
        "|" + " --- |" * 5,
        *map(row, table["presets"]),
        "",
        f"Tried and left out: {', '.join(table['left_out']) or 'none'}.",
        "",
        "![Pairs before and after, held-out seeds](presets.png)",
    ]


def write_card(folder: Path, run: Path, generator: StyleGAN2, factors: list[Factors], figures: tuple) -> None:
    """The model card: how, on what, for how long, how far from the renders; and what NOTES.md says is soft."""
    state = torch.load(run / "checkpoint.pt", map_location="cpu", weights_only=True)
    settings = state["settings"]
    made, floor, l1 = figures
    size, n = generator.resolution, state["step"] * settings["batch"]
    channels = ", ".join(str(len(c.bias)) for c in generator.convs[::2])
    millions = sum(p.numel() for p in generator.parameters()) / 1e6
    notes = folder / "NOTES.md"

    def row(*cells: object) -> str:
        return "| " + " | ".join(map(str, cells)) + " |"

    def distances(values: list[float]) -> list[str]:
        return [f"{x:.1f}" for x in (*values, float(np.mean(values)))]

    def factor_row(f: Factors) -> str:
        info, (R_C, R_S) = f.info, f.sigma.shape
        where = f"layer {info.layer}, {info.height} × {info.width}, {R_C} × {R_S}"
        return row(where, info.samples, f"{info.energy:.3f} ({info.bound:.3f})", "; ".join(info.part_names.values()))

    lines = [
        "# The bundled generator: drawn portraits",
        "",
        "![Seeds 0 to 63, uncurated, psi 1](seeds.png)",
        "",
        "Seeds 0 to 63 at ψ = 1, uncurated.",
        "",
        f"- **What**: StyleGAN2 (skip RGB), {size} × {size} pixels; {channels} channels from 4 pixels up; "
        f"z {generator.z_dim}, w {settings['w_dim']}; {millions:.2f} M parameters; hash `{factors[0].info.weights}`.",
        "- **On what**: fresh pictures of a drawn world (`tools/worlds/portraits.py`): no photograph, no data set.",
        f"- **How**: `tools/train.py`, {state['step']:,} steps: {n / 1e6:.2f} M portraits, as many swaps, "
        f"in {state['minutes']:.0f} minutes on {state.get('device', '2 CPU cores')}.",
        "- **Licence**: MIT, weights and pictures.",
        f"- **Held-out L1** to the true portraits (1,024 latents, pictures in [-1, 1]): {l1:.4f}.",
        "",
        row(
            "sliced Wasserstein distance × 1000, by pyramid level",
            *(f"{size // 2**i} px" for i in range(len(made))),
            "mean",
        ),
        "|" + " --- |" * (len(made) + 2),
        row("generator to fresh renders", *distances(made)),
        row("renders to other renders (the floor)", *distances(floor)),
        "",
        row("factors", "samples", "energy explained (bound)", "parts"),
        "|" + " --- |" * 4,
        *map(factor_row, factors),
        "",
        *preset_lines(folder),
        "",
        notes.read_text() if notes.exists() else "",
    ]
    (folder / "README.md").write_text("\n".join(lines).rstrip() + "\n")


def name_concepts_again(folder: Path) -> None:
    """Put the names of concepts into the bundled factors, and leave everything else in the files as it is."""
    catalogue = Catalogue()
    generator, weights = catalogue.generator(NAME)
    for factors_id in catalogue.bundled(NAME).values():
        factors = catalogue.factors(NAME, factors_id)
        named = factors.with_info(appearance_names=name_concepts(generator, factors))
        named.save(folder / "factors" / weights / f"{factors_id.removeprefix('bundled:')}.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, nargs="?", help="folder of a training run")
    parser.add_argument("--concepts", action="store_true", help="only name the appearances again")
    parser.add_argument("--card", action="store_true", help="only write the model card again")
    parser.add_argument(
        "--size", type=int, help="pixels to cut the generator down to; default: as far as it was trained"
    )
    arguments = parser.parse_args()
    if (arguments.run is None) == (not arguments.concepts):
        parser.error("give the folder of a run, or --concepts")
    keep_freed_memory()
    folder = registry.ASSETS / NAME
    if arguments.concepts:
        return name_concepts_again(folder)
    if arguments.card:
        catalogue = Catalogue()
        generator, _ = catalogue.generator(NAME)
        factors = [catalogue.factors(NAME, factors_id) for factors_id in catalogue.bundled(NAME).values()]
        return write_card(folder, arguments.run, generator, factors, measure(generator))
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("factors/*/*.safetensors"), folder / "start.json"]:
        old.unlink(missing_ok=True)
    export_generator(arguments.run, folder / "generator.safetensors", arguments.size)
    generator, _ = Catalogue().generator(NAME)
    with torch.inference_mode():
        pictures = generator(generator.sample(range(64), psi=1.0))
    grid(pictures, 8).save(folder / "seeds.png", optimize=True)
    masks = true_masks(256, generator.z_dim, generator.resolution)
    factors = [make_factors(folder, layer, R_S, masks) for layer, R_S in LAYERS.items()]
    find_presets.make_presets(folder)
    write_card(folder, arguments.run, generator, factors, measure(generator))
    for f in factors:
        print(
            json.dumps(
                {"layer": f.info.layer, "parts": f.info.part_names, "energy": f.info.energy, "samples": f.info.samples}
            )
        )


if __name__ == "__main__":
    main()
