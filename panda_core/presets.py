"""Presets: edits with a name, "smile" or "glasses off", that ship with a generator."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .generators.registry import GENERATORS
from .recipes import Edit, Recipe, Region, parse_recipe

MAX_FILE = 1_000_000  # bytes
COVERED, LOOKS = "Cover", 8  # the name of edits that are a removal together, and how many they are


@dataclass(frozen=True)
class Preset:
    """A named change: edits to append to a recipe's; note: what a picture must have for it, or where it is from."""

    name: str
    edits: tuple[Edit, ...]
    note: str = ""


def removals(edits: tuple[Edit, ...]) -> tuple[Preset, ...]:
    """What `Renderer.removal` put in a list of edits, which does not say what belongs together: LOOKS raw edits in a
    row, of one region, largest α first.
    """
    runs = [edits[i : i + LOOKS] for i in range(len(edits) - LOOKS + 1)]
    alike = [run for run in runs if len({replace(e, appearance=None, alpha=0) for e in run}) == 1]
    sizes = {run: [abs(e.alpha) for e in run] for run in alike if all(e.op == "add" and e.alpha for e in run)}
    return tuple(Preset(COVERED, run) for run, size in sizes.items() if size == sorted(size, reverse=True))


def presets(generator: str, weights: str) -> tuple[Preset, ...]:
    """The presets of a generator: presets.json, if it was made for these weights (hash), or the named edits of its row.

    None where there are neither, or the file was made for other weights: parts and appearances mean nothing there.
    Raises: ValueError naming the file if it does not hold together.
    """
    if generator not in GENERATORS:
        return ()
    spec = GENERATORS[generator]
    path, pairs = spec.folder() / "presets.json", {pair.layer: pair.id for pair in spec.pairs}
    if not path.is_file():
        edits = {e.name: Edit("add", e.layer, pairs[e.layer], Region((e.part,)), e.appearance, alpha=e.alpha)
                 for e in spec.edits}  # fmt: skip
        return tuple(Preset(name, (edit,), "from the papers' authors") for name, edit in edits.items())
    with _reading(path, generator):
        table = _table(path, "presets")
        return read_presets(generator, weights, table["presets"]) if table.get("weights") == weights else ()


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


def examples(generator: str, found: Sequence[Preset]) -> tuple[Recipe, ...]:
    """Recipes to begin with: examples.json beside the generator's weights, rows of a seed and names of presets.

    A row with a name that `found` lacks is passed over: the presets were made anew, for other weights.
    Raises: ValueError naming the file if it does not hold together.
    """
    path = GENERATORS[generator].folder() / "examples.json" if generator in GENERATORS else None
    if path is None or not path.is_file():
        return ()
    edits, psi = {preset.name: preset.edits for preset in found}, GENERATORS[generator].default_psi
    with _reading(path, generator):
        rows = [(row["seed"], list(row["named"])) for row in _table(path, "examples")["examples"]]
        return tuple(
            parse_recipe(Recipe(generator, seed=seed, psi=psi, edits=sum(map(edits.get, names), ())).to_dict())
            for seed, names in rows
            if set(names) <= set(edits)
        )


@contextmanager
def _reading(path: Path, generator: str) -> Iterator[None]:
    """Whatever is wrong with a file becomes one sentence with its name."""
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path.name} of {generator} cannot be used: {error}") from error


def _table(path: Path, rows: str) -> dict[str, Any]:
    data = path.read_bytes()
    if len(data) > MAX_FILE:
        raise ValueError(f"it has {len(data)} bytes, of at most {MAX_FILE}.")
    table = json.loads(data)
    if not isinstance(table, dict) or table.get("v") != 1 or not isinstance(table.get(rows), list):
        raise ValueError(f"it must hold v (1) and a list of {rows}.")
    return table
