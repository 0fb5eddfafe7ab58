"""Ops: what one edit can be. To add one, add its row to OPS (and to the page the tab that makes it).

A row says which fields an edit of it has, within which bounds, how it acts on features, what its slider moves, and its
words in a list. Validator, page, API, command line and links all go by this table.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, Self

from torch import Tensor

from .factors import Factors
from .method.editing import add_appearance, cover, transfer
from .method.rewriting import rewrite_concept
from .method.variations import vary
from .origin import NAME, Origin, read_origin
from .reading import Reader, read_number, read_object, read_text, read_whole, read_word
from .regions import Region, read_region

_FACTORS_ID = re.compile(
    r"bundled:[\w.+-]{1,100}|local:[0-9a-f]{12,64}|hub:[\w.-]{1,96}/[\w.-]{1,96}@[\w.-]{1,64}/[\w./+-]{1,200}"
    r"|fit:\d{1,3},\d{1,5},\d{1,5},(\d{1,6}|auto),\d{1,10},\d(\.\d{1,4})?,(all|\d{1,6})",
    re.ASCII,
)


@dataclass(frozen=True)
class Edit:
    """One edit; which of the fields from `appearance` to `share` it has is for its op to say, the others are None.

    strength: in the op's unit; alpha: in feature units instead; share: of the way, 0 to 1.
    """

    op: str
    layer: int
    factors: str
    region: Region
    appearance: int | None = None
    source: int | None = None
    target: int | None = None
    variation: int | None = None
    seed: int | None = None
    picture: Origin | None = None
    strength: float | None = None
    alpha: float | None = None
    share: float | None = None
    on: bool = True

    @property
    def size(self) -> float:
        """What its slider moves: strength, alpha or share."""
        return next(value for value in (self.strength, self.alpha, self.share) if value is not None)

    def with_size(self, size: float) -> Self:
        """The same edit, so strong; a raw alpha becomes a strength."""
        moved = next(iter(OPS[self.op].sizes))
        return replace(self, **{"strength": None, "alpha": None, "share": None, moved: size})

    def what_and_where(self) -> Self:
        """What stays of it when its slider moves it, it is switched, or it takes from or becomes something else."""
        return replace(self, strength=None, alpha=None, share=None, seed=None, picture=None, target=None, on=True)


class Place(Protocol):
    """Where an edit acts, and what an op may ask for there; nothing is looked up or drawn before it is asked for."""

    factors: Factors

    def region(self) -> Tensor:
        """p̂, [S] in [0, 1]; ones for everywhere."""

    def variation(self) -> Tensor:
        """E of the edit's variation, [C, S]."""

    def other_features(self) -> Tensor:
        """Z of the other picture at this layer, [1, C, H, W]."""

    def background_cells(self) -> Tensor:
        """Cells of this picture outside the region that are background, [S] booleans."""


@dataclass(frozen=True)
class Op:
    """One row of the table.

    fields: what an edit of it has besides region and size; sizes: the fields that say how much, one of which it has;
    the first is what its slider moves. slider: (lowest, highest, step, where it begins). words: of an edit, for a list.
    check: what else must hold, as a sentence that completes "edit 3 ...". since: the recipe's version that brought it.
    """

    fields: Mapping[str, Reader]
    sizes: Mapping[str, Reader]
    apply: Callable[[Tensor, Edit, Place], Tensor]
    slider: tuple[float, float, float, float]
    unit: str
    words: Callable[[Edit, Factors], str]
    optional: frozenset[str] = frozenset()
    check: Callable[[dict[str, Any]], str | None] = lambda found: None
    since: int = 1


def unit_alpha(edit: Edit, factors: Factors) -> float:
    """α of an `add` in feature units: its own, or its strength times what one unit is at its region.

    One learned part has its own unit, refined or with a kept piece too, so that neither changes how much is added.
    """
    if edit.alpha is not None:
        return edit.alpha
    if len(edit.region.parts) == 1:
        return edit.strength * factors.alpha_at_part(edit.appearance, edit.region.parts[0])
    return edit.strength * factors.alpha_anywhere(edit.appearance)


def _add(features: Tensor, edit: Edit, place: Place) -> Tensor:
    place.factors.check_choice(edit.appearance, [])
    a = place.factors.appearances[:, edit.appearance]
    return add_appearance(features, a, place.region(), unit_alpha(edit, place.factors))


def _rewrite(features: Tensor, edit: Edit, place: Place) -> Tensor:
    for number in (edit.source, edit.target):
        place.factors.check_choice(number, [])
    A = place.factors.appearances
    alpha = edit.strength if edit.alpha is None else edit.alpha
    region = None if edit.region.all else place.region()
    return rewrite_concept(features, A[:, edit.source], A[:, edit.target], alpha, region)


def _vary(features: Tensor, edit: Edit, place: Place) -> Tensor:
    return vary(features, place.variation(), edit.strength)


def _transfer(features: Tensor, edit: Edit, place: Place) -> Tensor:
    return transfer(features, place.other_features(), place.region(), edit.share)


