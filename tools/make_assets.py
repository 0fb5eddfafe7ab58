"""Everything that ships with a bundled generator, from its weights, in one command.

    python -m tools.make_assets scenes runs/scenes/checkpoint.pt      # from a run of the trainer, or safetensors
    python -m tools.make_assets portraits                             # from the weights that ship already

Writes assets/<world>/, replacing what is there: the generator (fp16), factors of three layers with named parts,
things, appearances and variations, the sheet of seeds 0 to 63, a sheet of variations for each layer, the edits to begin
with, and the model card README.md. NOTES.md, what a person saw, goes into the card as it is: look, and rewrite it.
Names are found with the world's labels; what they name is found without.
"""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from panda_core.catalogue import Catalogue
from panda_core.checkpoints.load import read_metadata, save_generator
from panda_core.factors import Ends, Factors, region_key
from panda_core.fitting import batch_for, feature_source, fit_layer
from panda_core.generators import registry
from panda_core.generators.split import Latents, SplitGenerator
from panda_core.images import grid, to_pil
from panda_core.masks import otsu_threshold
from panda_core.method.factorization import coefficient_deviation
from panda_core.method.feature_store import FeatureStore
from panda_core.method.inversion import Space
from panda_core.method.parts import combine_parts, fix_signs
from panda_core.method.saliency import border_and_middle, saliency
from panda_core.method.variations import Variations, learn_variations, vary
from panda_core.ops import Edit
from panda_core.popular import popular
from panda_core.recipes import Recipe
from panda_core.regions import Region
from panda_core.rendering import Renderer
from panda_core.runtime.allocator import keep_freed_memory
from panda_core.samples import SampleCache
from tools.distances import sliced_wasserstein
from tools.rewritings import best_rewriting
from tools.train import load_network
from tools.truth import errors, made_up_for, make_task, wishes_of
from tools.worlds import WORLDS, World

LAYERS = {3: 12, 5: 16, 7: 12}  # layer -> R_S
VARIATIONS = 12  # kept for every thing and every part
NAMED = 0.4  # what the correlation of a variation's scores with a factor must reach for it to be named after it
SMALL_PART, BACKGROUND = 0.05, 0.25  # of the picture: what is less, and what is more, on average
THERE, ALWAYS = 0.003, 0.8  # of a picture, from which on a part is to be seen in it; of pictures, in which it always is
CONCERNS = 0.25, 3.0  # of what a factor changes, the share in a region, or how often that of the region's area
SUGGESTED = 24  # appearances looked at, and kept, per part
SCORED_AT = 3.0  # units of strength at which they are compared
WITHIN = 0.3  # added to the scatter within border and middle, as a share of its mean
TURNED = "; leading appearances turned to the background"
REWRITES = 0.5  # of a change must be made up for by a rewriting that is an example of it
BETWEEN = 0.2  # of a region in the middle third of what it lies on either side of
CONCEPT = 0.3  # what the IoU of an appearance's mask must reach: 0 is what a mask of everything has, 1 is exact
SHEET_SEEDS, SHEET_SIDE, SEEDS_SIDE = (18, 33, 7, 40), 64, 128


# ---- names, which are found with labels ----


@dataclass(frozen=True)
class Seen:
    """What names are found with: mean exact mask of every part, [parts, h, w]; in what share of pictures each is to be
    seen, [parts]; and where the picture changes between the two ends of each factor, [D, h, w], of sum 1."""

    masks: Tensor
    often: Tensor
    acts: Tensor


@torch.inference_mode()
def look_at(world: World, z_dim: int, size: int = 64, n: int = 24) -> Seen:
    u = torch.rand(n, len(world.factors), generator=torch.Generator().manual_seed(5))
    maps = []
    for d in range(len(world.factors)):
        low, high = u.clone(), u.clone()
        low[:, d], high[:, d] = 0.05, 0.95
        changed = (world.render(low, size, 1).images - world.render(high, size, 1).images).square().mean(dim=(0, 1))
        maps.append(changed / changed.sum())
    masks = world.of_seeds(list(range(256)), z_dim, size).masks
    often = (masks.mean(dim=(2, 3)) > THERE).float().mean(dim=0)
    return Seen(masks.mean(dim=0), often, torch.stack(maps))


