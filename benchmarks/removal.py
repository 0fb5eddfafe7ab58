"""What the Remove tab takes away, by each way that it offers, on exact truth.

python -m benchmarks.removal [--world scenes] [--seeds 12] [--only fence] [--sheet removal.jpg]

Of every thing that comes and goes in a drawn world, on the first seeds that have it, psi 1: a visitor clicks where
most would change if it went, on parts of one layer, and the tab offers ways, each at one strength. Compared with what
the generator draws for the same latent without the thing, and, of what no latent lacks, with the exact picture
without it where it stood. Columns: share made up for (docs/method.md); of the pixels that the thing covers, those
left, nearer to how they were than to what they should be, and those gained, within 0.15 of that (of 2, mean of the
colours). First: the way that a click takes at once. Named: changes called "no ...", whatever their layer. Painted:
the place painted over instead of clicked, and covered with background.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import timing
from panda_core.catalogue import Catalogue
from panda_core.generators.split import Latents
from panda_core.images import grid
from panda_core.ops import Edit
from panda_core.recipes import Recipe
from panda_core.regions import Mask, Region
from panda_core.rendering import Renderer
from panda_core.runtime.allocator import keep_freed_memory
from panda_core.studio.changes import Changes
from panda_core.studio.pictures import Pictures
from panda_core.studio.places import Places
from panda_core.studio.removal import Removal
from panda_core.studio.session import Session
from panda_core.studio.words import ABSENT
from tools.truth import Wish, changed_latents, ends_of, seeds_for
from tools.worlds import WORLDS, World
from tools.worlds.drawing import Canvas

KINDS = "first", "named", "covered", "nearer", "best", "painted"
CLOSE = 0.15


@dataclass(frozen=True)
class Trial:
    """One picture, [1, 3, h, w], what it should become, and how much each pixel would change, [h, w]."""

    recipe: Recipe
    before: Tensor
    wanted: Tensor
    change: Tensor

    @property
    def covered(self) -> Tensor:
        """The pixels that the thing covers, [h, w]."""
        return self.change > CLOSE


def without(world: World, parts: Sequence[str]) -> World:
    """The same world, in which these parts are not painted."""

    def paint(c: Canvas) -> None:
        world.paint(c)
        c.layers[:] = [layer for layer in c.layers if world.parts[layer[2]] not in parts]

    return replace(world, paint=paint)


def trial(renderer: Renderer, world: World, seed: int, wish: Wish | None, parts: Sequence[str]) -> Trial:
    """wish: the thing goes by its factor; without one, the parts go."""
    recipe = Recipe(world.name, seed=seed, psi=1.0)
    generator, before = renderer.generator(recipe), renderer.base(recipe).clamp(-1, 1)
    z = generator.sample([seed], 1.0).z
    if wish is not None:
        wanted = generator(Latents(changed_latents(world, z, wish), 1.0)).clamp(-1, 1)
    else:
        u, size = world.factors_of_latents(z), generator.resolution
        gone = without(world, parts).render(u, size, 2).images
        inside = sum(world.render(u, size, 2).masks[:, world.parts.index(part)] for part in parts)
        inside = F.max_pool2d(inside, 5, 1, 2)[:, None]  # a little beyond its edge
        wanted = before + inside * (gone - before)
    return Trial(recipe, before, wanted, (wanted - before).abs().mean(dim=1)[0])


def trials(renderer: Renderer, world: World, n: int) -> Iterator[tuple[str, list[Trial]]]:
    """(words, pictures) for every thing that comes and goes, and for what is made of several parts."""
    z_dim = renderer.generator(Recipe(world.name)).z_dim
    for factor in world.presence:
        wish, _ = ends_of(world, factor)
        found = (trial(renderer, world, seed, wish, ()) for seed in seeds_for(world, wish, z_dim, 0, 3 * n))
        yield wish.name, [t for t in found if bool(t.covered.any())][:n]  # it may stand behind something
    for whole in dict.fromkeys(world.piece_of.values()):
        parts = [whole, *(part for part, of in world.piece_of.items() if of == whole)]
        yield f"no {whole}", [trial(renderer, world, seed, None, parts) for seed in range(n)]


def most_changed(change: Tensor) -> tuple[float, float]:
    """The point round which most changes, (x, y) as shares of the picture's sides."""
    heat = F.avg_pool2d(change[None, None], 9, 1, 4)[0, 0]
    row, column = divmod(int(heat.argmax()), heat.shape[1])
    return (column + 0.5) / heat.shape[1], (row + 0.5) / len(heat)


