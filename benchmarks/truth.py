"""What single edits make up for of a wanted change, and how local they are, on exact truth.

python -m benchmarks.truth [--world portraits] [--seeds 32] [--only "no hat"]

A wish is one factor of a drawn world at another value; what the generator draws for that latent is the picture wanted.
Of each method the edit is chosen on 4 seeds and reported on others, at 64 pixels: variation, the best of the first
eight of the two regions per layer that cover the change best; appearance, the best of eight suggested at the two parts
that do; transfer, the best of twelve other seeds at the best thing, picture by picture. Columns: share made up for
(docs/method.md; one strength per picture), and outside/inside change (ROIR, I Eq. 7) at those strengths, M where the
wanted pictures differ. Below: IoU of the background's mask with the exact one, by layer. The names of things are found
with labels; the edits are not, but which of them is best for a wish is.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import timing
from benchmarks.evaluation import mask_iou, outside_inside_ratios
from panda_core.catalogue import Catalogue
from panda_core.factors import Factors
from panda_core.generators.split import SplitGenerator
from panda_core.method.editing import add_appearance, transfer
from panda_core.method.parts import combine_parts
from panda_core.method.saliency import saliency
from panda_core.method.variations import vary
from panda_core.runtime.allocator import keep_freed_memory
from tools.truth import Task, Wish, errors, made_up_for, make_task
from tools.worlds import WORLDS, World

CHOSEN_ON, CHOOSE_SEEDS = 20_000, 4  # seeds that the edit is chosen on, away from those reported
WISHES = {
    "portraits": (
        Wish("no glasses", "glasses", 0.1),
        Wish("glasses", "glasses", 0.95),
        Wish("no hat", "hat", 0.1),
        Wish("hat", "hat", 0.95),
        Wish("shorter hair", "hair_length", 0.05),
        Wish("longer hair", "hair_length", 0.9),
        Wish("black hair", "hair_colour", 0.02),
        Wish("blond hair", "hair_colour", 0.8),
        Wish("mouth closed", "mouth_openness", 0.03),
        Wish("mouth open", "mouth_openness", 0.97),
        Wish("smile", "mouth_curve", 0.97),
        Wish("frown", "mouth_curve", 0.03),
        Wish("wider mouth", "mouth_width", 0.97),
        Wish("eyes closed", "eye_openness", 0.03),
        Wish("eyes open", "eye_openness", 0.97),
        Wish("larger eyes", "eye_size", 0.97),
        Wish("looking right", "gaze", 0.97),
        Wish("worried brows", "brow_tilt", 0.97),
        Wish("thicker brows", "brow_thickness", 0.97),
        Wish("longer nose", "nose_length", 0.97),
        Wish("fringe", "fringe", 0.97),
        Wish("dark skin", "skin_tone", 0.95),
        Wish("darker clothes", "clothes_shade", 0.03),
        Wish("nothing behind", "object", 0.1),
        Wish("object behind", "object", 0.95),
    ),
}


@dataclass(frozen=True)
class Candidate:
    """One edit of any strength: edit(Z [1, C, H, W], strengths [n]) -> [n, C, H, W]."""

    words: str
    layer: int
    edit: Callable[[Tensor, Tensor], Tensor]


def by_overlap(factors: Factors, regions: list[tuple[int, ...]], differs: Tensor) -> list[tuple[int, ...]]:
    """Regions of parts, those first that cover best what differs, [h, w]; as a share of their own size's root."""
    shape = factors.info.height, factors.info.width
    small = F.interpolate(differs[None, None], shape, mode="area").flatten()

    def overlap(parts: tuple[int, ...]) -> float:
        p = combine_parts(factors.parts, parts)
        return float(p @ small / p.sum().sqrt())

    return sorted(regions, key=overlap, reverse=True)


def variations(factors: Factors, differs: Tensor) -> Iterator[Candidate]:
    regions = list(dict.fromkeys(region for thing in factors.things for region in factors.around(thing)))
    for thing in by_overlap(factors, regions, differs)[:2]:
        for m in range(8):
            E = factors.variations[thing].direction(m)
            words = f"{factors.region_name(thing)} {m + 1}, layer {factors.info.layer}"
            yield Candidate(words, factors.info.layer, lambda Z, s, E=E: vary(Z, E, s))


def appearances(factors: Factors, differs: Tensor) -> Iterator[Candidate]:
    parts = [(k,) for k in range(factors.parts.shape[1])]
    for (k,) in by_overlap(factors, parts, differs)[:2]:
        for j in factors.offered(k, 8):
            a, p, unit = factors.appearances[:, j], factors.scaled_parts[:, k], factors.alpha_at_part(j, k)
            words = f"{factors.part_name(k)}, appearance {j}, layer {factors.info.layer}"
            yield Candidate(words, factors.info.layer, lambda Z, s, a=a, p=p, u=unit: add_appearance(Z, a, p, s * u))


