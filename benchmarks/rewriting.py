"""What one rewriting everywhere makes up for of a wanted change, and what else moves, on exact truth.

python -m benchmarks.rewriting [--world scenes] [--seeds 16] [--sheet rewriting.jpg]

The changes are those that the world's examples of rewriting show. Appearances and layer are chosen on 4 seeds and
reported on others, at 64 pixels: share made up for with one strength a picture and with strength 1 (docs/method.md),
and outside/inside change (ROIR, I Eq. 7) at strength 1, M where the wanted pictures differ.
"""

import argparse

import torch

from benchmarks import timing
from benchmarks.evaluation import outside_inside_ratios
from panda_core.catalogue import Catalogue
from panda_core.images import grid
from panda_core.runtime.allocator import keep_freed_memory
from tools.rewritings import best_rewriting, rewritten
from tools.truth import errors, made_up_for, make_task, wishes_of
from tools.worlds import WORLDS

CHOSEN_ON, CHOOSE_SEEDS = 20_000, 4
ALPHAS = torch.tensor([0.5, 0.75, 1.0, 1.5, 2.0])
ONE = torch.tensor([1.0])


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="scenes", choices=[w.name for w in WORLDS.values() if w.rewritten])
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--sheet", help="a JPEG of the first six of each: before, after at strength 1, wanted")
    args = parser.parse_args()
    keep_freed_memory()
    world, catalogue, sheet = WORLDS[args.world], Catalogue(), []
    generator = catalogue.generator(world.name).generator
    factors = {layer: catalogue.factors(world.name, name) for layer, name in catalogue.bundled(world.name).items()}
    print("| change | share, best strength | share, strength 1 | ROIR | which |\n|" + " --- |" * 5)
    for words in dict.fromkeys(name for _, name in world.rewritten):
        wish = wishes_of(world)[words]
        chosen, shown = (make_task(world, generator, list(factors), wish, first, n)
                         for first, n in ((CHOSEN_ON, CHOOSE_SEEDS), (0, args.seeds)))  # fmt: skip
        found = [(*best_rewriting(generator, f, chosen, ONE), layer) for layer, f in factors.items()]
        source, target, _, layer = max(found, key=lambda row: row[2])
        f = factors[layer]

        def share(alphas: torch.Tensor, f=f, pair=(source, target), task=shown, layer=layer) -> float:
            return made_up_for(task, errors(generator, task, layer, lambda i, Z: rewritten(f, Z, *pair, alphas)))

        cuts = [shown.cuts[layer][i : i + 1] for i in range(len(shown.seeds))]
        edited = [cut.with_features(rewritten(f, cut.features, source, target, ONE)) for cut in cuts]
        after = torch.cat([generator.preview(cut, shown.shrink) for cut in edited]).clamp(-1, 1)
        M = ((shown.wanted - shown.before).abs().amax(dim=1) > 0.1).float()
        ratios = outside_inside_ratios(shown.before, after, M)
        ratios = ratios[ratios.isfinite()]
        names = " → ".join(f.appearance_name(k) for k in (source, target))
        print(f"| {words} | {share(ALPHAS):.2f} | {share(ONE):.2f} | {ratios.mean():.2f} ± {ratios.std():.2f} | "
              f"{names}, layer {layer} |", flush=True)  # fmt: skip
        sheet += [generator(generator.sample(shown.seeds[:6])), torch.cat([generator.tail(cut) for cut in edited[:6]])]
    if args.sheet:
        rows = [torch.stack([a, b], 1).flatten(0, 1) for a, b in zip(sheet[::2], sheet[1::2])]
        grid(torch.cat(rows).clamp(-1, 1), 12).save(args.sheet, quality=80)
    print(timing.machine(generator.device))


if __name__ == "__main__":
    main()
