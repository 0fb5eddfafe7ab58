"""What a visitor or a program gave, checked: event data of our components, clicks on tiles, numbers."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from panda_core.ops import Edit
from panda_core.studio.session import Session

from .pictures import PagePictures, sheet_of

T = TypeVar("T")


def sent(event: gr.EventData, name: str) -> Any:
    """What a component's script sent under this name, unchecked; None where there is nothing."""
    return event._data.get(name) if isinstance(event._data, dict) else None


def clicked(event: gr.EventData, what: str, choices: Sequence[T], of: str | None = None) -> T | None:
    """The choice that the tile clicked stands for; None for a tile of other Tiles than those that are there now (`of`),
    and a word to the visitor, who saw no others yet.

    Raises: ValueError if there is no such tile.
    """
    index = sent(event, "index")
    if sent(event, "of") not in (None, of):
        gr.Info("What is offered here has just changed; choose again.", title="Not yet")
        return None
    if type(index) is not int or not 0 <= index < len(choices):
        raise ValueError(f"{what} is {index!r:.20}; {len(choices)} are offered here.")
    return choices[index]


def clicked_edit(
    event: gr.EventData, what: str, pictures: PagePictures, session: Session, now: Callable[[], Sequence[Edit]]
) -> Edit | None:
    """The edit that the tile clicked stands for, also where the tile has just gone; now(): those that are there."""
    edits = pictures.offered(session, sent(event, "of")) or now()
    return clicked(event, what, edits, sheet_of(edits))


@contextmanager
def uploaded(path) -> Iterator[Path]:
    """The file that a visitor sent; it leaves the disk afterwards. Raises: ValueError if there is none."""
    if not isinstance(path, str) or not os.path.isfile(path):
        raise ValueError("No file has arrived; send it again.")
    try:
        yield Path(path)
    finally:
        Path(path).unlink(missing_ok=True)


def point(given) -> tuple[float, float]:
    """(x, y) as shares of the picture's sides. Raises: ValueError for anything else."""
    fits = isinstance(given, list) and len(given) == 2 and all(type(c) in (int, float) and -1 <= c <= 2 for c in given)
    if not fits or not all(map(math.isfinite, given)):
        raise ValueError(f"The pointer is at {given!r:.40}; it must be two numbers, shares of the picture's sides.")
    return float(given[0]), float(given[1])
