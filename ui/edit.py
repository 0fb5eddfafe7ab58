"""The Edit tab: where, what can change there, how strongly, and the list of edits."""

import time
from dataclasses import replace

import gradio as gr

from . import view
from .page import QUIET, Page, current, plainly, sent
from .session import Session
from .widgets import Edits, Picture, Tiles

PAUSE = 1.5  # seconds of rest after which a move of the slider is another step of undo
WHERE = [
    ("Chosen parts", "parts"),
    ("Painted piece of them", "piece"),
    ("Painted area", "painted"),
    ("Everywhere", "all"),
]


def edit_tab(page: Page, picture: Picture, words: gr.HTML) -> None:
    session = page.session
    parts = gr.CheckboxGroup([], label="Part of the picture", elem_id="parts", interactive=True)
    where = gr.Radio(WHERE, label="Where it goes", value="parts", visible=False, elem_id="where", interactive=True)
    gr.HTML(heading("What can change here"))
    looks = Tiles(group="What can change here", elem_id="looks")
    strength = gr.Slider(-4, 4, 0, step=0.1, label="Strength", elem_id="strength", interactive=True, buttons=[])
    gr.HTML(heading("Your edits"))
    edits = Edits(elem_id="edits")
    with gr.Row(elem_classes="actions"):
        undo = gr.Button("Undo", size="sm", min_width=72, elem_id="undo")
        redo = gr.Button("Redo", size="sm", min_width=72, elem_id="redo")
        reset = gr.Button("Reset", size="sm", min_width=72, elem_id="reset")
        another = gr.Button("Add another look here", size="sm", min_width=170, elem_id="another")
    with gr.Accordion("More", open=False, elem_id="details"):
        everywhere = gr.Button("Change the whole picture instead", size="sm", elem_id="everywhere")
        number = gr.Number(label="Appearance by number", precision=0, elem_id="appearance", interactive=True)
        numbers = gr.Markdown()

    page.follow(parts, lambda s: gr.CheckboxGroup(choices=part_choices(s), value=view.chosen_parts(s)))
    page.follow(where, lambda s: gr.Radio(value=s.where, visible=s.mask is not None or s.where != "parts"))
    page.follow(strength, slider)
    page.follow(edits, view.edit_rows)
    page.follow(undo, lambda s: gr.Button(interactive=bool(s.past)))
    page.follow(redo, lambda s: gr.Button(interactive=bool(s.future)))
    page.follow(reset, lambda s: gr.Button(interactive=bool(s.recipe.edits)))
    page.follow(another, lambda s: gr.Button(interactive=s.active is not None))
    page.follow(number, lambda s: s.edit.appearance if s.edit else None)
    page.follow(numbers, view.details, later=True)
    page.follow(looks, view.sheet, later=True)

    page.on(picture.pick, pick)
    page.on(picture.paint, paint)
    page.on(parts.input, choose_parts, parts)
    page.on(looks.choose, choose_look)
    page.on(where.input, choose_where, where)
    page.on(everywhere.click, choose_everywhere)
    page.on(edits.act, act, trigger_mode="multiple")
    page.on(undo.click, do_undo, trigger_mode="multiple")
    page.on(redo.click, do_redo, trigger_mode="multiple")
    page.on(reset.click, do_reset)
    page.on(another.click, let_go)
    page.on(number.submit, choose_number, number)
    strength.input(
        tick,
        [session, strength],
        [session, picture, edits, words, undo],
        queue=False,
        trigger_mode="always_last",
        **QUIET,
    )


def part_choices(session: Session) -> list[tuple[str, int]]:
    factors = view.factors_of(session)
    return [(factors.part_name(k), k) for k in range(factors.parts.shape[1])]


def slider(session: Session):
    end, edit = view.ends(session), session.edit
    if edit is None:
        return gr.Slider(minimum=-end, maximum=end, value=0, interactive=False, label="Strength (choose a look first)")
    label = f"Strength of {view.region_words(session, edit)}, {view.look_words(session, edit)}"
    value = edit.strength if edit.strength is not None else 0
    return gr.Slider(minimum=-end, maximum=end, value=value, interactive=True, label=label)


