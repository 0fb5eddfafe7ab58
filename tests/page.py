"""What the tests of the page share: event data, and sessions on the bundled generator."""

import gradio as gr

import app
from panda_core.studio.session import Session


def event(**data) -> gr.EventData:
    """What a component's script sent."""
    return gr.EventData(None, data)


def picture(session: Session):
    return app.renderer.image(session.recipe)


def things(session: Session) -> tuple:
    return app.pictures.factors(session).things


def choose(session: Session, thing: int) -> Session:
    return app.choosing.choose(session, list(things(session)[thing]))


def bare() -> Session:
    """The start page's picture without edits, its second thing chosen."""
    return choose(app.opening.start().reset(), 1)


def edited() -> Session:
    """The first change of the layer in use that is offered there in hand."""
    there = bare()
    layers = [edit.layer for edit, _ in app.edit_tab.ends(there)]
    return app.edit_tab.choose_end(there, event(index=layers.index(there.layer)))


def painted(session: Session) -> str:
    """The upper half of the grid."""
    _, H, W = app.renderer.generator(session.recipe).layers[session.layer]
    return f"0,{H // 2 * W},{(H - H // 2) * W}"


def go_on(progress) -> bool:
    """The report of work that nobody cancels."""
    return True