def name_region(world: World, region: Tensor, shape: tuple[int, int], seen: Seen, whole: bool) -> str:
    """A name for a region, p̂ [S]; and where it is, unless it is a whole thing.

    That of the small true part that it holds, where it holds one or two that are a good part of it. Else that of the
    part of which it holds most, or, unless that is background, of which it also is the most; what is not in every
    picture counts for less. A whole thing that holds several pieces of one thing has its name, and one that two things
    fill has both of theirs.
    """
    size = seen.masks.shape[-1]
    m = F.interpolate(region.reshape(1, 1, *shape), (size, size), mode="bilinear", align_corners=False)[0, 0]
    both, area = torch.einsum("hw,phw->p", m, seen.masks), seen.masks.sum(dim=(1, 2))
    held, filled, background = both / area, both / m.sum(), area > BACKGROUND * size**2
    small = (seen.often > ALWAYS) & (area < SMALL_PART * size**2) & (area > 0.1 * m.sum())
    small &= held > (0.7 if whole else 0.4)
    if 1 <= int(small.sum()) <= 2:
        label = world.parts[int((area * small).argmax())]
    else:
        lift = torch.where(filled > 0.08, held, 0.0) * seen.often
        like = lift * (held * filled).sqrt() * ~background
        label = world.parts[int((lift if background[int(lift.argmax())] else like).argmax())]
    if whole:
        pieces = [part for part, share in zip(world.parts, held.tolist()) if share > 0.35]
        thing = world.piece_of.get(label, label)
        if sum(world.piece_of.get(part, part) == thing for part in pieces) > 1:
            return thing
        filling = ((held > 0.55) & (filled > 0.1)).nonzero().flatten()
        if len(filling) == 2:
            return " and ".join(world.parts[k] for k in filling[filled[filling].argsort(descending=True)])
        return label
    large = float(area[world.parts.index(label)]) > SMALL_PART * size**2  # a large part has a top and a bottom
    vertical = one_side(m.sum(dim=1), "top", "bottom") if large else ""
    sideways = one_side(m.sum(dim=0), "left", "right", "sides" if large and not vertical else "")
    place = " ".join(word for word in (vertical, sideways) if word)
    return f"{label} {place}" if place else label


def one_side(profile: Tensor, first: str, last: str, both: str = "") -> str:
    """Where along one side of the picture a region is, by how much of it every row or column holds: `first` or `last`
    where it is on one side of the middle, `both` where it is on either and little lies between, else nothing."""
    share = profile / profile.sum()
    third, half = len(share) // 3, len(share) // 2
    before = float(share[:half].sum())
    if min(before, 1 - before) > 0.3:
        return both if float(share[third:-third].sum()) < BETWEEN else ""
    return first if before > 0.5 else last


def number_twins(names: dict) -> dict:
    """Equal names get numbers: "hair", "hair 2"."""
    seen: dict[str, int] = {}
    out = {}
    for key, name in names.items():
        seen[name] = seen.get(name, 0) + 1
        out[key] = name if seen[name] == 1 else f"{name} {seen[name]}"
    return out


def name_regions(world: World, factors: Factors, seen: Seen) -> Factors:
    """The same factors with names for every part and every thing; a part that is a thing has the thing's name."""
    shape = factors.info.height, factors.info.width
    regions = {thing: combine_parts(factors.parts, thing) for thing in factors.things}
    labels = {thing: name_region(world, p, shape, seen, True) for thing, p in regions.items()}
    alone = [label for label in labels.values() if list(labels.values()).count(label) == 1]
    parts = {k: name_region(world, factors.scaled_parts[:, k], shape, seen, False)
             for thing in factors.things if len(thing) > 1 for k in thing}  # fmt: skip

    def placed(thing: tuple[int, ...]) -> str:
        """Where it is; of one that is in no corner, which small thing it holds."""
        name = name_region(world, regions[thing], shape, seen, False)
        small = [parts[k] for k in thing if parts.get(k, name) in world.parts and parts[k] != name]
        return small[0] if name == labels[thing] and small else name

    things = number_twins({thing: label if label in alone else placed(thing) for thing, label in labels.items()})
    taken = set(things.values())
    names = number_twins({k: name for k, name in parts.items() if name not in taken})
    for name in taken:  # the pieces of a thing that have no name of their own
        names |= {k: f"{name} {i}" for i, k in enumerate((k for k in parts if parts[k] == name), 1)}
    names |= {thing[0]: things[thing] for thing in factors.things if len(thing) == 1}
    several = {region_key(thing): name for thing, name in things.items() if len(thing) > 1}
    for label in dict.fromkeys(labels.values()):  # joined by their label: what recolours all of it
        if label not in alone:
            union = [k for thing, other in labels.items() if other == label for k in thing]
            several[region_key(union)] = f"all {label}"
    return factors.with_info(part_names=dict(sorted(names.items())), thing_names=several)