def heading(text: str) -> str:
    return f'<div class="heading" role="heading" aria-level="2">{text}</div>'


def sentence(text: str) -> str:
    return f'<p role="status">{text}</p>'


@plainly
def tick(session: Session | None, strength: float):
    """The slider moved: a new frame, and nothing that a frame does not need."""
    session, now = current(session), time.monotonic()
    if now - session.moved_at > PAUSE:
        session = replace(session, tag="")
    session = replace(session.set_strength(strength), moved_at=now)
    frame = view.frame(session)
    return session, {"frame": frame}, view.edit_rows(session), sentence(frame["words"]), gr.Button(interactive=True)


def pick(session: Session | None, evt: gr.EventData) -> Session:
    """A click on a part; with Shift it joins those chosen, or leaves them."""
    session, part = current(session), sent(evt, "part")
    if not sent(evt, "several") or session.where != "parts":
        return choose_parts(session, [part])
    chosen = [k for k in session.parts if k != part]
    return choose_parts(session, chosen if part in session.parts else [*session.parts, part])


def choose_parts(session: Session | None, parts: list[int]) -> Session:
    session = current(session)
    known = view.factors_of(session).parts.shape[1]
    for part in parts:
        if type(part) is not int or not 0 <= part < known:
            raise ValueError(f"part is {part!r:.20}; this layer has parts 0 to {known - 1}.")
    return session.choose(tuple(dict.fromkeys(parts)))


def paint(session: Session | None, evt: gr.EventData) -> Session:
    """A stroke ended: the painted edit in hand follows it; after anything else it begins a region of its own."""
    session = current(session)
    mask = view.read_mask(sent(evt, "rle"), session)
    if session.where not in ("painted", "piece"):
        session = session.let_go()
    return session.restrict("piece" if session.where == "piece" else "painted", mask)


def choose_where(session: Session | None, where: str) -> Session:
    session = current(session)
    return session.restrict(where, session.mask)


def choose_everywhere(session: Session | None) -> Session:
    """The next look is for the whole picture; the edit in hand stays where it is."""
    return current(session).let_go().restrict("all", None).find_edit()


def choose_look(session: Session | None, evt: gr.EventData) -> Session:
    session, index = current(session), sent(evt, "index")
    offered = view.looks(session)
    if sent(evt, "of") not in (None, view.sheet_of(session)):
        return session  # the click met a sheet that another choice has already replaced
    if type(index) is not int or not 0 <= index < len(offered):
        raise ValueError(f"look is {index!r:.20}; {len(offered)} are offered here.")
    edit = offered[index]
    if session.edit is not None and session.edit.appearance == edit.appearance:
        return session
    return session.add(edit)


def choose_number(session: Session | None, number: float | None) -> Session:
    """An appearance by its number, for those who know it."""
    session = current(session)
    offered = view.looks(session)
    if not offered:
        raise ValueError("Choose a part of the picture first.")
    factors = view.factors_of(session)
    if number is None or int(number) != number or not 0 <= number < factors.sigma.shape[0]:
        raise ValueError(f"appearance is {number}; this layer has 0 to {factors.sigma.shape[0] - 1}.")
    return session.add(view.look(session, int(number)))


def act(session: Session | None, evt: gr.EventData) -> Session:
    """A button in the list of edits."""
    session, action, index = current(session), sent(evt, "action"), sent(evt, "index")
    if action == "take":
        return session.take_up(index)
    if action == "switch":
        return session.switch(index)
    if action == "remove":
        return session.remove(index)
    if action in ("up", "down"):
        return session.move(index, -1 if action == "up" else 1)
    raise ValueError(f"action is {action!r:.20}; it must be take, switch, up, down or remove.")


def do_undo(session: Session | None) -> Session:
    return current(session).undo()


def do_redo(session: Session | None) -> Session:
    return current(session).redo()


def do_reset(session: Session | None) -> Session:
    return current(session).reset()


def let_go(session: Session | None) -> Session:
    return current(session).let_go()
