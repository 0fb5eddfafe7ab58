"""How near a drag comes to what its variation can do (docs/method.md, "Dragging"), on exact handle points.

python -m benchmarks.dragging [--seeds 32]

Of each wish the variation is chosen on 4 seeds, as in benchmarks.tables. A handle is the end of the thing in the exact
picture: where its mask, seen in the direction of the drag, ends. It is pulled from where it is to where it is once the
factor has changed, and the strength is what a Trajectory says, as on the page, from nine previews of half the size.
Columns: how many of the seeds move their handle by four pixels of 256 or more, which alone count; the share made up for
at the drag's strength, and at the best of the nine.
"""

import argparse

import torch
from torch import Tensor

from benchmarks import timing
from benchmarks.methods import Aim, Ground, variations
from benchmarks.tables import CHOSEN_ON, choose, half
from benchmarks.truth import WISHES
from panda_core.catalogue import Catalogue
from panda_core.method.dragging import Trajectory
from panda_core.runtime.allocator import keep_freed_memory
from tools.truth import Wish, changed_latents, make_task, squares
from tools.worlds import WORLDS, World

CHOOSE_SEEDS = 4
STRENGTHS = torch.linspace(-4, 4, 9)
LEAST = 4 / 256  # of the picture's side, that a handle moves
SIZE = 256  # of the exact pictures
PULLS = (  # the name of a wish, what is pulled, at which end: (x, y) to the right and down
    ("mouth closed", "mouth", (0, 1)),
    ("mouth open", "mouth", (0, 1)),
    ("wider mouth", "mouth", (1, 0)),
    ("smile", "mouth", (1, -0.5)),
    ("eyes closed", "eyes", (0, -1)),
    ("larger eyes", "eyes", (0, -1)),
    ("longer hair", "hair", (0.2, 1)),
    ("shorter hair", "hair", (0.2, 1)),
)


def handles(world: World, z: Tensor, part: str, end: tuple[float, float]) -> Tensor:
    """Where a part ends in that direction, (x, y) as shares of the sides, [N, 2]; NaN where it is not to be seen."""
    masks = world.render(world.factors_of_latents(z), SIZE, 1).masks[:, world.parts.index(part)]
    y, x = torch.meshgrid(*2 * [(torch.arange(SIZE) + 0.5) / SIZE], indexing="ij")
    along = torch.where(masks > 0.5, end[0] * x + end[1] * y, -torch.inf).flatten(1)
    last = along.argmax(dim=1)
    found = torch.stack([x.flatten()[last], y.flatten()[last]], dim=1)
    found[along.amax(dim=1).isinf()] = torch.nan
    return found


@torch.inference_mode()
def row(world: World, generator, factors: dict, wish: Wish, part: str, end: tuple[float, float], n: int) -> str:
    chosen = make_task(world, generator, list(factors), wish, CHOSEN_ON, CHOOSE_SEEDS)
    choices = list(variations.learn(Ground(generator, factors, 1, chosen.shrink))(Aim.of(chosen)))
    variation, _ = choose(half(generator), chosen, choices)
    task = make_task(world, generator, list(factors), wish, 0, n, size=generator.resolution // 2)
    z = generator.sample(task.seeds, 1.0).z
    start, goal = (handles(world, latents, part, end) for latents in (z, changed_latents(world, z, wish)))
    moved = [i for i in range(n) if float((goal[i] - start[i]).norm()) >= LEAST]
    errors = torch.zeros(3, dtype=torch.float64)  # of the pictures as they were, dragged, and at the best strength
    for i in moved:
        cut, wanted = task.cuts[variation.layer][i : i + 1], task.wanted[i]

        def draw(strengths: Tensor, cut=cut) -> Tensor:
            edited = variation.edit(cut, strengths)
            return generator.preview(edited, task.shrink).clamp(-1, 1)

        previews, before = draw(STRENGTHS), task.before[i : i + 1]
        path = Trajectory.of(previews, STRENGTHS, before, 0.0, tuple(start[i].tolist()))
        s = path.strength(tuple((goal[i] - start[i]).tolist()))
        dragged = before if s is None else draw(torch.tensor([s]))
        errors += torch.tensor([squares(before, wanted).sum(), squares(dragged, wanted).sum(),
                                squares(previews, wanted).min()])  # fmt: skip
    shares = [f"{1 - float(error / errors[0]):.2f}" for error in errors[1:]] if moved else ["–", "–"]
    return f"| {wish.name} | {len(moved)} | {' | '.join(shares)} | {variation.words} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=32)
    args = parser.parse_args()
    keep_freed_memory()
    world, catalogue = WORLDS["portraits"], Catalogue()
    generator = catalogue.generator(world.name).generator
    factors = {layer: catalogue.factors(world.name, name) for layer, name in catalogue.bundled(world.name).items()}
    print("| pulled | seeds | by the drag | at the best strength | variation |\n|" + " --- |" * 5)
    wishes = {wish.name: wish for wish in WISHES[world.name]}
    for name, part, end in PULLS:
        print(row(world, generator, factors, wishes[name], part, end, args.seeds), flush=True)
    print(timing.machine(generator.device))


if __name__ == "__main__":
    main()
