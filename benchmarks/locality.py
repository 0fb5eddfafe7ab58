"""How local the bundled generator's suggested edits are (ROIR, I Eq. 7), and how well its background mask fits (IoU).

python -m benchmarks.locality [--count 256] [--strength 4]

M is the scaled part at image size, as on the page. The masks are held against the exact portraits of the same seeds.
"""

import argparse

import torch
import torch.nn.functional as F

from benchmarks import targets, timing
from benchmarks.evaluation import mask_iou, outside_inside_ratios
from panda_core.catalogue import Catalogue
from panda_core.method.editing import add_appearance
from panda_core.method.saliency import find_background, saliency, saliency_mask
from tools.worlds import WORLDS


def enlarge(maps: torch.Tensor, size: int) -> torch.Tensor:
    return F.interpolate(maps[:, None], size=(size, size), mode="bilinear", align_corners=False)[:, 0]


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--count", type=int, default=256, help="pictures, of seeds 0, 1, 2, ...")
    parser.add_argument("--strength", type=float, default=4.0, help="units of every edit")
    args = parser.parse_args()
    args.generator, args.device = "portraits", "cpu"
    world = WORLDS[args.generator]
    loaded, catalogue = targets.prepare(args), Catalogue()
    generator, size = loaded.generator, loaded.generator.resolution
    batches = [range(i, min(i + 32, args.count)) for i in range(0, args.count, 32)]
    for layer, name in catalogue.bundled("portraits").items():
        factors = catalogue.factors("portraits", name)
        A, H, W = factors.appearances, factors.info.height, factors.info.width
        print(f"layer {layer}, {name}: ROIR, mean ± deviation over {args.count} pictures, first suggested look")
        for part in range(factors.parts.shape[1]):
            look = int(factors.suggested[part, 0])
            region = factors.scaled_parts[:, part]
            alpha = args.strength * factors.alpha_at_part(look, part)
            M, ratios = enlarge(region.reshape(1, H, W), size)[0], []
            for seeds in batches:
                cut = generator.head(generator.sample(seeds, 0.8), layer)
                edited = cut.with_features(add_appearance(cut.features, A[:, look], region, alpha))
                ratios.append(outside_inside_ratios(generator.tail(cut), generator.tail(edited), M))
            ratio = torch.cat(ratios)
            print(f"  {factors.part_name(part):24} look {look:4}: {ratio.mean():5.2f} ± {ratio.std():.2f}", flush=True)
        scores, sign = [], 0
        for seeds in batches:  # psi 1: what the exact portraits of these seeds show
            Z = generator.head(generator.sample(seeds, 1.0), layer).features
            if sign == 0:
                number, sign = find_background(Z, A, factors.mean, generator.frame(layer))
            maps = sign * enlarge(saliency(Z, A[:, number]), size)
            exact = world.of_seeds(seeds, generator.z_dim, size).masks[:, world.parts.index("background")] > 0.5
            scores.append(mask_iou(saliency_mask(maps, sign * factors.threshold(number)), exact))
        iou = torch.cat(scores)
        print(f"  background is appearance {number}; IoU, mean / median: {iou.mean():.2f} / {iou.median():.2f}")
    print(timing.machine(generator.device))


if __name__ == "__main__":
    main()
