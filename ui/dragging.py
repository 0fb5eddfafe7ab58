"""Pulling at the picture: the variation in hand gets the strength at which what was under the pointer follows it."""

import math
from dataclasses import replace

import gradio as gr
import torch

from panda_core.method.dragging import follow
from panda_core.ops import OPS, Edit
from panda_core.recipes import Recipe

from .binding import Page
from .components.html import sentence
from .components.picture import Picture
from .edit_list import Edits, moved
from .given import sent
from .pictures import Pictures, origin
from .session import Session

STRENGTHS = torch.linspace(-4, 4, 9)


class Dragging:
    def __init__(self, pictures: Pictures, edits: Edits):
        self.pictures, self.edits = pictures, edits

    def lay_out(self, page: Page, picture: Picture, *others) -> None:
        """others: slider, list, words and Undo, as `Edits.lay_out` returns them."""
        page.quick(picture.pull, self.pull, picture, *others)
        page.on(picture.pulled, self.pulled)

    def pull(self, session: Session, evt: gr.EventData):
        """The pointer moved: a new frame, the slider along with it, and nothing else."""
        session = self.pulled(session, evt)
        frame = self.pictures.frame(session)
        shown = {"frame": frame, "moving": True, "to": sent(evt, "to")}  # an answer that differs, or nobody hears it
        slider = gr.Slider(value=session.edit.strength)
        return session, shown, slider, self.edits.rows(session), sentence(frame["words"]), gr.Button(interactive=True)

    def pulled(self, session: Session, evt: gr.EventData) -> Session:
        """The session with the strength that a drag asks for; all of a drag is one step of undo."""
        edit = session.edit
        if edit is None or edit.op != "vary":
            raise ValueError("Choose a change first; then pull at the picture.")
        at, to = _point(sent(evt, "from")), _point(sent(evt, "to"))
        low, high, *_ = OPS["vary"].slider
        began = sent(evt, "strength")
        if type(began) not in (int, float) or not -100 <= began <= 100:
            raise ValueError(f"strength is {began!r:.20}; it must be a number from -100 to 100.")
        strength = follow(*self.previews(session, float(began)), at, to)
        if strength is None:  # nothing moves here: to the right and up is the slider's way
            strength = began + (high - low) * (to[0] - at[0] + at[1] - to[1])
        return moved(session, round(min(max(strength, low), high), 2))

    def previews(self, session: Session, began: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(previews, strengths, the picture when the drag began), made once for each drag's beginning."""
        recipe, index = session.recipe, session.active
        bare = recipe.with_edit(index, replace(recipe.edits[index], strength=0.0, on=True))
        kept, edit = self.pictures.kept, bare.edits[index]
        many = kept.get(("pull", origin(bare), bare.edits), lambda: self.draw(bare, index, edit, STRENGTHS.tolist()))
        first = kept.get(("pull", origin(bare), bare.edits, began), lambda: self.draw(bare, index, edit, [began]))
        return many, STRENGTHS, first

    def draw(self, recipe: Recipe, index: int, edit: Edit, strengths: list[float]) -> torch.Tensor:
        edits = [replace(edit, strength=strength) for strength in strengths]
        return self.pictures.renderer.variants(recipe, index, edits, shrink=2)


def _point(given) -> tuple[float, float]:
    """(x, y) as shares of the picture's sides. Raises: ValueError for anything else."""
    fits = isinstance(given, list) and len(given) == 2 and all(type(c) in (int, float) and -1 <= c <= 2 for c in given)
    if not fits or not all(map(math.isfinite, given)):
        raise ValueError(f"The pointer is at {given!r:.40}; it must be two numbers, shares of the picture's sides.")
    return float(given[0]), float(given[1])