@torch.inference_mode()
def name_appearances(world: World, generator: SplitGenerator, factors: Factors, n: int = 64, leading: int = 24) -> dict:
    """Names of leading appearances: the true part that the saliency mask of either sign overlaps best, where it does.

    The mask is aᵀZ at image size, cut in each where the page begins (`masks.otsu_threshold`). The overlap is the mean
    IoU over n pictures, above that of a mask of everything and as a share of what was left to win; it counts from
    CONCEPT on, for the best appearance of each part. "hair (-)": hair where aᵀZ is low.
    """
    info, size = factors.info, generator.resolution
    truth = world.of_seeds(list(range(n)), generator.z_dim, size, 1).masks > 0.5  # [n, parts, h, w]
    area = truth.flatten(2).float().mean(dim=2)
    there = area > THERE  # a part that a picture lacks says nothing
    count = there.sum(dim=0).clamp_min(1)
    chance = (area * there).sum(dim=0) / count
    Z = generator.head(generator.sample(range(n)), info.layer).features
    found = []
    for j in range(min(leading, factors.appearances.shape[1])):
        maps = saliency(Z, factors.appearances[:, j])[:, None]
        maps = F.interpolate(maps, (size, size), mode="bilinear", align_corners=False)
        mask = torch.stack([m >= otsu_threshold(m[:, ::4, ::4]) for m in maps])  # [n, 1, h, w]
        for sign, chosen in (("", mask), (" (-)", ~mask)):
            both, either = (x.flatten(2).sum(dim=2) for x in (chosen & truth, chosen | truth))
            iou = (both / either.clamp_min(1) * there).sum(dim=0) / count
            iou = torch.where(iou - chance >= CONCEPT * (1 - chance), iou, 0.0)
            part = int(iou.argmax())
            found.append((float(iou[part]), j, world.parts[part] + sign))
    names: dict[int, str] = {}
    for iou, j, name in sorted(found, reverse=True):  # the best overlap has the plain name
        known = {other.removesuffix(" (-)") for other in names.values()}
        if iou > 0 and j not in names and name.removesuffix(" (-)") not in known:
            names[j] = name
            print(f"layer {info.layer}, appearance {j}: {name}, IoU {iou:.2f}", flush=True)
    return names


def correlations(world: World, u: Tensor, scores: Tensor) -> Tensor:
    """|r| of every variation's scores [N, M] with every factor [N, D], signed, [M, D].

    Of a thing that is there or not, r with u or with whether it is there, whichever is larger.
    """

    def r(values: Tensor) -> Tensor:
        a, b = (x.double() - x.double().mean(dim=0) for x in (scores, values))
        return a.t() @ b / (a.norm(dim=0)[:, None] * b.norm(dim=0)).clamp_min(1e-12)

    plain, there = r(u), u.clone()
    for name, presence in world.presence.items():
        there[:, world.factor_names.index(name)] = (u[:, world.factor_names.index(name)] > presence).to(u)
    return torch.where(r(there).abs() > plain.abs(), r(there), plain)


