"""The papers' tables, on exact truth: eleven methods, the same seeds, the same automatic choice, in one report.

python -m benchmarks.tables [--world portraits]      writes benchmarks/report/<world>/
python -m benchmarks.tables --quick                  fewer pictures and wishes: runs/report/<world>/

A wish is one factor of a drawn world at another value; what the generator draws for that latent is the picture wanted.
Every method learns once (benchmarks/methods/) and names candidates for a wish. One rule chooses, on SELECT pictures:
the candidates whose change, on some of them, points most nearly to the wanted one are tried at four strengths on more;
the best of them gets its strength on all, and is reported on other pictures, in the direction chosen. Each finished
cell (method x wish) is a JSON file under runs/tables/<world>/, so that a second start goes on where the first was
stopped.
"""

import argparse
import copy
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import labels, timing
from benchmarks.evaluation import ssim_map
from benchmarks.methods import METHODS, Aim, Candidate, Candidates, Ground, removal
from benchmarks.methods.base import changed
from benchmarks.truth import WISHES
from panda_core.catalogue import Catalogue
from panda_core.generators.split import Cut, SplitGenerator, weights_hash
from panda_core.images import grid
from panda_core.runtime.allocator import keep_freed_memory
from panda_core.runtime.atomic_write import atomic_write
from tools.distances import sliced_wasserstein
from tools.truth import Task, Wish, joined, made_up_for, make_task, squares
from tools.worlds import WORLDS, World

CHOSEN_ON = 20_000  # the first seed that edits are chosen on, away from those reported, which begin at 0
SIDE = 64  # pixels of the pictures that are compared
SCREENED = 4  # selection pictures on which all candidates are tried
KEPT = 3  # candidates that are tried at four strengths
NARROWED = 48  # selection pictures on which they are; only the best of them goes on to the rest
BATCH = 24  # pictures drawn at once
ROOT = Path(__file__).parent


@dataclass(frozen=True)
class Sizes:
    """How many pictures; all tables state these."""

    select: int = 200
    report: int = 1000
    learn: int = 4  # at which methods differentiate the generator
    masks: int = 1000
    ranked: int = 1000
    wishes: int | None = None

    @property
    def stamp(self) -> str:
        return f"{self.select}-{self.report}-{self.learn}-{self.masks}-{self.ranked}"


FULL, QUICK = Sizes(), Sizes(select=8, report=24, learn=1, masks=40, ranked=200, wishes=5)


def half(generator: SplitGenerator) -> Callable[[Cut, int], Tensor]:
    """preview in bfloat16, half the time or less."""
    fast = copy.deepcopy(generator).to(torch.bfloat16)

    def draw(cut: Cut, shrink: int) -> Tensor:
        carry = {key: value.to(torch.bfloat16) for key, value in cut.carry.items()}
        return fast.preview(replace(cut, features=cut.features.to(torch.bfloat16), carry=carry), shrink).float()

    return draw


