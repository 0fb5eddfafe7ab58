"""Masks of pictures by what is in them: a concept, its threshold, and pairs of picture and mask for many seeds."""

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from .images import mask_image, png_bytes, to_pil
from .progress import Cancelled, Progress
from .recipes import Recipe
from .rendering import Renderer

REACH = 3.0  # standard deviations that a threshold may be from the mean


@dataclass(frozen=True)
class ConceptMask:
    """Where a picture holds enough of an appearance: sign (a_jᵀZ - μ_j) / σ_j >= offset (I 4.1.2 with offset 0).

    μ_j = a_jᵀz̄ and σ_j, the standard deviation of a_jᵀz over samples and positions, are the factors'. sign: 1 is more
    than that, -1 less. rest: everything else instead.
    """

    appearance: int
    sign: int = 1
    offset: float = 0.0
    rest: bool = False

    def __post_init__(self) -> None:
        if type(self.appearance) is not int:
            raise ValueError(f"appearance is {self.appearance!r:.20}; it must be a whole number.")
        if self.sign not in (1, -1) or not isinstance(self.rest, bool):
            raise ValueError("A mask is of more (1) or less (-1) of an appearance; it keeps that, or the rest.")
        if type(self.offset) not in (int, float) or not -REACH <= self.offset <= REACH:  # NaN is in no range
            raise ValueError(f"threshold is {self.offset!r:.20}; it must be a number from {-REACH:g} to {REACH:g}.")

    def above(self, renderer: Renderer, recipe: Recipe, layer: int, factors_id: str) -> Tensor:
        """How far every cell of the layer's grid is above the threshold, in standard deviations: [1, S]."""
        factors = renderer.catalogue.factors(recipe.generator, factors_id)
        m = renderer.saliency(recipe, layer, factors_id, self.appearance) - factors.threshold(self.appearance)
        return self.sign * m / max(factors.alpha_anywhere(self.appearance), 1e-12) - self.offset

    def of(self, above: Tensor) -> Tensor:
        """The mask, as booleans, from `above` on the grid or enlarged to the picture."""
        return (above >= 0) != self.rest


def otsu_threshold(values: Tensor) -> float:
    """The threshold that parts values [n] into two groups which differ most from each other (Otsu 1979): n₀n₁(m₀ - m₁)²
    at its largest, halfway between the groups; of equal values that value."""
    ordered = values.flatten().double().sort().values
    sums, below = ordered.cumsum(0)[:-1], torch.arange(1, len(ordered), device=ordered.device)
    above = len(ordered) - below
    apart = below * above * (sums / below - (ordered.sum() - sums) / above).square()
    i = int(apart.argmax())
    return float(ordered[i : i + 2].mean())


def picture_masks(
    mask: ConceptMask,
    renderer: Renderer,
    recipe: Recipe,
    layer: int,
    factors_id: str,
    seeds: list[int],
    report: Callable[[Progress], bool],
) -> Iterator[tuple[Recipe, Tensor, Tensor]]:
    """(recipe, picture [1, 3, h, w], above [1, S]) of the same edits on other seeds.

    Raises: Cancelled once report(Progress) is False.
    """
    renderer = Renderer(renderer.catalogue, cached=2)  # so many heads would push out all that it keeps
    for i, seed in enumerate(seeds):
        if not report(Progress("Making pictures", i, len(seeds))):
            raise Cancelled
        there = replace(recipe, seed=seed, source=None)
        yield there, renderer.image(there), mask.above(renderer, there, layer, factors_id)


def write_pairs(path: Path, mask: ConceptMask, renderer: Renderer, recipe: Recipe, layer: int, *more) -> None:
    """A zip of <seed>.png and <seed>-mask.png, each with its recipe; arguments as for `picture_masks`."""
    with zipfile.ZipFile(path, "w") as file:  # stored: PNG files do not shrink
        for there, picture, above in picture_masks(mask, renderer, recipe, layer, *more):
            text = renderer.pin(there).to_json()
            shape = mask_image(mask.of(renderer.to_image_size(there, layer, above)[0]))
            file.writestr(f"{there.seed}.png", png_bytes(to_pil(picture)[0], text))
            file.writestr(f"{there.seed}-mask.png", png_bytes(shape, text))