def name_variations(
    world: World, factors: Factors, scores: dict[tuple[int, ...], Tensor], u: Tensor, seen: Seen
) -> Factors:
    """Name each variation after the factor that its scores follow most, its ends after what that factor means.

    Of the factors that act in its region: hair that grows before the clothes is not a variation of clothes. Of several
    variations of one region that follow one factor, the one that follows it most has the name.
    """
    named: dict[str, list[Ends | None]] = {}
    for parts, found in scores.items():
        region = combine_parts(factors.parts, parts).reshape(1, 1, factors.info.height, factors.info.width)
        m = F.interpolate(region, seen.acts.shape[1:], mode="bilinear", align_corners=False)[0, 0]
        inside = (seen.acts * m).sum(dim=(1, 2))
        concerns = (inside >= CONCERNS[0]) | (inside >= CONCERNS[1] * m.mean())
        r = correlations(world, u, found) * concerns
        best = r.abs().max(dim=1)
        rows: list[Ends | None] = []
        for m, (value, d) in enumerate(zip(best.values.tolist(), best.indices.tolist())):
            leads = value >= NAMED and int((best.values * (best.indices == d)).argmax()) == m
            less, more = world.ends[world.factor_names[d]]
            pair = (less, more) if r[m, d] > 0 else (more, less)
            rows.append(Ends(*pair, round(value, 3)) if leads else None)
        named[region_key(parts)] = rows
    return factors.with_info(ends=named)


@torch.inference_mode()
def measure_ends(world: World, generator: SplitGenerator, factors: Factors, n: int = 6) -> Factors:
    """The same factors with what each named end of a thing makes up for of the change that it is named after."""
    layer, tasks, ends, wishes = factors.info.layer, {}, dict(factors.info.ends), wishes_of(world)
    strengths = torch.tensor([1.5, 2.5, 3.5])
    for thing in shown_regions(factors):
        rows = list(ends[region_key(thing)])
        for m, row in enumerate(rows):
            if row is None:
                continue
            E, shares = factors.variations[thing].direction(m), []
            for words, sign in ((row.low, -1), (row.high, 1)):
                if words not in tasks:
                    tasks[words] = make_task(world, generator, [layer], wishes[words], 30_000, n)
                found = errors(generator, tasks[words], layer, lambda i, Z, s=sign, E=E: vary(Z, E, s * strengths))
                shares.append(round(made_up_for(tasks[words], found), 3))
            rows[m] = replace(row, shares=tuple(shares))
        ends[region_key(thing)] = rows
    return factors.with_info(ends=ends)


# ---- factors ----


