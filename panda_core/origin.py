"""Where a picture comes from: generator, class, seed and truncation."""

import re
from dataclasses import dataclass
from functools import partial
from typing import Any

from .reading import or_null, read_number, read_object, read_text, read_whole

# A listed name, owner/name or owner/name/file on the Hub, a file here. Whether what is not listed may be looked for is
# for the catalogue to say: nothing is by reading a recipe.
_GENERATOR = re.compile(r"[\w.-]{1,100}|\w[\w.-]{0,95}(/\w[\w.+-]{0,99}){1,5}|file:[^\x00-\x1f\x7f]{1,300}")
NAME = "a name as in 'portraits' or 'bundled:l5-call-psi0.8-512x8'"


@dataclass(frozen=True)
class Origin:
    """A picture without edits. weights: the generator's hash, or None where any weights will do.

    source: the id of somebody's own picture (a .panda file), which then counts instead of seed, ψ and class.
    """

    generator: str = "portraits"
    weights: str | None = None
    class_index: int | None = None
    seed: int = 0
    psi: float = 0.8
    source: str | None = None

    def origin_dict(self) -> dict[str, Any]:
        """The fields as recipes write them."""
        found = {"generator": self.generator, "weights": self.weights, "class": self.class_index}
        return found | ({"source": self.source} if self.source else {"seed": self.seed}) | {"psi": self.psi}


ORIGIN_READERS = {
    "generator": partial(read_text, pattern=_GENERATOR, wanted=NAME),
    "weights": or_null(
        partial(read_text, pattern=r"[0-9a-f]{12}", wanted="a generator's hash of 12 hex digits, or null")
    ),
    "class": or_null(partial(read_whole, low=0, high=999_999)),
    "seed": partial(read_whole, low=0, high=2**32 - 1),
    "psi": partial(read_number, low=0, high=2),
    "source": partial(read_text, pattern=r"[0-9a-f]{32}", wanted="the id of a .panda file, 32 hex digits"),
}


def origin_fields(found: dict[str, Any]) -> dict[str, Any]:
    """What was read, by the names that the dataclass has; `class` cannot name a field in Python.

    Raises: ValueError if there is a seed and a source.
    """
    if "seed" in found and "source" in found:
        raise ValueError("The picture has a seed and a source; it takes one of them.")
    return {{"class": "class_index"}.get(key, key): value for key, value in found.items()}


def read_origin(where: str, given: Any) -> Origin:
    """One picture without edits, as an edit names another."""
    return Origin(**origin_fields(read_object(where, f" of {where}", given, ORIGIN_READERS, {"generator"})))
