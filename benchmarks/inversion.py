"""How near pictures are found in a generator by stage, in dB and L1; and whether edits leave the rest to the bit.

python -m benchmarks.inversion [--world portraits] [--pictures 32] [--layer 5]

The pictures are a drawn world's own, exact, of seeds that nothing else uses; their latents stay hidden. In range: as
the generator was trained to draw them. Out of range: half of them through a camera that turns, zooms and moves, half
with their colour channels exchanged. "true latents" is what the generator draws for the hidden latents. The edit adds
one standard deviation of a random direction to a ninth of the layer's cells, in the middle.
"""

import argparse
import time
from collections import defaultdict

import torch
from torch import Tensor

from benchmarks import timing
from panda_core.catalogue import Catalogue
from panda_core.generators.split import SplitGenerator
from panda_core.images import to_arrays
from panda_core.method.blending import edited_area
from panda_core.method.inversion import Space, invert, psnr
from panda_core.own_picture import OwnPicture
from panda_core.progress import Progress
from panda_core.runtime.allocator import keep_freed_memory
from tools.worlds import WORLDS, World

FIRST = 70_000  # seed of the first picture


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
    print("| pictures | stage | PSNR, mean | worst | L1 | seconds a picture so far |\n|" + " --- |" * 6)
    for kind, pictures in pictures_of(world, generator.z_dim, generator.resolution, args.pictures).items():
        rows, left = defaultdict(list), []
        if kind == "in range":
            with torch.inference_mode():
                true = torch.cat([generator(generator.sample([FIRST + i])) for i in range(len(pictures))])
            rows["true latents"] = list(zip(psnr(true, pictures), l1(true, pictures), [0.0] * len(true)))
        for picture in pictures.split(1):
            began = time.perf_counter()

            def report(progress: Progress, picture=picture, began=began, rows=rows) -> None:
                if progress.done == progress.total:
                    taken = time.perf_counter() - began
                    rows[progress.stage].append((progress.psnr[0], l1(progress.images, picture)[0], taken))

            found = invert(generator, space, picture, layer, report=report)
            left.append(outside(generator, space, OwnPicture.of(found, 0, picture, space, world.name, weights)))
        for stage, values in rows.items():
            near, off, taken = torch.tensor(values).unbind(dim=1)
            cells = f"{near.mean():.1f} | {near.min():.1f} | {off.mean():.4f} | {taken.mean():.1f}"
            print(f"| {len(pictures)} {kind} | {stage} | {cells} |", flush=True)
        share = sum(share for share, _ in left) / len(left)
        exact = sum(exact for _, exact in left)
        print(f"{kind}: an edit leaves {100 * share:.0f} % of the pixels, in {exact} of {len(left)} to the bit")
    print(timing.machine(generator.device))


if __name__ == "__main__":
    main()
