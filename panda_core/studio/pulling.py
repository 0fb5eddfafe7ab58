"""Somebody pulls at the picture, and what is pulled follows (docs/method.md, "Dragging")."""

from dataclasses import replace

import torch
from torch import Tensor

from ..method.dragging import Trajectory
from ..ops import OPS, Edit
from ..reading import read_number
from ..recipes import Recipe
from .pictures import origin
from .room import Room
from .session import Session

FOLLOWED = 128  # pixels of the pictures in which a point is followed
STRENGTHS = torch.linspace(-4, 4, 9)


class Pulling(Room):
    def pull(self, session: Session, at: tuple[float, float], to: tuple[float, float], began: float) -> Session:
        """The session with the strength that a drag asks for; all of a drag is one step of undo.

        at, to: the pointer, (x, y) as shares of the picture's sides. began: the strength when it went down.
        Raises: ValueError if no variation is in hand.
        """
        edit = session.edit
        if edit is None or edit.op != "vary":
            raise ValueError("Choose a change first; then pull at the picture.")
        began, (low, high, *_) = read_number("strength", began, -100, 100), OPS["vary"].slider
        strength = self.trajectory(session, began, at).strength((to[0] - at[0], to[1] - at[1]))
        if strength is None:  # nothing moves here: to the right and up is the slider's way
            strength = began + (high - low) * (to[0] - at[0] + at[1] - to[1])
        pulled = edit.with_size(round(min(max(strength, low), high), 2))
        return session.put(session.active, pulled, f"pull {at} {began}")  # however long one rests on the way

    def trajectory(self, session: Session, began: float, at: tuple[float, float]) -> Trajectory:
        """Of what was taken there; made once for each drag."""
        recipe, index = session.recipe, session.active
        bare = recipe.with_edit(index, replace(recipe.edits[index], strength=0.0, on=True))
        kept, edit, about = self.pictures.kept, bare.edits[index], ("pull", origin(bare), bare.edits)

        def track() -> Trajectory:
            many = kept.get(about, lambda: self.draw(bare, index, edit, STRENGTHS.tolist()))
            return Trajectory.of(many, STRENGTHS, self.draw(bare, index, edit, [began]), began, at)

        return kept.get((*about, began, at), track)

    def draw(self, recipe: Recipe, index: int, edit: Edit, strengths: list[float]) -> Tensor:
        edits = [replace(edit, strength=strength) for strength in strengths]
        shrink = max(1, self.renderer.generator(recipe).resolution // FOLLOWED)
        return self.renderer.variants(recipe, index, edits, shrink=shrink)
