"""Recipes: a picture as data. One validator serves the page, the API, links and files."""

import json
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Self

from .ops import Edit, read_edit
from .origin import ORIGIN_READERS, Origin, origin_fields
from .reading import read_list, read_object, read_whole

VERSION = 2  # 2 brought the ops vary, transfer and remove
MAX_JSON = 65_536  # characters of a recipe
MAX_EDITS = 64


@dataclass(frozen=True)
class Recipe(Origin):
    """A picture and its edits."""

    edits: tuple[Edit, ...] = ()

    def sources(self) -> set[str]:
        """Ids of all own pictures in it, its edits' too."""
        origins = (self, *(edit.picture for edit in self.edits if edit.picture))
        return {origin.source for origin in origins if origin.source}

    def ordered(self) -> list[int]:
        """Numbers of the edits that are on, in the order they act: by layer, then as listed."""
        return sorted((i for i, e in enumerate(self.edits) if e.on), key=lambda i: self.edits[i].layer)

    def with_edit(self, index: int, edit: Edit) -> Self:
        return replace(self, edits=(*self.edits[:index], edit, *self.edits[index + 1 :]))

    def find_like(self, edit: Edit) -> int | None:
        """Number of the last edit that does this here too, however strong, from or to whichever other, on or off."""
        same = [i for i, other in enumerate(self.edits) if other.what_and_where() == edit.what_and_where()]
        return same[-1] if same else None

    def has(self, edit: Edit) -> bool:
        """Whether an edit like this is on: to the same side, from the same picture, to the same appearance."""
        like = self.find_like(edit)
        if like is None or not self.edits[like].on:
            return False
        there = self.edits[like]
        from_to = [(e.seed, e.picture, e.target) for e in (there, edit)]
        return there.size * edit.size > 0 and from_to[0] == from_to[1]

    def to_dict(self) -> dict[str, Any]:
        return {"v": VERSION} | self.origin_dict() | {"edits": _plain(self.edits)}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), separators=(",", ":"), allow_nan=False)


def parse_recipe(given: str | bytes | dict) -> Recipe:
    """Read a recipe of any version up to ours, checking everything.

    Raises: ValueError, one sentence that says what was given and what is accepted.
    """
    if isinstance(given, str | bytes):
        if len(given) > MAX_JSON:
            raise ValueError(f"The recipe is {len(given)} characters long; at most {MAX_JSON} are accepted.")
        given = _read_json(given)
    version = VERSION
    if isinstance(given, dict) and "v" in given:  # before the field names: a newer version may have others
        version = read_whole("v", given["v"], 1, 10**6)
        if version > VERSION:
            raise ValueError(f"The recipe has version {version}; this page reads up to {VERSION}.")

    def read_edits(what: str, rows: Any) -> tuple[Edit, ...]:
        rows = read_list(what, rows, 0, MAX_EDITS, f"a list of at most {MAX_EDITS} edits")
        return tuple(read_edit(f"edit {i}", row, version) for i, row in enumerate(rows, 1))

    readers = {"v": lambda what, given: given} | ORIGIN_READERS | {"edits": read_edits}
    found = read_object("the recipe", "", given, readers, {"v", "generator"})
    del found["v"]
    return Recipe(**origin_fields(found))


def _plain(value: Any) -> Any:
    """An edit, a region or a mask as JSON has it, without what is as it always is."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Origin):
        return value.origin_dict()
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