@torch.inference_mode()
def turned_to_background(generator: SplitGenerator, factors: Factors, leading: int = 16, samples: int = 100) -> Factors:
    """The same factors with the leading appearances turned so that one of them tells the border from the middle.

    With all appearances kept the objective does not depend on an orthogonal A (docs/method.md): the basis is free, and
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
    sign = 1 if float(A[:, k] @ (Z.mean(dim=0)[:, border_and_middle(info.height, info.width)[0]].mean(dim=1)
                                  - Z.mean(dim=(0, 2, 3)))) > 0 else -1  # fmt: skip
    print(f"layer {info.layer}: appearance {k} turned to the background, by {degrees:.0f}°")
    info = replace(info, solver=info.solver + TURNED, background=(k, sign))
    return replace(factors, appearances=A.float(), sigma=sigma.float(), info=info)


@torch.inference_mode()
def score_suggestions(renderer: Renderer, name: str, factors: Factors, factors_id: str, seed: int = 7) -> Tensor:
    """For every part, appearance numbers in the order in which to offer them, [R_S, SUGGESTED].

    An appearance is good if it changes the part visibly and little else, and unlike those before it: greedily the
    highest visible / (1/2 + outside/inside), times 1 minus the largest |cos| of its change with those chosen.
    """
    info, rows = factors.info, []
    recipe = Recipe(name, None, None, seed, info.psi)
    base = F.avg_pool2d(renderer.base(recipe).clamp(-1, 1), 2)
    for part in range(factors.parts.shape[1]):
        candidates = factors.sigma[:, part].argsort(descending=True)[:SUGGESTED].tolist()
        template = Edit("add", info.layer, factors_id, Region(parts=(part,)), appearance=0, strength=0.0)
        edits = [replace(template, appearance=j, strength=SCORED_AT) for j in candidates]
        with_edit = replace(recipe, edits=(template,))
        change = renderer.variants(with_edit, 0, edits, shrink=2).clamp(-1, 1) - base
        M = F.avg_pool2d(renderer.region_map(with_edit, template)[None, None], 2)[0, 0]
        inside, outside = (change * M).flatten(1).norm(dim=1), (change * (1 - M)).flatten(1).norm(dim=1)
        visible = (change.abs().mean(1) * M).sum(dim=(1, 2)) / M.sum()
        score = visible / (0.5 + outside / inside.clamp_min(1e-6))
        directions = F.normalize(F.avg_pool2d(change, 4).flatten(1), dim=1)
        alike = (directions @ directions.t()).abs()
        order: list[int] = []
        while len(order) < len(candidates):
            far = 1 - alike[:, order].amax(dim=1) if order else torch.ones_like(score)
            merit = score * (0.15 + far)
            merit[order] = -1
            order.append(int(merit.argmax()))
        rows.append([candidates[i] for i in order])
    return torch.tensor(rows)


def shown_regions(factors: Factors) -> list[tuple[int, ...]]:
    """The regions that the page offers: things, and those that are joined by their label."""
    return list(dict.fromkeys(region for thing in factors.things for region in factors.around(thing)))


def half(found: Variations) -> Variations:
    return replace(found, units=found.units.half())


def make_factors(world: World, folder: Path, layer: int, R_S: int, seen: Seen) -> Factors:
    """Fit and name the factors of one layer, learn and name its variations, and save all of it."""
    catalogue = Catalogue()
    loaded = catalogue.generator(world.name)
    generator = loaded.generator
    factors = fit_layer(world.name, loaded, layer, R_S=R_S, psi=registry.GENERATORS[world.name].default_psi)
    factors = name_regions(world, turned_to_background(generator, factors), seen)
    factors = factors.with_info(appearance_names=name_appearances(world, generator, factors))
    samples = SampleCache().of(loaded, factors.info)
    unions = [tuple(map(int, key.split(","))) for key in factors.info.thing_names]
    regions = list(dict.fromkeys([*factors.things, *((k,) for k in range(R_S)), *unions]))
    found = {
        parts: half(learn_variations(samples, combine_parts(factors.parts, parts), VARIATIONS)) for parts in regions
    }
    factors = replace(factors, variations=found)
    scores = {parts: torch.cat([v.scores(Z) for Z in samples()]) for parts, v in found.items()}
    seeds = [2**31 + (factors.info.seed * 10**6 + i) % 2**31 for i in range(len(next(iter(scores.values()))))]
    u = world.factors_of_latents(generator.sample(seeds, 1.0).z)
    factors = measure_ends(world, generator, name_variations(world, factors, scores, u, seen))
    factors_id = f"bundled:{factors.stem()}"
    catalogue.add(world.name, factors_id, factors)
    factors = replace(factors, suggested=score_suggestions(Renderer(catalogue), world.name, factors, factors_id))
    factors.save(factors.path(folder))
    print(
        f"layer {layer}: {factors.path(folder).stat().st_size / 1e6:.1f} MB, {len(factors.things)} things", flush=True
    )
    return factors


# ---- pictures and the card ----


@torch.inference_mode()
def variations_sheet(generator: SplitGenerator, factors: Factors, columns: int = 24, each: int = 6) -> Image.Image:
    """The first variations of every thing: four seeds, each at both ends (-3 above, +3 below); a block a thing."""
    side, label = SHEET_SIDE, 14
    cut = generator.head(generator.sample(SHEET_SEEDS, 1.0), factors.info.layer)
    strengths, blocks = torch.tensor([-3.0, 3.0]), []
    for thing in shown_regions(factors):
        rows = []
        for i in range(len(SHEET_SEEDS)):
            one = cut[i : i + 1]
            Z = torch.cat([vary(one.features, factors.variations[thing].direction(m), strengths) for m in range(each)])
            made = generator.preview(one.with_features(Z))
            rows.append(F.interpolate(made, (side, side), mode="area").unflatten(0, (each, 2)).transpose(0, 1))
        pixels = torch.cat(rows)  # [2 * seeds, each, 3, side, side]
        block = Image.new("RGB", (each * side, len(pixels) * side + 2 * label), "white")
        draw = ImageDraw.Draw(block)
        draw.text((2, 1), factors.region_name(thing), fill="black")
        for m in range(each):
            ends = factors.ends(thing, m)
            draw.text((m * side + 1, label), f"{ends.low[:10]}" if ends else "", fill="grey", font_size=9)
            for r in range(len(pixels)):
                block.paste(to_pil(pixels[r, m][None])[0], (m * side, 2 * label + r * side))
        blocks.append(block)
    across = max(1, columns // each)
    width, height = blocks[0].size
    sheet = Image.new("RGB", (across * (width + 8), -(-len(blocks) // across) * (height + 8)), "white")
    for i, block in enumerate(blocks):
        sheet.paste(block, (i % across * (width + 8), i // across * (height + 8)))
    return sheet


def begin_with(world: World, folder: Path) -> None:
    """start.json and examples.json: the world's own choice of named changes and rewritings, as recipes."""
    catalogue = Catalogue()
    changes = {change.name: change.edit for change in popular(catalogue, world.name)}
    psi = registry.GENERATORS[world.name].default_psi
    recipes = []
    for seed, names in world.examples:
        missing = [name for name in names if name not in changes]
        if missing:
            print(
                f"examples: seed {seed} wants {', '.join(missing)}, which no thing has; there are: {', '.join(changes)}"
            )
            continue
        edits = tuple(changes[name] for name in names)
        recipes.append(Renderer(catalogue).pin(Recipe(world.name, seed=seed, psi=psi, edits=edits)).to_dict())
    for seed, words in world.rewritten:
        share, edit = rewriting(world, catalogue, words)
        print(f"rewriting for {words}: layer {edit.layer}, {edit.source} by {edit.target}, {share:.2f}", flush=True)
        if share >= REWRITES:
            recipes.append(Renderer(catalogue).pin(Recipe(world.name, seed=seed, psi=psi, edits=(edit,))).to_dict())
    (folder / "start.json").write_text(json.dumps(recipes[0]) + "\n")
    (folder / "examples.json").write_text("[\n  " + ",\n  ".join(map(json.dumps, recipes[1:])) + "\n]\n")


