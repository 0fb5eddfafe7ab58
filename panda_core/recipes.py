"""Recipes: a picture as data. One validator serves the page, the API, links and files."""

import base64
import binascii
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor

VERSION = 1
MAX_JSON = 65_536  # characters of a recipe
MAX_LINK = 8_000  # characters of a link's parameter
MAX_EDITS = 64
MAX_SIDE = 1_024  # cells of a mask's side
MAX_RLE = 24_000  # characters of a mask's run lengths
_FACTORS_ID = re.compile(
    r"bundled:[\w.+-]{1,100}|local:[0-9a-f]{12,64}|hub:[\w.-]{1,96}/[\w.-]{1,96}@[\w.-]{1,64}/[\w./+-]{1,200}"
    r"|fit:\d{1,3},\d{1,5},\d{1,5},(\d{1,6}|auto),\d{1,10},\d(\.\d{1,4})?,(all|\d{1,6})",
    re.ASCII,
)
# A listed name, owner/name or owner/name/file on the Hub, a file here. Whether what is not listed may be looked for is
# for the catalogue to say: nothing is by reading a recipe.
_GENERATOR = re.compile(r"[\w.-]{1,100}|\w[\w.-]{0,95}(/\w[\w.+-]{0,99}){1,5}|file:[^\x00-\x1f\x7f]{1,300}")
# What most recipes hold, so that a link need not say it; part of version 1 and never to be changed.
_ZDICT = (
    b'"keep":{"size":[],"rle":""}"all":true"alpha":"refine":"graph","dense","k":32'
    b'{"v":1,"generator":"portraits","weights":"","class":null,"seed":0,"psi":0.8,"edits":[{"op":"rewrite","layer":5,'
    b'"factors":"bundled:l5-call-psi0.8-","region":{"mask":{"size":[16,16],"rle":""}},"source":0,"target":1,'
    b'"strength":1.0,"on":true},{"op":"add","layer":5,"factors":"bundled:l5-call-psi0.8-512x8","region":{"parts":[1]},'
    b'"appearance":0,"strength":2.0,"on":true}]}'
)


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


@dataclass(frozen=True)
class Edit:
    """One edit. op "add" uses `appearance`; "rewrite" replaces `source` by `target`.

    Its size is `strength` in units (contracts: Strength) or `alpha` in feature units; one of the two is None.
    """

    op: str
    layer: int
    factors: str
    region: Region
    appearance: int | None = None
    source: int | None = None
    target: int | None = None
    strength: float | None = None
    alpha: float | None = None
    on: bool = True

    def with_strength(self, strength: float) -> Self:
        return replace(self, strength=strength, alpha=None)

    def scaled(self, times: float) -> Self:
        """As many times as strong."""
        sizes = {"strength": self.strength, "alpha": self.alpha}
        return replace(self, **{key: size and round(times * size, 5) for key, size in sizes.items()})


@dataclass(frozen=True)
class Recipe:
    """A picture and its edits. weights: the generator's hash, or None where any weights will do."""

    generator: str = "portraits"
    weights: str | None = None
    class_index: int | None = None
    seed: int = 0
    psi: float = 0.8
    edits: tuple[Edit, ...] = ()

    def ordered(self) -> list[int]:
        """Numbers of the edits that are on, in the order they act: by layer, then as listed."""
        return sorted((i for i, e in enumerate(self.edits) if e.on), key=lambda i: self.edits[i].layer)

    def with_edit(self, index: int, edit: Edit) -> Self:
        return replace(self, edits=(*self.edits[:index], edit, *self.edits[index + 1 :]))

    def to_dict(self) -> dict[str, Any]:
        head = {"v": VERSION, "generator": self.generator, "weights": self.weights, "class": self.class_index}
        return head | {"seed": self.seed, "psi": self.psi, "edits": _plain(self.edits)}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), separators=(",", ":"), allow_nan=False)


def parse_recipe(given: str | bytes | dict) -> Recipe:
    """Read a recipe, checking everything.

    Raises: ValueError, one sentence that says what was given and what is accepted.
    """
    if isinstance(given, str | bytes):
        if len(given) > MAX_JSON:
            raise ValueError(f"The recipe is {len(given)} characters long; at most {MAX_JSON} are accepted.")
        given = _read_json(given)
    if isinstance(given, dict) and "v" in given:  # before the field names: a newer version may have others
        version = _whole("v", given["v"], 1, 10**6)
        if version > VERSION:
            raise ValueError(f"The recipe has version {version}; this page reads up to {VERSION}.")
    found = _read("the recipe", "", given, _RECIPE, {"v", "generator"})
    return Recipe(**{_RENAMED.get(key, key): value for key, value in found.items() if key != "v"})


def parse_region(given: Any) -> Region:
    """Read one region of a recipe, checking everything.

    Raises: ValueError, as `parse_recipe`.
    """
    return _region("region", given)


