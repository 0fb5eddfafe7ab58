"""Where refined parts pay: how well they fit the exact masks of things, where these have a usual place and where not.

python -m benchmarks.refine_truth [--twin runs/portraits-unaligned/checkpoint.pt] [--pictures 100]

Three kinds of pictures: the bundled portraits; the same through a camera that turns, zooms and moves each (its features
at the layer are moved, and what has been drawn so far); and those of a twin that was trained on such pictures, if there
is one (`tools.train --world portraits --unaligned --stages 64:0`). Parts as learned, the same for every picture;
refined densely (I Eq. 6); and on a graph (II Algorithm 2). Of each thing, and each way, the part and the threshold of
its p̂ that fit the exact masks best are chosen on 50 pictures and reported on others, those that show the thing.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import timing
from benchmarks.labels import BATCH, CHOSEN_ON, LABELLED, enlarged, in_batches
from benchmarks.tables import ROOT, SIDE
from panda_core.catalogue import Catalogue
from panda_core.fitting import SAMPLE_SEEDS
from panda_core.generators.split import Cut, SplitGenerator
from panda_core.method.factorization import fit
from panda_core.method.parts import scale_parts
from panda_core.method.refinement import refine_parts
from panda_core.runtime.allocator import keep_freed_memory
from panda_core.runtime.atomic_write import atomic_write
from tools.train import load_network
from tools.worlds import WORLDS, World
from tools.worlds.world import through_camera

WAYS = {"as learned": None, "dense": {}, "graph": {"k": 32}}
RANKS = {5: 16, 7: 12}  # layer -> R_S, as bundled
THRESHOLDS = torch.arange(0.1, 0.85, 0.1)
LEAST = 16  # pixels of 64 x 64 that a thing must show
CELLS = ROOT / "report" / "portraits" / "refinement.json"

Source = Callable[[Sequence[int]], Cut]  # seeds -> their cut at a layer


def heads(generator: SplitGenerator, layer: int) -> Source:
    return lambda seeds: generator.head(generator.sample(seeds, 1.0), layer)


def through(world: World, generator: SplitGenerator, layer: int) -> Source:
    """Pictures of an aligned generator as this unaligned world's camera sees them."""

    def moved(maps: Tensor, f: dict[str, Tensor]) -> Tensor:
        axis = (torch.arange(maps.shape[-1]) + 0.5) / maps.shape[-1] * 2 - 1
        X, Y, _ = through_camera(axis[None, None, :], axis[None, :, None], f)
        return F.grid_sample(maps, torch.stack([X, Y], dim=-1), padding_mode="border", align_corners=False)

    def draw(seeds: Sequence[int]) -> Cut:
        latents = generator.sample(seeds, 1.0)
        u = dict(zip(world.factor_names, world.factors_of_latents(latents.z).t()))
        f = {k.name: (k.low + (k.high - k.low) * u[k.name])[:, None, None] for k in world.camera}
        cut = generator.head(latents, layer)
        return Cut(moved(cut.features, f), layer, {**cut.carry, "rgb": moved(cut.carry["rgb"], f)})

    return draw


def parts_of(Z: Tensor, A: Tensor, P: Tensor, way: dict | None) -> Tensor:
    """p̂ of every picture, [N, R_S, side, side]."""
    if way is None:
        found = P.expand(len(Z), -1, -1)
    else:
        found = torch.cat([refine_parts(one, A, P, **way) for one in Z.split(1)])
    maps = torch.stack([scale_parts(p) for p in found]).mT
    return enlarged(maps.reshape(*maps.shape[:2], *Z.shape[2:]), SIDE)


def overlaps(maps: Tensor, exact: Tensor) -> Tensor:
    """IoU of every part at every threshold with every thing, NaN where the thing is not there: [N, R_S, t, things]."""
    rows = []
    for p, M in zip(maps, exact.flatten(2).float()):
        on = (p[:, None] >= THRESHOLDS[:, None, None]).flatten(2).float()
        both, area = on @ M.t(), M.sum(dim=1)
        iou = both / (on.sum(dim=2, keepdim=True) + area - both).clamp_min(1)
        rows.append(torch.where(area >= LEAST, iou, torch.nan))
    return torch.stack(rows)