def rewriting(world: World, catalogue: Catalogue, words: str) -> tuple[float, Edit]:
    """What the rewriting everywhere that makes up for most of a change does make up for, on four pictures, and the
    rewriting; found with labels."""
    generator, found = catalogue.generator(world.name).generator, []
    for layer, factors_id in catalogue.bundled(world.name).items():
        task = make_task(world, generator, [layer], wishes_of(world)[words], 30_000, 4)
        source, target, share = best_rewriting(
            generator, catalogue.factors(world.name, factors_id), task, torch.tensor([1.0])
        )
        where = Edit("rewrite", layer, factors_id, Region(all=True), source=source, target=target, strength=1.0)
        found.append((share, where))
    return max(found, key=lambda row: row[0])


@torch.inference_mode()
def measure(world: World, generator: SplitGenerator, n: int = 256) -> tuple[list[float], list[float], float]:
    """Sliced Wasserstein distances (generator to renders; renders to renders) and held-out L1 to the true pictures."""
    rng = torch.Generator().manual_seed(7)
    size, made, one, other = generator.resolution, [], [], []
    for _ in range(n // 32):
        z, z_other = (torch.randn(32, generator.z_dim, generator=rng) for _ in range(2))
        made.append(generator(Latents(z)).clamp(-1, 1))
        one.append(world.render(world.factors_of_latents(z), size).images)
        other.append(world.render(world.factors_of_latents(z_other), size).images)
    made, one, other = torch.cat(made), torch.cat(one), torch.cat(other)
    return sliced_wasserstein(made, other), sliced_wasserstein(one, other), (made - one).abs().mean().item()


def write_card(world: World, folder: Path, generator: SplitGenerator, factors: Sequence[Factors], figures) -> None:
    """The model card: how, on what, how far from the renders, what varies where; and what NOTES.md says."""
    made, floor, l1 = figures
    size, said = generator.resolution, read_metadata(folder / "generator.safetensors")
    millions = sum(p.numel() for p in generator.parameters()) / 1e6
    notes = folder / "NOTES.md"

    def row(*cells: object) -> str:
        return "| " + " | ".join(map(str, cells)) + " |"

    def distances(values: list[float]) -> list[str]:
        return [f"{x:.1f}" for x in (*values, float(np.mean(values)))]

    def factor_row(f: Factors) -> str:
        info, (R_C, R_S) = f.info, f.sigma.shape
        where = f"layer {info.layer}, {info.height} × {info.width}, {R_C} × {R_S}"
        things = "; ".join(f.region_name(thing) for thing in f.things)
        return row(where, info.samples, f"{info.energy:.3f} ({info.bound:.3f})", things)

    def named_rows(f: Factors) -> list[str]:
        rows = []
        for thing in shown_regions(f):
            for m in range(VARIATIONS):
                if ends := f.ends(thing, m):
                    shares = " / ".join(f"{share:.2f}" for share in ends.shares)
                    rows.append(row(f.info.layer, f.region_name(thing), m + 1, f"{ends.low} / {ends.high}",
                                    f"{ends.correlation:.2f}", shares))  # fmt: skip
        return rows

    lines = [
        f"# The bundled generator: {registry.GENERATORS[world.name].title.lower()}",
        "",
        "![Seeds 0 to 63, uncurated, psi 1](seeds.webp)",
        "",
        "Seeds 0 to 63 at ψ = 1, uncurated.",
        "",
        f"- **What**: StyleGAN2 (skip RGB), {size} × {size} pixels; channels "
        f"{', '.join(str(len(c.bias)) for c in generator.convs[::2])} from 4 pixels up; z {generator.z_dim}, "
        f"{millions:.2f} M parameters; hash `{factors[0].info.weights}`.",
        f"- **On what**: fresh pictures of a drawn world (`tools/worlds/{world.name}.py`): no photograph, no data set.",
        f"- **How**: `tools/train.py`, {said.get('how', 'see the repository')}.",
        "- **Licence**: MIT, weights and pictures.",
        f"- **Held-out L1** to the true pictures (256 latents, pictures in [-1, 1]): {l1:.4f}.",
        "",
        row("sliced Wasserstein × 1000, by pyramid level", *(f"{size // 2**i} px" for i in range(len(made))), "mean"),
        "|" + " --- |" * (len(made) + 2),
        row("generator to fresh renders", *distances(made)),
        row("renders to other renders (the floor)", *distances(floor)),
        "",
        row("factors", "samples", "energy explained (bound)", "things"),
        "|" + " --- |" * 4,
        *map(factor_row, factors),
        "",
        "## What varies where",
        "",
        "Variations are found without labels: principal components of the features in a thing, turned to act in one "
        "place each. Their names are found with labels: the factor of the drawn world that their scores follow most "
        f"(r: correlation, named from {NAMED} on). Made up for: of the change from the one end to the other, by "
        "strengths of 1.5, 2.5 and 3.5, on 6 seeds, toward the first end / the second.",
        "",
        row("layer", "thing", "variation", "ends", "r", "made up for"),
        "|" + " --- |" * 6,
        *(line for f in factors for line in named_rows(f)),
        "",
        *(f"![Layer {f.info.layer}: the first six variations of every thing, four seeds, -3 and +3](variations-l"
          f"{f.info.layer}.webp)\n" for f in factors),
        notes.read_text() if notes.exists() else "",
    ]  # fmt: skip
    (folder / "README.md").write_text("\n".join(lines).rstrip() + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("world", choices=WORLDS)
    parser.add_argument(
        "weights", type=Path, nargs="?", help="a run's checkpoint.pt, or safetensors; default: those that ship already"
    )
    parser.add_argument("--how", help="how the weights were made, for the card; default: what their file says of it")
    arguments = parser.parse_args()
    keep_freed_memory()
    world, folder = WORLDS[arguments.world], registry.ASSETS / arguments.world
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "generator.safetensors"
    if arguments.weights:
        network, how = load_network(arguments.weights)
        save_generator(network, target, {"licence": "MIT", "how": arguments.how or how}, torch.float16)
    for old in [*folder.glob("factors/*/*.safetensors"), folder / "start.json"]:
        old.unlink(missing_ok=True)
    generator, weights = Catalogue().generator(world.name)
    with torch.inference_mode():
        cuts = [generator.start(generator.sample(range(i, i + 16), psi=1.0)) for i in range(0, 64, 16)]
        pictures = torch.cat([generator.preview(cut, generator.resolution // SEEDS_SIDE) for cut in cuts])
    grid(pictures, 8).save(folder / "seeds.webp", quality=90)
    Space.measure(generator).save(folder / "space.safetensors", weights)
    seen = look_at(world, generator.z_dim)
    factors = [make_factors(world, folder, layer, R_S, seen) for layer, R_S in LAYERS.items()]
    for f in factors:
        variations_sheet(generator, f).save(folder / f"variations-l{f.info.layer}.webp", quality=85)
    begin_with(world, folder)
    write_card(world, folder, generator, factors, measure(world, generator))


if __name__ == "__main__":
    main()
