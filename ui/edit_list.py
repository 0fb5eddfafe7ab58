"""The edits made so far, whatever tab made them: their list, the strength of the one in hand, undo and redo."""

import time
from dataclasses import replace

import gradio as gr

from . import view
from .page import Page, heading, sent, sentence
from .session import Session
from .widgets import Edits, Picture, Slider

PAUSE = 1.5  # seconds of rest after which a move of the slider is another step of undo


def edits_panel(page: Page, picture: Picture, words: gr.HTML) -> None:
    strength = Slider(-4, 4, 0, step=0.1, label="Strength", elem_id="strength", interactive=True, buttons=[])
    gr.HTML(heading("Your edits"))
    edits = Edits(elem_id="edits")
    with gr.Row(elem_classes="actions"):
        undo = page.button("Undo", Session.undo, when=lambda s: s.past, each=True, min_width=72, elem_id="undo")
        page.button("Redo", Session.redo, when=lambda s: s.future, each=True, min_width=72, elem_id="redo")
        page.button("Reset", Session.reset, when=lambda s: s.recipe.edits, min_width=72, elem_id="reset")

    page.follow(strength, slider)
    page.follow(edits, view.edit_rows)
    page.on(edits.act, act)
    page.on(strength.release, settle, strength, slider=strength)
    page.live(strength, tick, picture, edits, words, undo)


def slider(session: Session):
    row, (least, most) = session.row, view.ends(session)
    if row is None:
        label, value = "Strength (choose a look first)", 0
    else:
        label = f"Strength of {', '.join(view.row_words(session, row))}{'' if row.is_one else ' (1 is usual)'}"
        value = view.row_strength(session, row)
    return gr.Slider(minimum=least, maximum=most, value=value, interactive=row is not None, label=label)


def tick(session: Session, strength: float):
    """The slider moved: a new frame, and nothing that a frame does not need."""
    now = time.monotonic()
    if now - session.moved_at > PAUSE:
        session = replace(session, tag="")
    session = replace(session.set_strength(strength), moved_at=now)
    frame = view.frame(session)
    return session, {"frame": frame}, view.edit_rows(session), sentence(frame["words"]), gr.Button(interactive=True)


def settle(session: Session, strength: float) -> Session:
    """The slider was let go: the tabs follow too. Given the strength, since the last tick may still be under way."""
    return session if session.row is None else session.set_strength(strength)


def act(session: Session, evt: gr.EventData) -> Session:
    """A button in the list of edits."""
    action, index = sent(evt, "action"), sent(evt, "index")
    if action == "take":
        return session.take_up(session.check_row(index).start)
    if action == "switch":
        return session.switch(index)
    if action == "remove":
        return session.remove(index)
    if action in ("up", "down"):
        return session.move(index, -1 if action == "up" else 1)
    raise ValueError(f"action is {action!r:.20}; it must be take, switch, up, down or remove.")
