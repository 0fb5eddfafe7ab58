"""Exact truth about edits: a world knows every picture with one factor changed, and so what an edit should have done.

Made up for, over pictures: 1 - Σ min_s ‖X_s - X*‖² / Σ ‖X - X*‖², X* the generator's own picture of the latent with
that one factor changed, and X_s the edited pictures, one strength each (docs/method.md, "Locality and truth").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, islice

import numpy as np
import torch
from torch import Tensor

from panda_core.generators.split import Cut, Latents, SplitGenerator
from tools.worlds.world import World

FAR = 0.35  # how far a factor must be from its wished value, in u, for a picture to count


@dataclass(frozen=True)
class Wish:
    """One change of one factor: u, where 0 and 1 are the ends of its range."""

    name: str
    factor: str
    value: float


def ends_of(world: World, factor: str) -> tuple[Wish, Wish]:
    """The two ends of a factor as wishes; a thing is absent or there."""
    less, more = world.ends[factor]
    far = (0.1, 0.95) if factor in world.presence else (0.05, 0.9)
    return Wish(less, factor, far[0]), Wish(more, factor, far[1])


def wishes_of(world: World) -> dict[str, Wish]:
    """Words for either end of a factor -> the wish for it."""
    return {words: wish for factor in world.factor_names for words, wish in
            zip(world.ends[factor], ends_of(world, factor))}  # fmt: skip


def changed_latents(world: World, z: Tensor, wish: Wish) -> Tensor:
    """Latents of the same pictures with one factor set, [N, z_dim]; of rms 1.

    Factors are u = Φ(Mz) of a latent of rms 1, M orthonormal: one entry of Mz is set, and what is orthogonal to M is
    scaled so that the rms stays 1.
    """
    M = torch.from_numpy(world.directions(z.shape[1])).to(z)
    z = z * z.square().mean(dim=1, keepdim=True).rsqrt()
    inside = z @ M.t()
    rest = z - inside @ M
    inside[:, world.factor_names.index(wish.factor)] = torch.special.ndtri(torch.tensor(wish.value)).to(z)
    left = (z.shape[1] - inside.square().sum(dim=1, keepdim=True)).clamp_min(1e-3)
    return inside @ M + rest * (left / rest.square().sum(dim=1, keepdim=True)).sqrt()


def seeds_for(world: World, wish: Wish, z_dim: int, first: int, n: int) -> list[int]:
    """The first n seeds from `first` up whose pictures the wish would change."""
    number = world.factor_names.index(wish.factor)
    present = world.presence.get(wish.factor)

    def fits(seed: int) -> bool:
        z = torch.from_numpy(np.random.RandomState(seed).randn(1, z_dim).astype(np.float32))
        u = float(world.factors_of_latents(z)[0, number])
        return abs(u - wish.value) >= FAR if present is None else (u > present) != (wish.value > present)

    return list(islice(filter(fits, count(first)), n))


def joined(cuts: Sequence[Cut]) -> Cut:
    """Cuts at one layer side by side, to be drawn at once. What all share stays shared."""
    carry = {}
    for key in cuts[0].carry:
        held = [cut.carry[key] for cut in cuts]
        shared = all(len(x) == 1 for x in held) and all(torch.equal(held[0], x) for x in held)
        carry[key] = held[0] if shared else torch.cat(
            [x.expand(len(cut.features), *x.shape[1:]) for x, cut in zip(held, cuts)]
        )  # fmt: skip
    return Cut(torch.cat([cut.features for cut in cuts]), cuts[0].layer, carry)


@dataclass(frozen=True)
class Task:
    """A wish on some pictures: their cuts by layer, the pictures and what they should become, 1/shrink as large."""

    seeds: list[int]
    cuts: dict[int, Cut]
    before: Tensor  # [N, 3, h, w]
    wanted: Tensor
    shrink: int


@torch.inference_mode()
def make_task(
    world: World, generator: SplitGenerator, layers: list[int], wish: Wish, first: int = 0, n: int = 32, size: int = 64
) -> Task:
    """The wish on the first n seeds from `first` up that it would change, at ψ = 1, compared at `size` pixels."""
    shrink = generator.resolution // size
    seeds = seeds_for(world, wish, generator.z_dim, first, n)
    cuts, before, wanted = {layer: [] for layer in sorted(layers)}, [], []
    for i in range(0, n, 50):
        latents = generator.sample(seeds[i : i + 50], 1.0)
        cut = generator.start(latents)
        for layer, held in cuts.items():
            held.append(cut := generator.advance(cut, layer))
        before.append(generator.preview(cut, shrink))
        changed = Latents(changed_latents(world, latents.z, wish), 1.0)
        wanted.append(generator.preview(generator.start(changed), shrink))
    before, wanted = (torch.cat(pictures).clamp(-1, 1) for pictures in (before, wanted))
    for layer, held in cuts.items():
        cuts[layer] = joined(held)  # one after the other: of 1,000 pictures all are gigabytes
    return Task(seeds, cuts, before, wanted, shrink)


def squares(made: Tensor, wanted: Tensor) -> Tensor:
    """‖X - X*‖² of every picture, [N]."""
    return (made - wanted).square().flatten(1).sum(dim=1)


@torch.inference_mode()
def errors(generator: SplitGenerator, task: Task, layer: int, edits: Callable[[int, Tensor], Tensor]) -> Tensor:
    """‖X_s - X*‖² of every picture's edited versions, [N, n].

    edits: (row, features [1, C, H, W]) -> the edited features of that picture, [n, C, H, W].
    """
    rows = []
    for i in range(len(task.seeds)):
        cut = task.cuts[layer][i : i + 1]
        made = generator.preview(cut.with_features(edits(i, cut.features)), task.shrink).clamp(-1, 1)
        rows.append(squares(made, task.wanted[i]))
    return torch.stack(rows)


def made_up_for(task: Task, found: Tensor) -> float:
    """The share of the wanted change that the best version of each picture makes up for; found: errors, [N, n]."""
    before = squares(task.before, task.wanted)
    return float(1 - torch.minimum(found.amin(dim=1), before).sum() / before.sum())