def encode_link(recipe: Recipe) -> str:
    """The recipe as the value of a link's `r` parameter: JSON, deflated, base64url.

    Raises: ValueError if factors exist only on this machine, or the recipe is too long for a link.
    """
    if any(e.factors.startswith("local:") for e in recipe.edits):
        raise ValueError("An edit uses factors that exist only here; download the recipe and its factors instead.")
    if recipe.generator.startswith("file:"):
        raise ValueError("The generator is a file that exists only here; links need one that is listed or on the Hub.")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=_ZDICT)
    data = packer.compress(recipe.to_json().encode()) + packer.flush()
    link = "1" + base64.urlsafe_b64encode(data).decode().rstrip("=")
    if len(link) > MAX_LINK:
        raise ValueError(f"The link would be {len(link)} characters long, of at most {MAX_LINK}; download it instead.")
    return link


def decode_link(text: str) -> Recipe:
    """What `encode_link` made; the result has passed the validator.

    Raises: ValueError in one sentence, whatever the text is; never unpacks more than a recipe may hold.
    """
    if not isinstance(text, str) or not 2 <= len(text) <= MAX_LINK:
        size = f"{len(text)} characters long" if isinstance(text, str) else _show(text)
        raise ValueError(f"The link is {size}; links have 2 to {MAX_LINK} characters.")
    if text[0] != "1":
        raise ValueError("The link is damaged, or made by another version of this page.")
    try:
        data = base64.b64decode(text[1:] + "=" * (-len(text[1:]) % 4), altchars=b"-_", validate=True)
        unpacker = zlib.decompressobj(-15, zdict=_ZDICT)
        plain = unpacker.decompress(data, MAX_JSON)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise ValueError("The link is damaged; it must be copied whole.") from error
    if not unpacker.eof:
        raise ValueError("The link is damaged or holds more than a recipe; it must be copied whole.")
    return parse_recipe(plain)