def offered(tab: Removal, session: Session, t: Trial) -> dict[str, list[Edit]]:
    """What the tab offers after a click, by kind; and the place painted over."""
    there = Places(tab.changes).click_at(session, most_changed(t.change))
    ways, left = tab.ranked(there)
    named = [way for way in ways if tab.pictures.edit_words(there, way).startswith(ABSENT)]
    covered = [way for way in ways if way.op == "remove"]
    nearer = [way for way in ways if way not in named and way not in covered]
    size = tab.renderer.generator(t.recipe).layers[session.layer][1:]
    cells = F.interpolate(t.covered[None, None].float(), size, mode="area")[0, 0]
    mask = Mask.from_tensor((cells > 0.05).float())
    painted = Edit("remove", session.layer, session.factors_id, Region(mask=mask), strength=1.0)
    at_once = ways[:1] if ways and tab.takes_away(there, ways[0], left) else []
    return dict(zip(KINDS, (at_once, named, covered, nearer, ways, [painted])))


def made(renderer: Renderer, t: Trial, ways: list[Edit]) -> Tensor:
    """The picture after the best of these ways, or as it was, [1, 3, h, w]."""
    images = [t.before]
    for way in ways:
        try:
            images.append(renderer.image(replace(t.recipe, edits=(way,))).clamp(-1, 1))
        except ValueError:  # nothing else in the picture is background
            continue
    return min(images, key=lambda image: float((image - t.wanted).square().sum()))


def cell(done: list[tuple[Trial, Tensor]]) -> str:
    """Share made up for; pixels left / gained; over all pictures."""
    wrong, whole, left, gained, count = (0.0,) * 5
    for t, image in done:
        wrong += float((image - t.wanted).square().sum())
        whole += float((t.before - t.wanted).square().sum())
        to_wanted, to_before = ((image - x).abs().mean(dim=1)[0][t.covered] for x in (t.wanted, t.before))
        left, gained = left + int((to_before < to_wanted).sum()), gained + int((to_wanted < CLOSE).sum())
        count += len(to_wanted)
    return f"{1 - wrong / whole:.2f} ({left / count:.2f} / {gained / count:.2f})"


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="scenes", choices=WORLDS)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--only", help="the name of one thing, as in: no fence")
    parser.add_argument("--sheet", help="a JPEG of the first six of each, before and after the way taken at once")
    args = parser.parse_args()
    keep_freed_memory()
    world, renderer = WORLDS[args.world], Renderer(Catalogue())
    pictures = Pictures(renderer)
    tab = Removal(Changes(pictures))
    layers, sheet = renderer.catalogue.bundled(world.name), []
    print("| thing | layer | " + " | ".join(KINDS) + " |\n|" + " --- |" * (len(KINDS) + 2))
    for words, found in trials(renderer, world, args.seeds):
        if args.only not in (None, words) or not found:
            continue
        for layer in layers:
            cells: dict[str, list[tuple[Trial, Tensor]]] = {kind: [] for kind in KINDS}
            for t in found:
                ways = offered(tab, Session.opened(t.recipe, layer, layers), t)
                for kind in KINDS:
                    cells[kind].append((t, made(renderer, t, ways[kind])))
            print(f"| {words} | {layer} | " + " | ".join(map(cell, cells.values())) + " |", flush=True)
            if layer == renderer.catalogue.default_layer(world.name):
                row = [image for t, after in cells["first"][:6] for image in (t.before, after)]
                sheet += row + [torch.ones_like(row[0])] * (12 - len(row))  # white where fewer pictures have it
    if args.sheet:
        grid(torch.cat(sheet), 12).save(args.sheet, quality=80)
    print(timing.machine(renderer.generator(Recipe(world.name)).device))


if __name__ == "__main__":
    main()
