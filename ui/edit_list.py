"""The edits made so far, whatever tab made them: the strength of the one in hand, their list, undo and redo."""

import time
from collections.abc import Callable
from dataclasses import replace

import gradio as gr

from panda_core.ops import OPS, Edit
from panda_core.studio.room import Room
from panda_core.studio.session import Session

from .binding import Page
from .components.html import heading
from .components.plain import EditList, Slider
from .given import sent

PAUSE = 1.5  # seconds of rest after which a move of the slider is another step of undo


class Edits(Room):
    """Strength and list; between them, always in view, what is laid out in lay_out's `between`."""

    def lay_out(self, page: Page, between: Callable[[Page], None]) -> None:
        strength = Slider(-4, 4, 0, step=0.1, label="Strength", elem_id="strength", interactive=True, buttons=[])
        between(page)
        with gr.Row(elem_classes="list-head", equal_height=True):
            gr.HTML(heading("Your edits"))
            page.button("Undo", Session.undo, when=lambda s: s.past, each=True, min_width=60, elem_id="undo")
            page.button("Redo", Session.redo, when=lambda s: s.future, each=True, min_width=60, elem_id="redo")
            page.button("Reset", Session.reset, when=lambda s: s.recipe.edits, min_width=60, elem_id="reset")
        edits = EditList(elem_id="edits")

        page.follow(strength, self.slider)
        page.follow(edits, self.rows)
        page.on(edits.act, act)
        page.on(strength.release, settle, strength, slider=strength)

    def rows(self, session: Session) -> dict:
        """The value of EditList."""
        edits = enumerate(session.recipe.edits)
        rows = [self.row(session, i, edit) for i, edit in edits]
        return {"rows": rows}

    def row(self, session: Session, index: int, edit: Edit) -> dict:
        size = f"{edit.size:.0%}" if edit.share is not None else f"{edit.size:+.1f}"
        if self.pictures.ends(session, edit):  # the title says which way, and the slider how far
            size = ""
        title = self.pictures.edit_words(session, edit)
        return {"title": title, "size": size, "on": edit.on, "active": index == session.active}

    def slider(self, session: Session):
        edit = session.edit
        if edit is None:
            label = "Strength (choose a change first)"
            return gr.Slider(minimum=-4, maximum=4, value=0, interactive=False, label=label)
        low, high, step, _ = OPS[edit.op].slider
        low, high = min(low, edit.size), max(high, edit.size)
        label = f"Strength: {self.pictures.slider_words(session, edit)}"
        return gr.Slider(minimum=low, maximum=high, step=step, value=edit.size, interactive=True, label=label)


def moved(session: Session, strength: float) -> Session:
    """With another strength, a step of undo of its own after a rest."""
    now = time.monotonic()
    if now - session.moved_at > PAUSE:
        session = replace(session, tag="")
    return replace(session.set_strength(strength), moved_at=now)


def settle(session: Session, strength: float) -> Session:
    """The slider was let go: the tabs follow too. Given the strength, since the last tick may still be under way."""
    return session if session.edit is None else session.set_strength(strength)


def act(session: Session, evt: gr.EventData) -> Session:
    """A button in the list of edits."""
    action, index = sent(evt, "action"), sent(evt, "index")
    if action == "take":
        return session.take_up(index)
    if action == "switch":
        return session.switch(index)
    if action == "remove":
        return session.remove(index)
    if action in ("up", "down"):
        return session.move(index, -1 if action == "up" else 1)
    raise ValueError(f"action is {action!r:.20}; it must be take, switch, up, down or remove.")
