"""What edits do to a picture, measured on it: which named changes can be seen and where, what is left of a place, and
what colour it becomes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

from .colours import became, keeps_word, names_hue
from .factors import Factors
from .images import difference
from .method.parts import combine_parts
from .ops import Edit
from .popular import Change
from .recipes import Recipe
from .regions import Region
from .rendering import Renderer

SEEN = 0.02  # mean change in [-1, 1] units below which nothing visible happened
SHRINK, FINEST, LARGEST = 4, 64, 128  # a change is looked for in pictures of a quarter of the size, of so many pixels
CLEAR = 0.3  # standard deviations from the mean at which a thing counts as there, or not: hats and trees that
# are there were at 0.24 at most, bare heads at 0.38 at least (benchmarks.removal's clicks)
NEAR = 0.06  # of the picture's side: how far round a click counts as clicked
AIMED = 0.25  # of what it does where it does most, that a change must do where it was clicked
HERE = 0.2  # share of all that a change does that must be at a place for it to be offered there
TOUCHES = 0.25  # of the cells round a place that are background where it stands before that
LEADING = 24  # appearances among which the one that a place shows most of is looked for


def strongest(change: Tensor) -> float:
    """Mean over the fiftieth of a picture that changes most, which is about a mouth; change: [h, w]."""
    return float(change.flatten().topk(max(1, change.numel() // 50)).values.mean())


def around(at: tuple[float, float], size: Sequence[int]) -> Tensor:
    """A spot round a point (x, y), as shares of the picture's sides, [h, w] in [0, 1]."""
    y, x = ((torch.arange(n) + 0.5) / n for n in size)
    return torch.exp(-((x - at[0]).square() + (y - at[1]).square()[:, None]) / (2 * NEAR**2))


def alone(renderer: Renderer, recipe: Recipe, edits: Sequence[Edit], shrink: int) -> tuple[Tensor, Tensor]:
    """The picture with each of several edits of one layer and nothing else, [n, 3, h, w], and without any, [1, ...]."""
    off = replace(edits[0], on=False)
    images = renderer.variants(replace(recipe, edits=(off,)), 0, [off, *edits], shrink=shrink)
    return images[1:], images[:1]


# ---- named changes ----


@dataclass(frozen=True)
class Shown:
    """A change, and what it does to a picture: mean |after - before| over the channels, [h, w] in [-1, 1] units."""

    change: Change
    difference: Tensor

    @property
    def is_seen(self) -> bool:
        return strongest(self.difference) >= 2 * SEEN

    def amount(self, where: Tensor) -> float:
        """Mean change in a region, [h, w] in [0, 1]."""
        return float((self.difference * where).sum() / where.sum())

    def share(self, where: Tensor) -> float:
        """How much of what it does lies in a region, [h, w] in [0, 1]."""
        return float((self.difference * where).sum() / self.difference.sum().clamp_min(1e-6))


