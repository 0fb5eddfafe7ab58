"""The strength on its way: the slider moves it, or somebody pulls at the picture, and what is pulled follows."""

from dataclasses import replace

import gradio as gr
import torch

from panda_core.method.dragging import Trajectory
from panda_core.ops import OPS, Edit
from panda_core.recipes import Recipe
from panda_core.studio.pictures import origin
from panda_core.studio.room import Room
from panda_core.studio.session import Session

from .edit_list import moved
from .given import point, sent

FOLLOWED = 128  # pixels of the pictures in which a point is followed
STRENGTHS = torch.linspace(-4, 4, 9)


class Dragging(Room):
    def move(self, session: Session, given: dict) -> tuple[Session, dict]:
        """Slider or pointer moved: a new frame, and nothing else; the rest of the page follows once it is let go."""
        evt = gr.EventData(None, given)
        session = self.pulled(session, evt) if "to" in given else moved(session, sent(evt, "strength"))
        return session, {"frame": self.pictures.frame(session, moving=True), "strength": session.edit.size}

    def pulled(self, session: Session, evt: gr.EventData) -> Session:
        """The session with the strength that a drag asks for; all of a drag is one step of undo."""
        edit = session.edit
        if edit is None or edit.op != "vary":
            raise ValueError("Choose a change first; then pull at the picture.")
        at, to = point(sent(evt, "from")), point(sent(evt, "to"))
        low, high, *_ = OPS["vary"].slider
        began = sent(evt, "strength")
        if type(began) not in (int, float) or not -100 <= began <= 100:
            raise ValueError(f"strength is {began!r:.20}; it must be a number from -100 to 100.")
        strength = self.trajectory(session, float(began), at).strength((to[0] - at[0], to[1] - at[1]))
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

    def draw(self, recipe: Recipe, index: int, edit: Edit, strengths: list[float]) -> torch.Tensor:
        edits = [replace(edit, strength=strength) for strength in strengths]
        shrink = max(1, self.renderer.generator(recipe).resolution // FOLLOWED)
        return self.renderer.variants(recipe, index, edits, shrink=shrink)
