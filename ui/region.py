"""Where the next change goes: parts picked in the picture or by name, a painted area, everywhere."""

import gradio as gr

from . import view
from .page import Page, sent
from .session import WHERE, Session
from .widgets import Picture

SEVERAL = "A click in the picture chooses that part alone; for several, tick more here or press “Several”."
PLACES = list(zip(("Chosen parts", "Painted piece of them", "Painted area", "Everywhere"), WHERE))


def region_panel(page: Page, picture: Picture) -> None:
    parts = gr.CheckboxGroup([], label="Chosen parts", info=SEVERAL, elem_id="parts", interactive=True)
    where = gr.Radio(PLACES, label="Where it goes", value="parts", visible=False, elem_id="where", interactive=True)

    page.field(parts, lambda s: gr.CheckboxGroup(choices=part_choices(s), value=view.chosen_parts(s)), choose_parts)
    page.field(where, show_where, choose_where)
    page.on(picture.pick, pick)
    page.on(picture.paint, paint)


def show_where(session: Session):
    empty = session.where in ("painted", "piece") and session.mask is None
    info = "Nothing is painted yet: take the brush, and paint in the picture." if empty else ""
    return gr.Radio(value=session.where, visible=session.mask is not None or session.where != "parts", info=info)


def part_choices(session: Session) -> list[tuple[str, int]]:
    factors = view.factors_of(session)
    return [(factors.part_name(k), k) for k in range(factors.parts.shape[1])]


def pick(session: Session, evt: gr.EventData) -> Session:
    """A click on a part; with Shift it joins those chosen, or leaves them."""
    part = sent(evt, "part")
    if not sent(evt, "several") or session.where != "parts":
        return choose_parts(session, [part])
    chosen = [k for k in session.parts if k != part]
    return choose_parts(session, chosen if part in session.parts else [*session.parts, part])


def choose_parts(session: Session, parts: list[int]) -> Session:
    known = view.factors_of(session).parts.shape[1]
    if not isinstance(parts, list):
        raise ValueError(f"parts is {parts!r:.20}; it must be a list of part numbers.")
    for part in parts:
        if type(part) is not int or not 0 <= part < known:
            raise ValueError(f"part is {part!r:.20}; this layer has parts 0 to {known - 1}.")
    return session.choose(tuple(dict.fromkeys(parts)))


def paint(session: Session, evt: gr.EventData) -> Session:
    """A stroke ended: the painted edit in hand follows it; after anything else it begins a region of its own."""
    mask = view.read_mask(sent(evt, "rle"), session)
    if session.where not in ("painted", "piece"):
        session = session.let_go()
    return session.restrict("piece" if session.where == "piece" else "painted", mask)


def choose_where(session: Session, where: str) -> Session:
    return session.restrict(where, session.mask)