class SeenChanges:
    """What each of a generator's named changes (`popular`) does to one picture without its edits; drawn once."""

    def __init__(self, renderer: Renderer, recipe: Recipe, known: Sequence[Change]):
        self.renderer, self.plain = renderer, replace(recipe, edits=())
        self._scores: dict[tuple, list[float]] = {}
        made: dict[Edit, Tensor] = {}
        self._untrue: set[Edit] = set()  # "purple clothes" that become blue in this picture
        side = renderer.generator(recipe).resolution
        shrink = max(1, min(SHRINK, side // FINEST), side // LARGEST)
        for layer in dict.fromkeys(change.edit.layer for change in known):
            group = [change for change in known if change.edit.layer == layer]
            images, (without,) = alone(renderer, recipe, [change.edit for change in group], shrink)
            made |= dict(zip((change.edit for change in group), difference(images, without[None])))
            hues = [(c, X) for c, X in zip(group, images) if names_hue(c.name)]
            self._untrue |= {c.edit for c, X in hues if not keeps_word(c.name, colours_of_change(without, X)[1])}
        self.shown = [Shown(change, made[change.edit]) for change in known]

    def here(self, recipe: Recipe, where: Tensor, at: tuple[float, float] | None = None) -> list[Edit]:
        """Those that can be seen at a place, [h, w] in [0, 1], or are on there in the recipe: those first that act most
        there, or where it was clicked, `at`, an (x, y) in shares of the sides."""
        if not self.shown:
            return []
        size = self.shown[0].difference.shape
        where = clicked = interpolate(where[None, None], size, mode="area")[0, 0]
        shown = self.shown
        if at is not None:  # what can be seen elsewhere only is not what was meant
            clicked = around(at, size)
            shown = [s for s in shown if s.amount(clicked) >= max(SEEN, AIMED * strongest(s.difference))]
        found = [s for s in shown if (s.is_seen or recipe.has(s.change.edit)) and s.share(where) >= HERE]
        found = [s for s in found if not self.is_there(recipe, s.change.edit) and self.comes_true(recipe, s.change)]
        return [s.change.edit for s in sorted(found, key=lambda s: -s.share(clicked))]

    def is_there(self, recipe: Recipe, edit: Edit, clear: float = CLEAR) -> bool:
        """Whether the picture without edits is at this end already, of a thing that is there or is not ("no hat").

        clear: standard deviations from the mean at which it counts as such.
        """
        if recipe.has(edit):
            return False
        ends = (
            self.renderer.factors(recipe, edit).ends(edit.region.parts, edit.variation) if edit.op == "vary" else None
        )
        if ends is None or ("no " + ends.high != ends.low and "no " + ends.low != ends.high):
            return False
        where = edit.layer, edit.factors, edit.region
        if where not in self._scores:
            features = self.renderer.features(self.plain, edit.layer).features
            self._scores[where] = self.renderer.variations(self.plain, *where).scores(features)[0].tolist()
        return self._scores[where][edit.variation] * edit.strength > clear * abs(edit.strength)

    def comes_true(self, recipe: Recipe, change: Change) -> bool:
        """Whether the picture has what this changes, and it takes the hue that it is called after; or it is on."""
        return recipe.has(change.edit) or not (change.edit in self._untrue or self.lacks(recipe, change))

    def lacks(self, recipe: Recipe, change: Change) -> bool:
        """Whether what this changes ("blue hat") is a thing that the picture has not ("no hat")."""
        others = [s.change for s in self.shown if change.name not in (s.change.name, s.change.opposite)]
        gone = [c for c in others if c.name == f"no {c.opposite}"]
        return not recipe.has(change.edit) and any(
            f" {c.opposite} " in f" {change.name} " and self.is_there(recipe, c.edit, clear=0.0) for c in gone
        )

    def pairs(self, count: int) -> list[tuple[Change, bool]]:
        """Of each pair of opposites the change that shows more in the picture, and whether it can be seen; those that
        can be first."""
        pairs: dict[frozenset, list[Shown]] = {}
        for shown in self.shown:
            pairs.setdefault(frozenset({shown.change.name, shown.change.opposite}), []).append(shown)
        found = []
        for pair in list(pairs.values())[:count]:
            rows = [
                (s.change, s.is_seen and self.comes_true(self.plain, s.change), strongest(s.difference)) for s in pair
            ]
            found.append(max(rows, key=lambda row: row[1:])[:2])
        return sorted(found, key=lambda row: not row[1])


# ---- places ----


def most_changed_thing(renderer: Renderer, recipe: Recipe, index: int, layer: int, factors_id: str) -> tuple[int, ...]:
    """The thing, as parts of these factors, at which edit `index` does most: Σ|Δ|p̂ / √Σp̂ at its largest."""
    without = recipe.with_edit(index, replace(recipe.edits[index], on=False))
    done = difference(renderer.image(recipe), renderer.image(without))[0]

    def amount(thing: tuple[int, ...]) -> float:
        where = renderer.place_map(recipe, layer, Region(thing), factors_id)
        return float((done * where).sum() / where.sum().sqrt())

    return max(renderer.catalogue.factors(recipe.generator, factors_id).things, key=amount)


def region_on(renderer: Renderer, recipe: Recipe, layer: int, region: Region, factors_id: str, other: int) -> Tensor:
    """A region of one layer on the grid of another, [S] in [0, 1]."""
    shapes = renderer.generator(recipe).layers
    p = renderer.region(recipe, layer, region, factors_id)
    p = torch.ones(shapes[layer][1] * shapes[layer][2]) if p is None else p
    return interpolate(p.reshape(1, 1, *shapes[layer][1:]), shapes[other][1:], mode="bilinear").flatten()


def nearest_region(factors: Factors, p: Tensor) -> Region:
    """The parts that together have most in common with p̂ [S], Σ min / Σ max: each added while that grows."""

    def common(parts: tuple[int, ...]) -> float:
        other = combine_parts(factors.parts, parts).to(p)
        return float(torch.minimum(p, other).sum() / torch.maximum(p, other).sum())

    found, most = (), -1.0
    while more := {(*found, k): common((*found, k)) for k in range(factors.parts.shape[1]) if k not in found}:
        best = max(more, key=more.__getitem__)
        if more[best] <= most:
            break
        found, most = best, more[best]
    return Region(tuple(sorted(found)))


@torch.inference_mode()
def leading_appearance(renderer: Renderer, recipe: Recipe, layer: int, factors_id: str, region: Region) -> int:
    """The appearance of which there is more at a place of the edited picture than in the rest of it: the mean of
    [a_jᵀ(Z - z̄)]₊ there, less that of the rest, at its largest."""
    factors = renderer.catalogue.factors(recipe.generator, factors_id)
    Z = renderer.edited_features(recipe, layer).features.flatten(2)[0]  # [C, S]
    p = renderer.region(recipe, layer, region, factors_id)
    p = torch.ones_like(Z[0]) if p is None else p.to(Z)
    amounts = (factors.appearances[:, :LEADING].t().to(Z) @ (Z - factors.mean.to(Z)[:, None])).clamp_min(0)
    here, rest = (amounts @ q / q.sum().clamp_min(1e-6) for q in (p, 1 - p))
    return int((here - rest).argmax())


@torch.inference_mode()
def remains(
    renderer: Renderer, recipe: Recipe, edits: Sequence[Edit], layer: int, factors_id: str, p: Tensor,
    at: tuple[float, float] | None = None,
) -> dict[Edit, float]:  # fmt: skip
    """How much of a place is left after each edit alone, ‖m(Z') - b(Z')‖ / ‖m(Z) - b(Z)‖: m is the mean of the layer's
    features over p̂ [S], round the point `at` if one is given, b that of the picture's background. Our own measure, an
    order rather than a proof. Empty where no other place is background, or this one looks like it already."""
    try:
        cells = renderer.background_cells(recipe, layer, factors_id, p)
    except ValueError:
        return {}
    if at is not None:
        near = p * around(at, renderer.generator(recipe).layers[layer][1:]).flatten().to(p)
        p = near if near.max() > 0.01 else p  # parts of this grid, or refined ones, may end before the click

    def features(*edits: Edit) -> Tensor:
        return renderer.edited_features(replace(recipe, edits=edits), layer).features.flatten(2)[0]  # [C, S]

    def away(Z: Tensor, cells: Tensor) -> float:
        return float(((Z @ p.to(Z)) / p.sum().to(Z) - Z[:, cells].mean(dim=1)).norm())

    Z, beside = features(), renderer.background_cells(recipe, layer, factors_id, p)
    B = Z[:, beside]
    usual = float((B - B.mean(dim=1, keepdim=True)).norm(dim=0).median())
    if away(Z, beside) <= usual:  # no further from the background beside it than half of that is
        return {}
    before = away(Z, cells)
    return {edit: away(features(edit), cells) / before for edit in edits}


def touches_background(renderer: Renderer, recipe: Recipe, layer: int, factors_id: str, region: Region) -> bool:
    """Whether at least TOUCHES of the cells round a region are background: what stands before it is gone once it is
    covered with background, and a mouth covered with a wall is not."""
    p = renderer.region(recipe, layer, region, factors_id)
    if p is None:
        return False
    cells = renderer.background_cells(recipe, layer, factors_id, p)
    inside = (p >= 0.5 * float(p.max())).reshape(1, 1, *renderer.generator(recipe).layers[layer][1:]).float()
    ring = (max_pool2d(inside, 3, stride=1, padding=1) - inside).flatten().bool()
    return float(cells.to(ring.device)[ring].float().mean()) >= TOUCHES


def holds_background(renderer: Renderer, recipe: Recipe, layer: int, factors_id: str, region: Region) -> bool:
    """Whether a region holds as much of the background's appearance as background does, on average."""
    number, sign = renderer.background(recipe, layer, factors_id)
    p = renderer.region(recipe, layer, region, factors_id)
    amount = sign * renderer.saliency(recipe, layer, factors_id, number)[0]
    threshold = sign * renderer.catalogue.factors(recipe.generator, factors_id).threshold(number)
    return p is not None and float((amount @ p.to(amount)) / p.sum()) >= threshold


# ---- looks ----


def colours_of_change(before: Tensor, after: Tensor) -> tuple[list[float], list[float]]:
    """The mean colours, sRGB 0 to 255, before and after, of what changes most between two pictures [3, h, w]."""
    weight = difference(after[None], before[None])[0] ** 4 + 1e-9  # of what changes most, or of all
    first, second = (((1 + X.clamp(-1, 1)) * 127.5 * weight).sum(dim=(1, 2)) / weight.sum() for X in (before, after))
    return first.tolist(), second.tolist()


def new_colours(renderer: Renderer, recipe: Recipe, edits: Sequence[Edit]) -> list[str]:
    """What colour each of several edits of one layer, alone, makes of the places that it changes most, in words."""
    made, (without,) = alone(renderer, recipe, edits, shrink=2)
    return [became(*colours_of_change(without, X)) for X in made]


def most_striking(renderer: Renderer, recipe: Recipe, edits: Sequence[Edit]) -> Edit:
    """Of several edits of one layer the one that changes most of the picture."""
    return edits[int(difference(*alone(renderer, recipe, edits, shrink=2)).mean(dim=(1, 2)).argmax())]