@torch.inference_mode()
def compare(world: World, generator: SplitGenerator, source: Source, R_S: int, n: int) -> list[dict]:
    """A row for each way: thing -> mean IoU; and how far the pictures are from the exact ones."""
    sets = range(CHOSEN_ON, CHOSEN_ON + LABELLED), range(n)
    exact = [in_batches(s, lambda s: world.of_seeds(s, generator.z_dim, SIDE).masks > 0.5) for s in sets]
    features = [in_batches(s, lambda s: source(s).features) for s in sets]
    few = sets[1][:BATCH]
    made = generator.preview(source(few), generator.resolution // SIDE)
    l1 = float((made - world.of_seeds(few, generator.z_dim, SIDE).images).abs().mean())
    learned = fit(lambda i, m: source(range(SAMPLE_SEEDS + i, SAMPLE_SEEDS + i + m)).features,
                  features[0].shape[1], R_S, samples=512)  # fmt: skip
    A, P = learned.appearances, learned.parts
    rows = []
    for words, way in WAYS.items():
        known, shown = (overlaps(parts_of(Z, A, P, way), M) for Z, M in zip(features, exact))
        best = known.nanmean(dim=0).flatten(0, 1).argmax(dim=0)
        found = shown.nanmean(dim=0).flatten(0, 1).gather(0, best[None])[0]
        any_part = shown.amax(dim=(1, 2)).nanmean(dim=0)  # a NaN of a thing is one at every part
        rows.append({"L1": l1, "parts": words, **dict(zip(world.parts, found.tolist())),
                     "mean": float(found.mean()), "each picture's best part": float(any_part.mean())})  # fmt: skip
    return rows


def section(page, path: Path = CELLS) -> None:
    """What was measured, on a page of the report; nothing where it was not."""
    if path.is_file():
        held = json.loads(path.read_text())
        page.heading("Refined parts, where things have a usual place and where not")
        page.text(held["words"])
        page.table(list(held["rows"][0]), [[v if isinstance(v, str) else f"{v:.2f}" for v in row.values()]
                                           for row in held["rows"]])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--twin", type=Path, default=Path("runs/portraits-unaligned/checkpoint.pt"))
    parser.add_argument("--pictures", type=int, default=100)
    args = parser.parse_args()
    keep_freed_memory()
    aligned = WORLDS["portraits"]
    generator, turned, rows, how = Catalogue().generator(aligned.name).generator, aligned.unaligned(), [], ""
    if args.twin.is_file():
        twin, how = load_network(args.twin)
        how = f" The trained twin: {how.rpartition(', ')[0]}."  # its minutes are the clock's, not the processor's
    for layer, R_S in RANKS.items():
        kinds = [("aligned", aligned, generator, heads(generator, layer)),
                 ("through a camera", turned, generator, through(turned, generator, layer))]  # fmt: skip
        if how:
            kinds.append(("trained twin", turned, twin, heads(twin, layer)))
        for words, world, net, source in kinds:
            for row in compare(world, net, source, R_S, args.pictures):
                rows.append({"pictures": words, "layer": str(layer)} | row)
                print(rows[-1], flush=True)
    words = (
        f"IoU with the exact masks on {args.pictures} pictures, in the mean over those that show the thing; of each "
        f"thing and way, part and threshold are chosen on {LABELLED} others, at {SIDE} pixels. In the last column the "
        "part that fits best is taken anew in each picture: what a choice by eye could reach. Through a camera: the "
        "bundled network's features, turned, zoomed and moved as an unaligned world's pictures are. L1 to the exact "
        f"pictures, of {BATCH}, tells how far a network draws its world.{how} {timing.machine(generator.device)}"
    )
    with atomic_write(CELLS) as part:
        Path(part).write_text(json.dumps({"words": words, "rows": rows}) + "\n")


if __name__ == "__main__":
    main()