def best(generator: SplitGenerator, task: Task, candidates: list[Candidate], strengths: Tensor) -> Candidate:
    return max(candidates, key=lambda c: made_up_for(task, of_strengths(generator, task, c, strengths)))


def of_strengths(generator: SplitGenerator, task: Task, c: Candidate, strengths: Tensor) -> Tensor:
    return errors(generator, task, c.layer, lambda i, Z: c.edit(Z, strengths))


@torch.inference_mode()
def ratio(generator: SplitGenerator, task: Task, c: Candidate, found: Tensor, strengths: Tensor) -> str:
    """ROIR at the best strengths, mean ± deviation over the pictures that it changes at all."""
    made = []
    for i, number in enumerate(found.argmin(dim=1).tolist()):
        cut = task.cuts[c.layer][i : i + 1]
        edited = c.edit(cut.features, strengths[number : number + 1])
        made.append(generator.preview(cut.with_features(edited), task.shrink).clamp(-1, 1))
    M = ((task.wanted - task.before).abs().amax(dim=1) > 0.1).float()
    ratios = torch.cat([outside_inside_ratios(task.before[i : i + 1], x, M[i]) for i, x in enumerate(made)])
    ratios = ratios[ratios.isfinite()]
    return f"{ratios.mean():.2f} ± {ratios.std():.2f}"


@torch.inference_mode()
def row(world: World, generator: SplitGenerator, factors: dict[int, Factors], wish: Wish, n: int) -> str:
    chosen, shown = (make_task(world, generator, list(factors), wish, first, count)
                     for first, count in ((CHOSEN_ON, CHOOSE_SEEDS), (0, n)))  # fmt: skip
    differs = (chosen.wanted - chosen.before).abs().amax(dim=1).mean(dim=0)
    fine, cells = torch.linspace(-4, 4, 9), []
    for method, coarse, grid in (
        (variations, torch.tensor([-3.0, 3.0]), fine),
        (appearances, torch.tensor([-5.0, 5.0]), 2 * fine),
    ):
        c = best(generator, chosen, [c for f in factors.values() for c in method(f, differs)], coarse)
        found = of_strengths(generator, shown, c, grid)
        cells += [f"{made_up_for(shown, found):.2f}", ratio(generator, shown, c, found, grid), c.words]
    others, taken = list(range(50_000, 50_012)), []
    for layer, f in list(factors.items())[:2]:
        p = combine_parts(f.parts, by_overlap(f, list(f.things), differs)[0])
        Z = generator.head(generator.sample(others, 1.0), layer).features
        taken.append(errors(generator, shown, layer, lambda i, mine, p=p, Z=Z: transfer(mine.expand_as(Z), Z, p)))
    cells.append(f"{max(made_up_for(shown, found) for found in taken):.2f}")
    return f"| {wish.name} | " + " | ".join(cells) + " |"


@torch.inference_mode()
def background_iou(world: World, generator: SplitGenerator, factors: Factors, n: int) -> Tensor:
    """IoU of the background appearance's mask, at μ, with the exact one, [n]."""
    (number, sign), size, scores = factors.info.background, generator.resolution, []
    for first in range(0, n, 16):
        seeds = range(first, min(first + 16, n))
        Z = generator.head(generator.sample(seeds, 1.0), factors.info.layer).features
        maps = sign * saliency(Z, factors.appearances[:, number])[:, None]
        maps = F.interpolate(maps, (size, size), mode="bilinear", align_corners=False)[:, 0]
        exact = world.of_seeds(seeds, generator.z_dim, size, 1).masks[:, 0] > 0.5
        scores.append(mask_iou(maps >= sign * factors.threshold(number), exact))
    return torch.cat(scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="portraits", choices=WISHES)
    parser.add_argument("--seeds", type=int, default=32)
    parser.add_argument("--only", help="the name of one wish")
    args = parser.parse_args()
    keep_freed_memory()
    world, catalogue = WORLDS[args.world], Catalogue()
    generator = catalogue.generator(world.name).generator
    factors = {layer: catalogue.factors(world.name, name) for layer, name in catalogue.bundled(world.name).items()}
    print("| wish | variation | ROIR | which | appearance | ROIR | which | best of twelve transfers |")
    print("|" + " --- |" * 8)
    for wish in WISHES[world.name]:
        if args.only in (None, wish.name):
            print(row(world, generator, factors, wish, args.seeds), flush=True)
    for layer, f in factors.items():
        iou = background_iou(world, generator, f, 2 * args.seeds)
        print(f"layer {layer}: background IoU, mean / median of {len(iou)}: {iou.mean():.2f} / {iou.median():.2f}")
    print(timing.machine(generator.device))


if __name__ == "__main__":
    main()
