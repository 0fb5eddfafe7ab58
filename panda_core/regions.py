"""Where an edit acts: parts, a drawn mask, or everywhere."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor

from .reading import read_list, read_object, read_text, read_whole, read_word, show

MAX_SIDE = 1_024  # cells of a mask's side
MAX_RLE = 24_000  # characters of a mask's run lengths


@dataclass(frozen=True)
class Mask:
    """A drawn region on a layer's grid: size (H, W) and run lengths, row by row, zeros first: "12,3,241"."""

    size: tuple[int, int]
    rle: str

    @classmethod
    def from_tensor(cls, mask: Tensor) -> Self:
        """The mask of [H, W]; whatever is at least 1/2 is in it."""
        flat = torch.cat([torch.zeros(1, dtype=torch.bool), (mask >= 0.5).flatten().cpu()])
        edges = torch.nonzero(flat[1:] != flat[:-1]).flatten().tolist()
        ends = [*edges, mask.numel()]
        runs = [b - a for a, b in zip([0, *ends], ends)]
        return cls((int(mask.shape[0]), int(mask.shape[1])), ",".join(map(str, runs)))

    def tensor(self) -> Tensor:
        """[H, W], 0.0 or 1.0."""
        runs = torch.tensor([int(n) for n in self.rle.split(",")])
        values = torch.arange(len(runs)) % 2
        return values.repeat_interleave(runs).float().reshape(self.size)


@dataclass(frozen=True)
class Region:
    """Where an edit acts: parts (refined to this picture or not, with a piece to keep), a drawn mask, or all."""

    parts: tuple[int, ...] = ()
    refine: str = "none"
    k: int = 32
    keep: Mask | None = None
    mask: Mask | None = None
    all: bool = False

    def as_learned(self) -> Self:
        """The same place by its parts as they were learned, for what refined ones are not for."""
        return replace(self, refine="none", k=32)


def parse_region(given: Any) -> Region:
    """Read one region of a recipe, checking everything.

    Raises: ValueError, as `parse_recipe`.
    """
    return read_region("region", given)


def read_region(where: str, given: Any) -> Region:
    kinds = _REGIONS.keys() & given if isinstance(given, dict) else set()
    if len(kinds) != 1:
        raise ValueError(f"{where} is {show(given)}; it must name one of parts, mask and all.")
    return Region(**read_object(where, f" in {where}", given, _REGIONS[min(kinds)], kinds))


def _parts(what: str, given: Any) -> tuple[int, ...]:
    read_list(what, given, 1, 256, "a list of 1 to 256 part numbers")
    numbers = tuple(read_whole(f"a part{what.removeprefix('parts')}", part, 0, 65_535) for part in given)
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{what} is {show(given)}; it must name each part once.")
    return numbers


def _mask(where: str, given: Any) -> Mask:
    mask = Mask(**read_object(where, f" of {where}", given, _MASK, {"size", "rle"}))
    covered, (height, width) = sum(int(n) for n in mask.rle.split(",")), mask.size
    if covered != height * width:
        raise ValueError(f"rle of {where} covers {covered} cells; a {height} x {width} mask has {height * width}.")
    return mask


def _size(what: str, given: Any) -> tuple[int, int]:
    height, width = read_list(what, given, 2, 2, "[height, width]")
    return read_whole(what, height, 1, MAX_SIDE), read_whole(what, width, 1, MAX_SIDE)


_REGIONS = {
    "parts": {
        "parts": _parts,
        "refine": lambda what, given: read_word(what, given, "none", "dense", "graph"),
        "k": partial(read_whole, low=1, high=65_535),
        "keep": _mask,
    },
    "mask": {"mask": _mask},
    "all": {"all": lambda what, given: read_word(what, given, True)},
}
_MASK = {
    "size": _size,
    "rle": partial(read_text, pattern=r"(?a)\d{1,7}(,\d{1,7})*", wanted="run lengths such as '12,3,241'", most=MAX_RLE),
}
