"""The table where no truth is needed, on a generator that nobody here trained: how local edits are, and what they cost.

python -m benchmarks.third_party NAME                 a listed generator, owner/name on the Hub, or a file here
python -m benchmarks.third_party --stand-in [FILE]    without a network: the file as a stranger's repository, from a
                                                      Hub on loopback; by default the bundled scenes

Nothing that ships with it is used: factors and variations are learned here. M is a part itself, p̂ > 1/2, as in the
papers; of the opened layer the parts that hold least of the picture are measured, where edits are wanted. An edit's
strength is that at which the picture changes inside M by a quarter of what another picture differs there. Of each
method the candidate whose ROIR is lowest there on 2 pictures, at 64 pixels, is reported on others, at 256.

Reported is a MobileStyleGAN of faces, 1024 pixels, the only trained GAN that we found in a package index:

    pip download --no-deps random-face==2021.7.21.1
    python -m benchmarks.third_party random_face-2021.7.21.1-py3-none-any.whl
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import timing
from benchmarks.labels import enlarged
from benchmarks.methods import METHODS, Aim, Candidate, Ground
from benchmarks.tables import CHOSEN_ON, ROOT, SIDE, half, ratio_at
from panda_core.catalogue import Catalogue, Loaded
from panda_core.factors import Factors
from panda_core.fitting import fit_layer
from panda_core.generators.registry import ASSETS
from panda_core.generators.split import Cut
from panda_core.method.variations import learn_variations
from panda_core.runtime.allocator import keep_freed_memory
from panda_core.runtime.atomic_write import atomic_write
from panda_core.samples import SampleCache
from tools.truth import Task

SELECT, LEARN = 2, 2
REPORTED = 256  # pixels, or as many as there are
STEPS = torch.tensor([0.0, 0.15, 0.3, 0.6, 1.2, 2.0])
OF_FEATURES = ("variations", "PandA", "PandA, refined", "transfer", "SAE")
NOT_FOR = {"stylegan2": (), "mobile_stylegan": ("StyleSpace",)}  # in other families all but OF_FEATURES
CELLS = ROOT / "report" / "third-party.json"


def learn_factors(name: str, loaded: Loaded, layer: int, seconds: dict[str, float]) -> Factors:
    """Eight parts of a layer, each a thing of its own, and the variations of each."""
    began = time.process_time()
    factors = fit_layer(name, loaded, layer, psi=1.0).with_info(things=())
    fitted = time.process_time()
    samples = SampleCache(count=512).of(loaded, factors.info)
    found = {(k,): learn_variations(samples, p) for k, p in enumerate(factors.scaled_parts.t())}
    seconds["fit"] = seconds.get("fit", 0.0) + fitted - began
    seconds["vary"] = seconds.get("vary", 0.0) + time.process_time() - fitted
    return replace(factors, variations=found)


def pictures_of(ground: Ground, seeds: range, shrink: int) -> Task:
    """Some pictures at 1/shrink of their size, and for each another in place of what would be wanted."""
    cuts, cut = {}, ground.generator.start(ground.generator.sample(seeds, 1.0))
    for layer in range(max(ground.last, 1 + max(ground.factors))):
        cuts[layer] = cut = ground.generator.advance(cut, layer)
    images = torch.cat([ground.generator.preview(cuts[0][i : i + 1], shrink) for i in range(len(seeds))]).clamp(-1, 1)
    return Task(list(seeds), cuts, images, images.roll(1, dims=0), shrink)


def ratios(draw: Callable[[Cut, int], Tensor], task: Task, c: Candidate, sign: int, M: Tensor) -> Tensor:
    """ROIR of every picture at its strength, [N]; NaN where the edit never changes it as much."""
    found = []
    for i, (before, other) in enumerate(zip(task.before, task.wanted)):
        made = draw(c.edit(task.cuts[c.layer][i : i + 1], sign * c.reach * STEPS), task.shrink).clamp(-1, 1)
        change = (made[1:] - made[:1]).square().sum(dim=1)
        inside, outside = ((weight * change).sum(dim=(1, 2)).sqrt() for weight in (M, 1 - M))
        found.append(ratio_at(0.25 * (M * (other - before).square().sum(dim=0)).sum().sqrt(), inside, outside))
    return torch.tensor(found)


def score(found: Tensor) -> tuple[float, float]:
    """(share of the pictures that reach the goal, minus the mean there): more is better."""
    reached = found[found.isfinite()]
    return len(reached) / len(found), -float(reached.mean()) if len(reached) else float("-inf")


@torch.inference_mode()
def measure(name: str, loaded: Loaded, layers: list[int], parts: int, pictures: int) -> dict:
    generator, seconds = loaded.generator, {}
    factors = {layer: learn_factors(name, loaded, layer, seconds) for layer in layers}
    ground = Ground(generator, factors, LEARN, max(1, generator.resolution // SIDE))
    side = min(REPORTED, generator.resolution)
    chosen = pictures_of(ground, range(CHOSEN_ON, CHOSEN_ON + SELECT), ground.shrink)
    shown = pictures_of(ground, range(pictures), generator.resolution // side)
    maps = factors[layers[0]].scaled_parts.t().reshape(-1, *generator.layers[layers[0]][1:])
    maps, large = enlarged(maps, SIDE), (enlarged(maps, side) > 0.5).float()
    regions = {k: (maps[k] > 0.5).float() for k in large.sum(dim=(1, 2)).argsort().tolist()[:parts]}
    fast, rows = half(generator), []
    for method, learn in METHODS.items():
        if method not in OF_FEATURES and method in NOT_FOR.get(generator.family, METHODS):
            continue
        began = time.process_time()
        learned, each = learn(ground), {}
        to_learn = time.process_time() - began + seconds["fit"] * (method in OF_FEATURES)
        to_learn += seconds["vary"] * (method == "variations")
        spent = 0.0
        for k, M in regions.items():
            began = time.process_time()
            candidates = list(learned(Aim(chosen, maps[k], M)))
            spent += time.process_time() - began
            best = max(((c, sign) for c in candidates for sign in (1, -1)),
                       key=lambda pair: score(ratios(fast, chosen, *pair, M)))  # fmt: skip
            found = ratios(generator.preview, shown, *best, large[k])
            reached = found[found.isfinite()]
            each[str(k)] = {"which": best[0].words, "reached": len(reached) / len(found),
                            "roir": float(reached.mean()), "sd": float(reached.std(correction=0))}  # fmt: skip
            print(f"{method:15} part {k}: {each[str(k)]}", flush=True)
        rows.append({"method": method, "parts": each, "learn": to_learn, "region": spent / len(regions)})
    return {"rows": rows, "area": {str(k): float(large[k].mean()) for k in regions}}


def section(page, path: Path = CELLS) -> None:
    """What was measured, on a page of the report; nothing where it was not."""
    if not path.is_file():
        return
    held = json.loads(path.read_text())
    page.heading("A third party's generator")
    page.text(held["words"])
    rows = []
    for row in held["rows"]:
        cells = [f"{c['roir']:.2f} ± {c['sd']:.2f}" + (f" ({c['reached']:.0%})" if c["reached"] < 1 else "")
                 if c["reached"] >= 0.5 else "–" for c in row["parts"].values()]  # fmt: skip
        rows.append([row["method"], *cells, f"{row['learn']:.1f} s", f"{row['region']:.1f} s"])
    heads = [f"part {k}, {area:.0%} of the picture" for k, area in held["area"].items()]
    page.table(["method", *heads, "to learn", "for a region"], rows)


def serve(path: Path, arguments: list[str]) -> int:
    """This script again, with the file as somebody/net on a Hub of its own and caches that are thrown away."""
    from tests.hub_server import HubServer  # only here: a run on a real Hub needs no tests

    with HubServer() as hub, tempfile.TemporaryDirectory() as home:
        hub.put("somebody/net", path.name, path.read_bytes())
        command = [sys.executable, "-m", "benchmarks.third_party", "somebody/net", *arguments]
        return subprocess.run(command, env=os.environ | hub.environ(home), check=False).returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?")
    parser.add_argument("--stand-in", type=Path, nargs="?", const=ASSETS / "scenes" / "generator.safetensors")
    parser.add_argument("--parts", type=int, default=4)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--note", default="", help="what the generator is, for the report")
    args = parser.parse_args()
    if args.stand_in:
        raise SystemExit(serve(args.stand_in, ["--parts", str(args.parts), "--pictures", str(args.pictures)]))
    keep_freed_memory()
    catalogue = Catalogue(own=True)
    loaded, first = catalogue.generator(args.name), catalogue.default_layer(args.name)
    layers = [l for l in (first, first - 2, first + 2) if l in loaded.generator.editable_layers]
    held = measure(args.name, loaded, layers, args.parts, args.pictures)
    generator = loaded.generator
    label = Path(args.name).name if Path(args.name).is_file() else args.name  # no folders of this machine
    held["words"] = (
        f"`{label}`, {generator.family}, {generator.resolution} pixels, read as any added generator is. {args.note}"
        f"ROIR, mean ± deviation over {args.pictures} pictures, M a part of layer {first} itself: lower is more local. "
        "Each where the change inside M is a quarter of the difference to another picture there; in brackets the "
        "share of the pictures where that is reached, if not all, a dash under half. Of each method the candidate that "
        f"is most local on {SELECT} other pictures, drawn at 64 pixels; reported at {REPORTED}. Processor seconds; "
        f"factors of {len(layers)} layers and variations are learned here, and count as learning. "
        f"{timing.machine(generator.device)}"
    )
    with atomic_write(CELLS) as part:
        Path(part).write_text(json.dumps(held) + "\n")


if __name__ == "__main__":
    main()