def compiled(draw: Callable[[Cut, int], Tensor]) -> Callable[[Cut, int], Tensor]:
    """The same, compiled where there is a C++ compiler (another half), for batches of one size: the last is filled."""
    if shutil.which("c++"):
        torch._dynamo.config.recompile_limit = 64  # each layer is another program
        draw = torch.compile(draw, dynamic=False)

    def in_batches(cut: Cut, shrink: int) -> Tensor:
        n = len(cut.features)
        whole = Cut(cut.features, cut.layer, {key: x.expand(n, *x.shape[1:]) for key, x in cut.carry.items()})
        rows = torch.arange(-(-n // BATCH) * BATCH) % n
        return torch.cat([draw(whole[some], shrink).clone() for some in rows.split(BATCH)])[:n]

    return in_batches


def edited(
    draw: Callable[[Cut, int], Tensor], task: Task, c: Candidate, strengths: Tensor, pictures: range
) -> Iterator[tuple[int, Tensor]]:
    """The pictures of these rows of a task, each with its versions at all strengths, [n, 3, h, w] in [-1, 1]."""
    for some in torch.tensor(pictures).split(max(1, BATCH // len(strengths))):
        rows = some.tolist()
        made = draw(joined([c.edit(task.cuts[c.layer][i : i + 1], strengths) for i in rows]), task.shrink)
        yield from zip(rows, made.clamp(-1, 1).split(len(strengths)))


def alignment(change: Tensor, wanted: Tensor) -> Tensor:
    """Σ ⟨Δ, D⟩₊² / ‖Δ‖² of one picture's edits Δ [n, ...]: what the best multiple of each would make up for, [n]."""
    dot = (change * wanted).flatten(1).sum(dim=1).clamp_min(0)
    return dot.square() / change.square().flatten(1).sum(dim=1).clamp_min(1e-9)


@torch.inference_mode()
def choose(draw: Callable[[Cut, int], Tensor], task: Task, candidates: list[Candidate]) -> tuple[Candidate, float]:
    """The candidate and its strength, signed, that bring the selection pictures nearest to the wanted ones."""
    scores = torch.zeros(len(candidates), 2)
    for layer, group in groupby(sorted(range(len(candidates)), key=lambda n: candidates[n].layer),
                                key=lambda n: candidates[n].layer):  # fmt: skip
        for some in torch.tensor(list(group)).split(BATCH // 2):
            numbers = some.tolist()
            for i in range(min(SCREENED, len(task.seeds))):
                cut = task.cuts[layer][i : i + 1]
                edits = [candidates[n].edit(cut, torch.tensor([-0.5, 0.5]) * candidates[n].reach) for n in numbers]
                made = draw(joined(edits), task.shrink).clamp(-1, 1)
                found = alignment(made - task.before[i], task.wanted[i] - task.before[i])
                scores[numbers] += found.reshape(-1, 2)
    order = scores.flatten().argsort(descending=True)[:KEPT].tolist()
    first, rest = range(min(NARROWED, len(task.seeds))), range(min(NARROWED, len(task.seeds)), len(task.seeds))
    tried = []
    for place in order:
        c, sign = candidates[place // 2], 2 * (place % 2) - 1
        strengths = sign * c.reach * torch.tensor([0.15, 0.35, 0.65, 1.0])
        found = distances(draw, task, c, strengths, first)
        tried.append((c, strengths, found))
    c, strengths, found = min(tried, key=lambda one: float(one[2].amin(dim=1).sum()))
    if rest:
        found = torch.cat([found, distances(draw, task, c, strengths, rest)])
    return c, float(strengths[found.sum(dim=0).argmin()])


def distances(draw, task: Task, c: Candidate, strengths: Tensor, pictures: range) -> Tensor:
    """‖X_s - X*‖² of these pictures at all strengths, [N, n]."""
    made = edited(draw, task, c, strengths, pictures)
    return torch.stack([squares(X, task.wanted[i]) for i, X in made])


@torch.inference_mode()
def measure(draw: Callable[[Cut, int], Tensor], task: Task, c: Candidate, strength: float) -> tuple[dict, Tensor]:
    """Every measure of one chosen edit on the report's pictures, and the best strengths of the first two, [2].

    Made up for: the best of the strengths for each picture. At equal effect, where the change inside M is half of the
    wanted one: ROIR between two strengths, SSIM outside M and sliced Wasserstein to the wanted pictures at the nearest.
    left: pixels of M that the chosen strength moved by less than half of the wanted change. gained: pixels within half
    of it from the wanted picture.
    """
    most = 2 * max(c.reach, abs(strength)) * (1 if strength > 0 else -1)
    strengths = torch.tensor([0.25 * strength, 0.5 * strength, 0.75 * strength, strength, 1.5 * strength, most])
    masks, errors, ratios, alike, equal, left, gained = changed(task), [], [], [], [], [], []
    for i, made in edited(draw, task, c, strengths, range(len(task.seeds))):
        before, wanted, M = task.before[i], task.wanted[i], masks[i]
        errors.append(squares(made, wanted))
        change = (made - before).square().sum(dim=1)
        inside, outside = ((weight * change).sum(dim=(1, 2)).sqrt() for weight in (M, 1 - M))
        goal = 0.5 * (M * (wanted - before).square().sum(dim=0)).sum().sqrt()
        ratios.append(ratio_at(goal, inside, outside))
        nearest = int((inside - goal).abs().argmin())
        equal.append(made[nearest])
        similar = ssim_map(before[None], made[nearest : nearest + 1])[0]
        alike.append(float((similar * (1 - M)).sum() / (1 - M).sum()))
        moved, away, full = (
            x.square().sum(dim=0).sqrt() for x in (made[3] - before, made[3] - wanted, wanted - before)
        )
        left.append(float(((moved < full / 2) * M).sum() / M.sum().clamp_min(1)))
        gained.append(float(((away < full / 2) * M).sum() / M.sum().clamp_min(1)))
    found, R = torch.stack(errors), torch.tensor(ratios)
    reached = R[R.isfinite()]
    patches = max(1, 4096 // len(task.seeds))
    return {
        "which": c.words,
        "share": made_up_for(task, found),
        "roir": float(reached.mean()) if len(reached) else None,
        "roir_sd": float(reached.std()) if len(reached) > 1 else None,
        "reached": len(reached) / len(R),
        "ssim": sum(alike) / len(alike),
        "wasserstein": sum(d := sliced_wasserstein(torch.stack(equal), task.wanted, per_image=patches)) / len(d),
        "left": sum(left) / len(left),
        "gained": sum(gained) / len(gained),
    }, strengths[found[:2].argmin(dim=1)]


def ratio_at(goal: Tensor, inside: Tensor, outside: Tensor) -> float:
    """outside / inside where the change inside first reaches the goal, linear between strengths; NaN: it never does."""
    inside, outside = (torch.cat([x.new_zeros(1), x]) for x in (inside, outside))
    over = torch.nonzero(inside >= goal)
    if goal <= 0 or not len(over):
        return float("nan")
    k = int(over[0])
    t = (goal - inside[k - 1]) / (inside[k] - inside[k - 1])
    return float(torch.lerp(outside[k - 1], outside[k], t) / goal)


def slug(words: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def remember(path: Path, make: Callable[[], dict]) -> dict:
    """What the file holds, made and written first if it is not there: a cell of the tables."""
    if path.is_file():
        return json.loads(path.read_text())
    found = make()
    with atomic_write(path) as part:
        Path(part).write_text(json.dumps(found))
    return found


def takes_away(world: World, wish: Wish) -> bool:
    return wish.factor in world.presence and wish.value < world.presence[wish.factor]


def methods_for(world: World, wish: Wish) -> list[str]:
    return [*METHODS, "removal"] if takes_away(world, wish) else list(METHODS)


def in_turn(world: World, wishes: Sequence[Wish]) -> list[Wish]:
    """The order in which wishes are measured: some of every kind early, those of removal first."""
    mixed = [*wishes[::3], *wishes[1::3], *wishes[2::3]]
    return sorted(mixed, key=lambda wish: not takes_away(world, wish))


class Run:
    """One start of the tables: what is learned is learned once, and only if a cell asks for it."""

    def __init__(self, world: World, generator: SplitGenerator, factors: dict, sizes: Sizes, folder: Path):
        self.world, self.generator, self.factors, self.sizes = world, generator, factors, sizes
        self.folder = folder / world.name / f"{weights_hash(generator)}-{sizes.stamp}"  # other weights, other cells
        self.side = min(SIDE, generator.resolution)
        self.shrink = generator.resolution // self.side
        self.layers = [l for l in generator.layers if l < max(generator.layers) - 2 * (self.shrink.bit_length() - 1)]
        self.draw = compiled(half(generator))
        self._learned: dict[str, Candidates] = {}

    def ground(self) -> Ground:
        return Ground(self.generator, self.factors, self.sizes.learn, self.shrink)

    @torch.inference_mode()
    def learned(self, method: str) -> Candidates:
        if method not in self._learned:
            began = time.process_time()
            self._learned[method] = {**METHODS, "removal": removal.learn}[method](self.ground())
            remember(self.folder / "learned" / f"{slug(method)}.json", lambda: {"seconds": time.process_time() - began})
        return self._learned[method]

    def wish(self, wish: Wish) -> dict[str, dict]:
        """Method -> its cell."""
        folder = self.folder / slug(wish.name)
        names = methods_for(self.world, wish)
        if all((folder / f"{slug(name)}.json").is_file() for name in names):
            return {name: json.loads((folder / f"{slug(name)}.json").read_text()) for name in names}
        tasks = [make_task(self.world, self.generator, self.layers, wish, first, n, self.side)
                 for first, n in ((CHOSEN_ON, self.sizes.select), (0, self.sizes.report))]  # fmt: skip
        if not (folder / "wanted.jpg").is_file():
            self.save_wanted(folder, wish, tasks[1])
        aim = Aim.of(tasks[0])
        return {
            name: remember(folder / f"{slug(name)}.json", lambda name=name: self.cell(folder, name, aim, tasks[1]))
            for name in names
        }

    @torch.inference_mode()
    def cell(self, folder: Path, name: str, aim: Aim, shown: Task) -> dict:
        learned = self.learned(name)
        began = time.process_time()
        candidates = list(learned(aim))
        seconds = time.process_time() - began
        c, strength = choose(self.draw, aim.task, candidates)
        measured, strengths = measure(self.draw, shown, c, strength)
        seen = [c.edit(shown.cuts[c.layer][i : i + 1], s[None]) for i, s in enumerate(strengths)]
        save(folder / f"{slug(name)}.jpg", self.generator.preview(joined(seen), max(1, shown.shrink // 2)))
        print(f"{folder.name:18} {name:16} {measured['share']:6.2f}  {measured['which']}", flush=True)
        return measured | {"candidates": len(candidates), "seconds": seconds}

    @torch.inference_mode()
    def save_wanted(self, folder: Path, wish: Wish, task: Task) -> None:
        pair = make_task(
            self.world, self.generator, self.layers[:1], wish, 0, 2, min(2 * self.side, self.generator.resolution)
        )
        folder.mkdir(parents=True, exist_ok=True)
        save(folder / "before.jpg", pair.before)
        save(folder / "wanted.jpg", pair.wanted)

    def reading(self, wishes: Sequence[Wish]) -> None:
        """The cells of masks and of ranking."""
        of, sizes = (self.world, self.generator, self.factors), self.sizes
        remember(self.folder / "background.json", lambda: {"rows": labels.background(*of, sizes.masks, self.shrink)})
        names = list(dict.fromkeys(wish.factor for wish in wishes))
        remember(self.folder / "ranking.json", lambda: {"rows": labels.ranking(*of, sizes.ranked, names)})


def save(path: Path, images: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    grid(images.clamp(-1, 1), 1).save(path, quality=85)


def main() -> None:
    from benchmarks import report  # it reads this module's constants

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="portraits", choices=WISHES)
    parser.add_argument("--quick", action="store_true", help="fewer pictures and wishes, in under ten minutes")
    parser.add_argument("--so-far", action="store_true", help="measure nothing; report the cells that are finished")
    args = parser.parse_args()
    keep_freed_memory()
    sizes, world, catalogue = QUICK if args.quick else FULL, WORLDS[args.world], Catalogue()
    loaded = catalogue.generator(world.name)
    factors = {layer: catalogue.factors(world.name, name) for layer, name in catalogue.bundled(world.name).items()}
    run = Run(world, loaded.generator, factors, sizes, Path("runs/tables"))
    wishes, home = WISHES[world.name], Path("runs" if args.quick else ROOT) / "report"
    wishes = wishes[:: max(1, len(wishes) // sizes.wishes)] if sizes.wishes else wishes
    machine = timing.machine(loaded.generator.device)
    for number, wish in enumerate(in_turn(world, wishes)):
        if args.so_far:
            break
        run.wish(wish)
        if number == 2:  # early, so that a report made on the way has them
            run.reading(wishes)
        report.write(run, wishes, machine, home)
    print(report.write(run, wishes, machine, home))
    if world.name == "portraits" and not (args.quick or args.so_far):
        report.README.write_text(report.between(report.README.read_text(), report.short_table()))


if __name__ == "__main__":
    main()