def _plain(value: Any) -> Any:
    """An edit, a region or a mask as JSON has it, without what is as it always is."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if not is_dataclass(value):
        return value
    held = [(field.name, getattr(value, field.name), field.default) for field in fields(value)]
    return {name: _plain(item) for name, item, default in held if item != default or name == "on"}


def _read_json(text: str | bytes) -> Any:
    def no_constant(name: str):
        raise ValueError(f"The recipe holds {name}; numbers must be finite.")

    def no_twins(pairs: list[tuple[str, Any]]) -> dict:
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError("The recipe names a field twice.")
        return dict(pairs)

    def no_giants(digits: str) -> int:
        if len(digits) > 40:
            raise ValueError(f"The recipe holds a number of {len(digits)} digits; none needs more than 10.")
        return int(digits)

    try:
        return json.loads(text, parse_constant=no_constant, parse_int=no_giants, object_pairs_hook=no_twins)
    except json.JSONDecodeError as error:
        raise ValueError(f"The recipe is not JSON: {error}.") from error
    except UnicodeDecodeError as error:
        raise ValueError("The recipe is not UTF-8 text.") from error
    except RecursionError as error:
        raise ValueError("The recipe is nested too deeply; a recipe has five levels.") from error


def _read(where: str, behind: str, given: Any, readers: dict[str, Callable], needed: set[str]) -> dict[str, Any]:
    """The fields of an object that are there, each through its reader(what it is called, value).

    where: what the object is called; behind: what stands behind a field's name to say where it is.
    """
    if not isinstance(given, dict):
        raise ValueError(f"{where} is {_show(given)}; it must be an object with {', '.join(sorted(needed))}.")
    unknown = [key for key in given if key not in readers]
    if unknown:
        raise ValueError(f"{where} has a field {_show(unknown[0])}; it takes {', '.join(sorted(readers))}.")
    missing = sorted(needed - set(given))
    if missing:
        raise ValueError(f"{where} lacks {', '.join(missing)}.")
    return {key: read(key + behind, given[key]) for key, read in readers.items() if key in given}


def _edits(what: str, given: Any) -> tuple[Edit, ...]:
    rows = _list(what, given, 0, MAX_EDITS, f"a list of at most {MAX_EDITS} edits")
    return tuple(_edit(f"edit {i}", row) for i, row in enumerate(rows, 1))


def _edit(where: str, given: Any) -> Edit:
    op = _word(f"op of {where}", given.get("op"), *_NUMBERS) if isinstance(given, dict) else "add"
    numbers = dict.fromkeys(_NUMBERS[op], partial(_whole, low=0, high=65_535))
    found = _read(where, f" of {where}", given, _EDIT | numbers, {"op", "layer", "factors", "region", *numbers})
    if ("strength" in found) == ("alpha" in found):
        raise ValueError(f"{where} has {'both' if 'alpha' in found else 'neither'}; it takes strength or alpha.")
    if op == "rewrite" and found["source"] == found["target"]:
        raise ValueError(f"source and target of {where} are both {found['source']}; they must differ.")
    return Edit(**found)


def _region(where: str, given: Any) -> Region:
    kinds = _REGIONS.keys() & given if isinstance(given, dict) else set()
    if len(kinds) != 1:
        raise ValueError(f"{where} is {_show(given)}; it must name one of parts, mask and all.")
    return Region(**_read(where, f" in {where}", given, _REGIONS[min(kinds)], kinds))


def _parts(what: str, given: Any) -> tuple[int, ...]:
    _list(what, given, 1, 256, "a list of 1 to 256 part numbers")
    numbers = tuple(_whole(f"a part{what.removeprefix('parts')}", part, 0, 65_535) for part in given)
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{what} is {_show(given)}; it must name each part once.")
    return numbers


def _mask(where: str, given: Any) -> Mask:
    mask = Mask(**_read(where, f" of {where}", given, _MASK, {"size", "rle"}))
    covered, (height, width) = sum(int(n) for n in mask.rle.split(",")), mask.size
    if covered != height * width:
        raise ValueError(f"rle of {where} covers {covered} cells; a {height} x {width} mask has {height * width}.")
    return mask


def _size(what: str, given: Any) -> tuple[int, int]:
    height, width = _list(what, given, 2, 2, "[height, width]")
    return _whole(what, height, 1, MAX_SIDE), _whole(what, width, 1, MAX_SIDE)


def _list(what: str, given: Any, low: int, high: int, wanted: str) -> list:
    if not isinstance(given, list) or not low <= len(given) <= high:
        raise ValueError(f"{what} is {_show(given)}; it must be {wanted}.")
    return given


def _whole(what: str, given: Any, low: int, high: int) -> int:
    if type(given) is not int or not low <= given <= high:  # not isinstance: True is an int
        raise ValueError(f"{what} is {_show(given)}; it must be a whole number from {low} to {high}.")
    return given


def _number(what: str, given: Any, low: float, high: float) -> float:
    if type(given) not in (int, float) or not low <= given <= high:  # NaN is in no range
        raise ValueError(f"{what} is {_show(given)}; it must be a number from {low:g} to {high:g}.")
    return float(given)


def _text(what: str, given: Any, pattern: str | re.Pattern, wanted: str, most: int = 500) -> str:
    if not isinstance(given, str) or len(given) > most or not re.fullmatch(pattern, given):
        raise ValueError(f"{what} is {_show(given)}; it must be {wanted}.")
    return given


def _word(what: str, given: Any, *words: str | bool) -> Any:
    if not any(type(given) is type(word) and given == word for word in words):  # 1 == True
        raise ValueError(f"{what} is {_show(given)}; it must be {' or '.join(map(_show, words))}.")
    return given


def _or_null(reader: Callable) -> Callable:
    return lambda what, given: None if given is None else reader(what, given)


def _show(given: Any) -> str:
    """A short look at a value, whatever it is; the whole of a long one is never built."""
    if isinstance(given, str):
        return repr(given if len(given) <= 40 else given[:40] + "…")
    if isinstance(given, list | dict):
        return f"{'a list' if isinstance(given, list) else 'an object'} of {len(given)}"
    if type(given) is int and abs(given) >= 10**18:
        return "a huge number"
    if given is None or isinstance(given, bool | int | float):
        return "null" if given is None else str(given).lower()
    return f"a {type(given).__name__}"


# What an object may hold, and who reads it.
_NAME = "a name as in 'portraits' or 'bundled:l5-call-psi0.8-512x8'"
_HASH = "a generator's hash of 12 hex digits, or null"
_RECIPE = {
    "v": lambda what, given: given,
    "generator": partial(_text, pattern=_GENERATOR, wanted=_NAME),
    "weights": _or_null(partial(_text, pattern=r"[0-9a-f]{12}", wanted=_HASH)),
    "class": _or_null(partial(_whole, low=0, high=999_999)),
    "seed": partial(_whole, low=0, high=2**32 - 1),
    "psi": partial(_number, low=0, high=2),
    "edits": _edits,
}
_RENAMED = {"class": "class_index"}  # `class` cannot name a field in Python
_NUMBERS = {"add": ("appearance",), "rewrite": ("source", "target")}
_EDIT = {
    "op": lambda what, given: given,
    "layer": partial(_whole, low=0, high=99),
    "factors": partial(_text, pattern=_FACTORS_ID, wanted=_NAME),
    "region": _region,
    "strength": partial(_number, low=-100, high=100),
    "alpha": partial(_number, low=-1e6, high=1e6),
    "on": lambda what, given: _word(what, given, True, False),
}
_REGIONS = {
    "parts": {
        "parts": _parts,
        "refine": lambda what, given: _word(what, given, "none", "dense", "graph"),
        "k": partial(_whole, low=1, high=65_535),
        "keep": _mask,
    },
    "mask": {"mask": _mask},
    "all": {"all": lambda what, given: _word(what, given, True)},
}
_MASK = {
    "size": _size,
    "rle": partial(_text, pattern=r"(?a)\d{1,7}(,\d{1,7})*", wanted="run lengths such as '12,3,241'", most=MAX_RLE),
}
