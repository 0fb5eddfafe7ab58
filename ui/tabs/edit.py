"""The Edit tab: named edits, and what can change at the chosen place."""

import gradio as gr

from . import view
from .named import named_panel
from .page import Page, clicked, heading, number
from .session import Session


def edit_tab(page: Page) -> None:
    named_panel(page)
    gr.HTML(heading("What can change here"))
    page.tiles("What can change here", view.sheet, choose_look, elem_id="looks")
    page.button("Add another look here", Session.let_go, when=lambda s: s.edit, min_width=170, elem_id="another")
    with page.fold("More", elem_id="details"):
        page.button("Change the whole picture instead", choose_everywhere, elem_id="everywhere")
        numeral = gr.Number(label="Look by number", precision=0, elem_id="appearance", interactive=True)
        numbers = gr.Markdown()

    page.follow(numbers, view.details, later=True)
    page.follow(numeral, lambda s: s.edit.appearance + 1 if s.edit and s.edit.op == "add" else None)
    page.on(numeral.submit, choose_number, numeral)


def choose_everywhere(session: Session) -> Session:
    """The next look is for the whole picture; the edit in hand stays where it is."""
    return session.let_go().restrict("all", None).find_edit()


def choose_look(session: Session, evt: gr.EventData) -> Session | None:
    session = session.beside_named()
    edit, now = clicked(evt, "look", view.looks(session), view.sheet_of(session)), session.edit
    return None if edit is None or (now and now.appearance == edit.appearance) else session.add(edit)


def choose_number(session: Session, given: float | None) -> Session:
    """A look by its number, for those who know it; the first is 1."""
    if session.region() is None:
        raise ValueError("Choose a part of the picture first.")
    count = view.factors_of(session).sigma.shape[0]
    return session.beside_named().add(view.look(session, number("look", given, 1, count, whole=True) - 1))
