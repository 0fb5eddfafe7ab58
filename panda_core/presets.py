"""Presets: edits with a name, "smile" or "glasses off", that ship with a generator."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .generators.registry import find_spec
from .recipes import Edit, parse_recipe

MAX_FILE = 1_000_000  # bytes


@dataclass(frozen=True)
class Preset:
    """A named change: edits to append to a recipe's; note: what a picture must have for it, or where it is from."""

    name: str
    edits: tuple[Edit, ...]
    note: str = ""


def presets(generator: str, weights: str) -> tuple[Preset, ...]:
    """The presets for these weights (hash) of a generator: those of presets.json beside them, if it was made for them.

    None where there is no such file, or it was made for other weights: parts and appearances mean nothing there.
    Raises: ValueError naming the file if it does not hold together.
    """
    path = find_spec(generator).factors_folder(weights).parents[1] / "presets.json"
    if not path.is_file():
        return ()
    try:
        data = path.read_bytes()
        if len(data) > MAX_FILE:
            raise ValueError(f"it has {len(data)} bytes, of at most {MAX_FILE}.")
        table = json.loads(data)
        if not isinstance(table, dict) or table.get("v") != 1 or not isinstance(table.get("presets"), list):
            raise ValueError("it must hold v (1), weights and a list of presets.")
        if table.get("weights") != weights:
            return ()
        return read_presets(generator, weights, table["presets"])
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} of {generator} cannot be used: {error}") from error


def read_presets(generator: str, weights: str | None, rows: Sequence[Any]) -> tuple[Preset, ...]:
    """Presets of rows {"name", "edits", "note"} with edits in the recipe's form, each through the recipe's validator.

    Other fields (figures that were measured) are left alone. Raises: ValueError naming the row.
    """
    out: dict[str, Preset] = {}
    for i, row in enumerate(rows):
        name, note = (row.get("name"), row.get("note", "")) if isinstance(row, dict) else (None, None)
        if not isinstance(name, str) or not 1 <= len(name) <= 40 or not isinstance(note, str) or len(note) > 200:
            raise ValueError(f"preset {i + 1} must have a name of 1 to 40 characters, edits, and at most a short note.")
        if name in out:
            raise ValueError(f"two presets are called {name!r}; each name stands for one.")
        try:
            recipe = parse_recipe({"v": 1, "generator": generator, "weights": weights, "edits": row.get("edits")})
        except ValueError as error:
            raise ValueError(f"preset {name!r}: {error}") from error
        if not recipe.edits:
            raise ValueError(f"preset {name!r} has no edits; it needs at least one.")
        out[name] = Preset(name, recipe.edits, note)
    return tuple(out.values())