def _remove(features: Tensor, edit: Edit, place: Place) -> Tensor:
    return cover(features, place.background_cells(), place.region(), edit.strength)


def _where(edit: Edit, factors: Factors) -> str:
    region = edit.region
    if region.all:
        return "everywhere"
    return "painted area" if region.mask is not None else factors.region_name(region.parts)


def _add_words(edit: Edit, factors: Factors) -> str:
    return f"{_where(edit, factors)}: {factors.appearance_name(edit.appearance)}"


def _rewrite_words(edit: Edit, factors: Factors) -> str:
    names = factors.info.appearance_names
    source, target = names.get(edit.source, "what is here"), names.get(edit.target, "something else")
    return f"{_where(edit, factors)}: {source} becomes {target}"


def _vary_words(edit: Edit, factors: Factors) -> str:
    ends = factors.ends(edit.region.parts, edit.variation)
    if ends is None:
        return f"{_where(edit, factors)}: variation {edit.variation}"
    return ends.low if edit.strength < 0 else ends.high


def _transfer_words(edit: Edit, factors: Factors) -> str:
    return f"{_where(edit, factors)}: as in picture {edit.picture.seed if edit.picture else edit.seed}"


def _remove_words(edit: Edit, factors: Factors) -> str:
    return f"{_where(edit, factors)}: covered"


def _must_differ(found: dict[str, Any]) -> str | None:
    same = found["source"] == found["target"]
    return f"has {found['source']} as source and as target; they must differ" if same else None


def _as_learned(found: dict[str, Any]) -> str | None:
    refined = found["region"].refine != "none"
    return "varies refined parts; variations are those of parts as learned" if refined else None


def _one_picture(found: dict[str, Any]) -> str | None:
    wrong = ("seed" in found) == ("picture" in found)
    return f"has {'both' if 'seed' in found else 'neither'}; it takes seed or picture" if wrong else None


_number = partial(read_whole, low=0, high=65_535)
_units = partial(read_number, low=-100, high=100)
_SIZES = {"strength": _units, "alpha": partial(read_number, low=-1e6, high=1e6)}
OPS: dict[str, Op] = {
    "add": Op(  # an appearance at a region (I 3.3)
        fields={"appearance": _number},
        sizes=_SIZES,
        apply=_add,
        slider=(-4.0, 4.0, 0.1, 2.0),
        unit="standard deviations of this appearance here",
        words=_add_words,
    ),
    "rewrite": Op(  # one appearance by another (II Eqs. 14-16)
        fields={"source": _number, "target": _number},
        sizes=_SIZES,
        apply=_rewrite,
        slider=(0.0, 4.0, 0.05, 1.0),
        unit="of the new for one of the old",
        words=_rewrite_words,
        check=_must_differ,
    ),
    "vary": Op(  # a region along one of its variations (ours)
        fields={"variation": _number},
        sizes={"strength": _units},
        apply=_vary,
        slider=(-4.0, 4.0, 0.1, 3.0),
        unit="standard deviations of what varies here",
        words=_vary_words,
        check=_as_learned,
        since=2,
    ),
    "transfer": Op(  # a region's features from another picture (ours)
        fields={"seed": partial(read_whole, low=0, high=2**32 - 1), "picture": read_origin},
        optional=frozenset({"seed", "picture"}),
        sizes={"share": partial(read_number, low=0, high=1)},
        apply=_transfer,
        slider=(0.0, 1.0, 0.02, 1.0),
        unit="of the way to the other picture",
        words=_transfer_words,
        check=_one_picture,
        since=2,
    ),
    "remove": Op(  # a region's mean features become the background's (derived from I 4.1.1)
        fields={},
        sizes={"strength": partial(read_number, low=0, high=10)},
        apply=_remove,
        slider=(0.0, 2.0, 0.05, 1.0),
        unit="of the way to the background",
        words=_remove_words,
        since=2,
    ),
}


_COMMON = {
    "op": lambda what, given: given,
    "layer": partial(read_whole, low=0, high=99),
    "factors": partial(read_text, pattern=_FACTORS_ID, wanted=NAME),
    "region": read_region,
    "on": lambda what, given: read_word(what, given, True, False),
}


def read_edit(where: str, given: Any, version: int) -> Edit:
    """One edit of a recipe of this version, with everything checked.

    Raises: ValueError, one sentence.
    """
    known = [name for name, op in OPS.items() if op.since <= version]
    name = read_word(f"op of {where}", given.get("op"), *known) if isinstance(given, dict) else known[0]
    op = OPS[name]
    needed = {"op", "layer", "factors", "region"} | (set(op.fields) - op.optional)
    found = read_object(where, f" of {where}", given, _COMMON | op.fields | op.sizes, needed)
    held = [size for size in op.sizes if size in found]
    if len(held) != 1:
        raise ValueError(f"{where} has {'both' if held else 'neither'}; it takes {' or '.join(op.sizes)}.")
    if mistake := op.check(found):
        raise ValueError(f"{where} {mistake}.")
    return Edit(**found)
