"""What every method of the tables is: it learns once, then names edits of any strength for a wished change."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from panda_core.factors import Factors
from panda_core.generators.split import Cut, SplitGenerator
from panda_core.method.parts import combine_parts
from tools.truth import Task

LEARNED_ON = 30_000  # the first seed that methods learn from, away from those that edits are chosen or reported on


@dataclass(frozen=True)
class Ground:
    """What all methods may learn from, none of it labelled: the generator and its bundled factors by layer.

    pictures: how many pictures a method that differentiates the generator may do so at. shrink: pictures are compared
    at 1/shrink of their size.
    """

    generator: SplitGenerator
    factors: Mapping[int, Factors]
    pictures: int
    shrink: int

    @cached_property
    def w(self) -> Tensor:
        """w of 10,000 seeds, [N, w_dim], at ψ = 1."""
        return self.generator.styles(self.generator.sample(range(LEARNED_ON, LEARNED_ON + 10_000), 1.0))[:, 0]

    def cuts(self, n: int, layer: int) -> Cut:
        return self.generator.head(self.generator.sample(range(LEARNED_ON, LEARNED_ON + n), 1.0), layer)

    @cached_property
    def jacobians(self) -> Tensor:
        """∂ picture / ∂ w of a few pictures, by central differences of 0.1 in all layers alike, [N, 3, h, w, w_dim]."""
        found, cuts = [], self.cuts(self.pictures, 0)
        for i in range(self.pictures):
            columns = []
            for step in (0.1 * torch.eye(self.w.shape[1])).split(16):
                edit = along_each_style(torch.cat([step, -step]))
                made = self.generator.preview(edit(cuts[i : i + 1]), self.shrink)
                columns.append((made[: len(step)] - made[len(step) :]) / 0.2)
            found.append(torch.cat(columns).permute(1, 2, 3, 0))
        return torch.stack(found)

    def gram(self, weight: Tensor) -> Tensor:
        """Mean over pictures of JᵀJ, J restricted to a region by weights [h, w]; [w_dim, w_dim] in float64."""
        J = (self.jacobians * weight[..., None]).flatten(0, 3).double()
        return J.t() @ J / self.pictures

    @cached_property
    def last(self) -> int:
        """The first layer that no longer counts in pictures of this size."""
        return max(self.generator.layers) - 2 * (self.shrink.bit_length() - 1)


@dataclass(frozen=True)
class Aim:
    """A wished change, on the pictures that its edit is chosen on. Every method is told the same.

    differs: how much the wanted pictures differ from those there are, on average, [h, w]. region: where at least half
    as many of them differ as do anywhere, [h, w] in {0, 1}.
    """

    task: Task
    differs: Tensor
    region: Tensor

    @classmethod
    def of(cls, task: Task) -> "Aim":
        often = changed(task).mean(dim=0)
        return cls(task, (task.wanted - task.before).abs().amax(dim=1).mean(dim=0), (often >= often.max() / 2).float())


def changed(task: Task) -> Tensor:
    """M of every picture: where the wanted one differs by more than a twentieth of the range, [N, h, w] in {0, 1}."""
    return ((task.wanted - task.before).abs().amax(dim=1) > 0.1).float()


@dataclass(frozen=True)
class Candidate:
    """One edit of any strength: edit(cut of one picture at `layer`, strengths [n]) -> the cut of its n edits.

    reach: a large strength, in whatever unit the method has.
    """

    words: str
    layer: int
    edit: Callable[[Cut, Tensor], Cut]
    reach: float = 4.0


Candidates = Callable[[Aim], Iterator[Candidate]]


def of_features(edit: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Cut, Tensor], Cut]:
    """An edit of Z alone as one of cuts: (Z [1, C, H, W], strengths [n]) -> [n, C, H, W]."""
    return lambda cut, strengths: cut.with_features(edit(cut.features, strengths))


def along_styles(v: Tensor, first: int, last: int | None) -> Callable[[Cut, Tensor], Cut]:
    """w + s v in the layers first to last - 1; v [w_dim]."""

    return lambda cut, strengths: along_each_style(strengths[:, None] * v, first, last)(cut)


def along_each_style(steps: Tensor, first: int = 0, last: int | None = None) -> Callable[[Cut], Cut]:
    """w plus each of these steps, [n, w_dim], in the layers first to last - 1: a cut of one picture -> of n."""

    def edit(cut: Cut) -> Cut:
        ws = cut.carry["ws"].repeat(len(steps), 1, 1)
        ws[:, first:last] += steps[:, None].to(ws)
        return replace(cut, features=cut.features.expand(len(ws), -1, -1, -1), carry={**cut.carry, "ws": ws})

    return edit


def in_deviations(v: Tensor, w: Tensor) -> Tensor:
    """A direction as long as one standard deviation of w along it, [w_dim]."""
    v = v / v.norm()
    return v * (w @ v).std()


def in_quarters(v: Tensor, w: Tensor) -> Tensor:
    """A direction as long as a quarter of w's own spread: where w hardly varies along it, deviations would be tiny."""
    return v / v.norm() * w.std(dim=0).norm() / 4


def ranges(ground: Ground) -> tuple[tuple[int, int | None], ...]:
    """Layers that a direction in w is applied to: all; those up to 8 x 8 cells; the later ones."""
    middle = next(l for l, (_, height, _) in ground.generator.layers.items() if height > 8)
    return (0, None), (0, middle), (middle, None)


def directions_as_candidates(ground: Ground, V: Tensor, words: str, unit=in_quarters) -> Iterator[Candidate]:
    """Directions in w, the columns of V [w_dim, n], each in all ranges of layers."""
    for number, v in enumerate(V.t()):
        for first, last in ranges(ground):
            name = f"{words} {number + 1}, layers {first} to {'the last' if last is None else last - 1}"
            yield Candidate(name, first, along_styles(unit(v, ground.w), first, last))


def by_overlap(factors: Factors, regions: list[tuple[int, ...]], differs: Tensor) -> list[tuple[int, ...]]:
    """Regions of parts, those first that cover best what differs, [h, w]; as a share of their own size's root."""
    shape = factors.info.height, factors.info.width
    small = F.interpolate(differs[None, None], shape, mode="area").flatten()

    def overlap(parts: tuple[int, ...]) -> float:
        p = combine_parts(factors.parts, parts)
        return float(p @ small / p.sum().sqrt())

    return sorted(regions, key=overlap, reverse=True)


def single_parts(factors: Factors, differs: Tensor) -> list[int]:
    """Part numbers, those first that cover best what differs."""
    return [k for (k,) in by_overlap(factors, [(k,) for k in range(factors.parts.shape[1])], differs)]
