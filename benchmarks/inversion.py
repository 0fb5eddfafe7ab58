"""How near pictures are found in a generator by stage, in dB and L1; whether edits leave the rest to the bit; and what
edits of found pictures make up for of a wanted change, beside those of generated pictures.

python -m benchmarks.inversion [--world portraits] [--pictures 32] [--layer 5]

The pictures are a drawn world's own, exact, of seeds that nothing else uses; their latents stay hidden. In range: as
the generator was trained to draw them. Out of range: half of them through a camera that turns, zooms and moves, half
with their colour channels exchanged. "true latents" is what the generator draws for the hidden latents. The edit that
must leave the rest adds one standard deviation of a random direction to a ninth of the layer's cells, in the middle.

Made up for (docs/method.md, "Locality and truth"), at a quarter of the size, by the first variation of the layer that
has the wish as an end, of those pictures in range that the wish would change: own, of the exact picture to the exact
picture with that one factor changed; generated, of the generator's picture of the same latents to its picture of the
changed ones.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import timing
from panda_core.catalogue import Catalogue
from panda_core.factors import Factors
from panda_core.generators.split import Latents, SplitGenerator
from panda_core.images import to_arrays
from panda_core.method.blending import edited_area
from panda_core.method.inversion import Space, invert, psnr
from panda_core.method.variations import vary
from panda_core.own_picture import OwnPicture
from panda_core.progress import Progress
from panda_core.runtime.allocator import keep_freed_memory
from tools.truth import Wish, changed_latents, ends_of, seeds_for
from tools.worlds import WORLDS, World

FIRST = 70_000  # seed of the first picture
WISHES = {
    "portraits": ("hair_length", "mouth_openness", "glasses"),  # of hair, mouth and eyes
}
STRENGTHS, SHRINK = torch.linspace(-4, 4, 9), 4


def in_8_bits(images: Tensor) -> Tensor:
    return torch.from_numpy(to_arrays(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def pictures_of(world: World, z_dim: int, size: int, n: int) -> dict[str, Tensor]:
    """By kind, n pictures each, [n, 3, size, size]."""
    usual = world.of_seeds(range(FIRST, FIRST + n), z_dim, size).images
    turned = world.unaligned().of_seeds(range(FIRST, FIRST + n // 2), z_dim, size).images
    kinds = {"in range": usual, "turned and moved": turned, "other colours": usual[n // 2 :, [2, 0, 1]]}
    return {kind: in_8_bits(images) for kind, images in kinds.items()}


def l1(images: Tensor, target: Tensor) -> Tensor:
    return (images.clamp(-1, 1) - target).abs().mean(dim=(1, 2, 3))


@torch.inference_mode()
def outside(generator: SplitGenerator, space: Space, own: OwnPicture) -> tuple[float, bool]:
    """Share of the pixels that an edit leaves, and whether they are the picture's to the bit."""
    cut = own.cut(generator, own.layer)
    C, H, W = cut.features.shape[1:]
    change = torch.zeros_like(cut.features)
    direction = torch.randn(C, 1, 1, generator=torch.Generator().manual_seed(0))
    change[:, :, H // 3 : H - H // 3, W // 3 : W - W // 3] = space.sigma[own.layer][:, None, None] * direction
    before = generator.tail(cut)
    after = generator.tail(cut.with_features(cut.features + change))
    shown = torch.from_numpy(to_arrays(own.show(before, after))).permute(0, 3, 1, 2)[0]
    left = edited_area(before, after)[0, 0] == 0
    return float(left.float().mean()), torch.equal(shown[:, left], own.picture[:, left])


def first_variation(factors: Factors, wish: Wish) -> Tensor:
    """E of the first variation that has the wish as an end, of any thing of the layer."""
    named = [(m, thing) for thing in factors.things for m in range(8)
             if (ends := factors.ends(thing, m)) and wish.name in (ends.low, ends.high)]  # fmt: skip
    m, thing = min(named)
    return factors.variations[thing].direction(m)


def distances(pictures: Tensor, wanted: Tensor) -> Tensor:
    """‖X - X*‖² of pictures at 1/SHRINK of their size, [N]."""
    return (pictures.clamp(-1, 1) - wanted).square().flatten(1).sum(dim=1)


@torch.inference_mode()
def wished(world: World, generator: SplitGenerator, own: OwnPicture, E: Tensor, wish: Wish, seed: int) -> list[float]:
    """‖X_s - X*‖² at the best strength and ‖X - X*‖², of the own picture and of the generated one."""
    latents = generator.sample([seed])
    changed = changed_latents(world, latents.z, wish)
    exact = in_8_bits(world.render(world.factors_of_latents(changed), generator.resolution).images)
    cut = own.cut(generator, own.layer)
    before, after = generator.tail(cut), generator.tail(cut.with_features(vary(cut.features, E, STRENGTHS)))
    shown = F.avg_pool2d(torch.cat([own.image, *(own.show(before, one) for one in after.split(1))]), SHRINK)
    found = distances(shown, F.avg_pool2d(exact, SHRINK))
    cut = generator.head(latents, own.layer)
    wanted = generator.preview(generator.start(Latents(changed, 1.0)), SHRINK).clamp(-1, 1)
    edited = generator.preview(cut.with_features(vary(cut.features, E, STRENGTHS)), SHRINK)
    made = distances(torch.cat([generator.preview(cut, SHRINK), edited]), wanted)
    return [float(value) for of in (found, made) for value in (of.min(), of[0])]


def made_up_for(
    world: World, generator: SplitGenerator, factors: Factors, owns: list[OwnPicture]
) -> Iterator[tuple[str, int, float, float]]:
    """Of every wish its name, how many pictures it would change, and the share of own and of generated pictures."""
    for wish in (wish for factor in WISHES[world.name] for wish in ends_of(world, factor)):
        E, rows = first_variation(factors, wish), []
        for i, own in enumerate(owns):
            if seeds_for(world, wish, generator.z_dim, FIRST + i, 1) == [FIRST + i]:
                rows.append(wished(world, generator, own, E, wish, FIRST + i))
        if rows:
            left, whole, left_made, whole_made = map(sum, zip(*rows))
            yield wish.name, len(rows), 1 - left / whole, 1 - left_made / whole_made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="portraits", choices=list(WORLDS))
    parser.add_argument("--pictures", type=int, default=32, help="in range, and as many out of it")
    parser.add_argument("--layer", type=int, help="default: where the page opens")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    world, catalogue = WORLDS[args.world], Catalogue()
    generator, weights = catalogue.generator(world.name)
    layer = catalogue.default_layer(world.name) if args.layer is None else args.layer
    began = time.perf_counter()
    space = catalogue.space(world.name)
    print(f"layer {layer}; what a search has to know, read once: {time.perf_counter() - began:.1f} s")
    print("| pictures | stage | PSNR, mean | worst | L1 | processor seconds a picture so far |\n|" + " --- |" * 6)
    for kind, pictures in pictures_of(world, generator.z_dim, generator.resolution, args.pictures).items():
        rows, left, owns = defaultdict(list), [], []
        if kind == "in range":
            with torch.inference_mode():
                true = torch.cat([generator(generator.sample([FIRST + i])) for i in range(len(pictures))])
            rows["true latents"] = list(zip(psnr(true, pictures), l1(true, pictures), [0.0] * len(true)))
        for picture in pictures.split(1):
            began = time.process_time()

            def report(progress: Progress, picture=picture, began=began, rows=rows) -> None:
                if progress.done == progress.total:
                    taken = time.process_time() - began
                    rows[progress.stage].append((progress.psnr[0], l1(progress.images, picture)[0], taken))

            found = invert(generator, space, picture, layer, report=report)
            owns.append(OwnPicture.of(found, 0, picture, space, world.name, weights))
            left.append(outside(generator, space, owns[-1]))
        for stage, values in rows.items():
            near, off, taken = torch.tensor(values).unbind(dim=1)
            cells = f"{near.mean():.1f} | {near.min():.1f} | {off.mean():.4f} | {taken.mean():.1f}"
            print(f"| {len(pictures)} {kind} | {stage} | {cells} |", flush=True)
        share = sum(share for share, _ in left) / len(left)
        exact = sum(exact for _, exact in left)
        words = f"an edit leaves {100 * share:.0f} % of the pixels, in {exact} of {len(left)} to the bit"
        print(f"{kind}: {words}", flush=True)
        if kind == "in range":
            factors = catalogue.factors(world.name, catalogue.bundled(world.name)[layer])
            for name, count, own, made in made_up_for(world, generator, factors, owns):
                print(f"{name}: {own:.2f} of own, {made:.2f} of {count} generated pictures", flush=True)
    print(timing.machine(generator.device))


if __name__ == "__main__":
    main()
