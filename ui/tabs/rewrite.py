"""The Rewrite tab: one look replaced by another, everywhere or in the chosen region (II 5.5)."""

from dataclasses import dataclass, replace

import gradio as gr
import PIL.Image

from panda_core.recipes import Edit, Region, parse_recipe

from . import view
from .concepts import clicked_concept, concept_name, concept_picture, concept_tiles, concepts_of
from .page import Page, answer_with, figure, heading, hint, plainly, sentence, whole
from .session import Session


@dataclass(frozen=True)
class Rewriting:
    """What this tab keeps: two concepts, and whether the one is replaced in the chosen region only."""

    source: int | None = None
    target: int | None = None
    here: bool = False


def rewrite_tab(page: Page) -> None:
    hint("Wherever the picture shows the first look, let it show the second.")
    with gr.Row(equal_height=False):
        for role, (title, choose) in ROLES.items():
            with gr.Column(min_width=240):
                gr.HTML(heading(title))
                page.follow(gr.HTML(elem_classes="concept"), lambda s, role=role: concept_shown(s, role), later=True)
                page.tiles(title, lambda s, role=role: role_tiles(s, role), choose, elem_id=f"rewrite-{role}")
    here = gr.Radio([], label="Where it is replaced", visible=False, interactive=True, elem_id="here")
    page.follow(gr.HTML(elem_classes="hint"), lambda s: sentence(what(s)))
    button = gr.Button("Rewrite", variant="primary", elem_id="rewrite")
    gr.HTML(sentence("How it looks elsewhere: “On sixteen other pictures”, below."))

    page.field(here, show_where, choose_here)
    page.follow(button, lambda s: gr.Button(interactive=None not in (chosen(s).source, chosen(s).target)))
    page.on(button.click, do_rewrite)


# ---- choosing ----


def chosen(session: Session) -> Rewriting:
    """What is chosen among these concepts, or else the rewrite in hand."""
    kept, edit = session.aside(Rewriting, concepts_of(session)), session.edit
    return kept or (Rewriting(edit.source, edit.target) if edit and edit.op == "rewrite" else Rewriting())


def keep(session: Session, **changes) -> Session:
    return session.put_aside(replace(chosen(session), **changes), concepts_of(session))


def choose_source(session: Session, evt: gr.EventData) -> Session | None:
    return choose_concept(session, "source", evt)


def choose_target(session: Session, evt: gr.EventData) -> Session | None:
    return choose_concept(session, "target", evt)


ROLES = {"source": ("Replace", choose_source), "target": ("With", choose_target)}


def choose_concept(session: Session, role: str, evt: gr.EventData) -> Session | None:
    index = clicked_concept(session, evt)
    return None if index is None else keep(session, **{role: index})


def choose_here(session: Session, here: bool) -> Session:
    return keep(session, here=here is True)


def show_where(session: Session):
    region = session.region()
    if region is None or region.all:
        return gr.Radio(visible=False)
    named = view.region_words(session, view.look(session, 0))
    return gr.Radio([("Everywhere", False), (f"Only here: {named}", True)], value=chosen(session).here, visible=True)


def concept_shown(session: Session, role: str) -> str:
    """Where the chosen concept is, large; HTML."""
    number = getattr(chosen(session), role)
    if number is None:
        ask = "what is to be replaced" if role == "source" else "what takes its place"
        return f"<p>Choose {ask}: the bright places of a picture below are where it is now.</p>"
    return figure(concept_picture(session, number), concept_name(session, number))


def role_tiles(session: Session, role: str) -> dict:
    return concept_tiles(session, getattr(chosen(session), role))


def what(session: Session) -> str:
    """What the button will do, or what is missing."""
    try:
        edit = rewriting(session)
    except ValueError as error:
        return str(error)
    where = "everywhere" if edit.region.all else f"in {view.region_words(session, edit)}"
    return f"{view.look_words(session, edit).capitalize()}, {where}."


# ---- rewriting ----


def rewriting(session: Session) -> Edit:
    """The edit that the choices make.

    Raises: ValueError if one is missing, or both are the same.
    """
    now, region = chosen(session), session.region()
    if now.source is None or now.target is None:
        raise ValueError("Choose a look to replace and another one to put in its place.")
    if now.source == now.target:
        name = concept_name(session, now.source)
        raise ValueError(f"Both are {name}; choose another look to put in its place.")
    region = region if now.here and region is not None else Region(all=True)
    where = session.layer, session.factors_id, region
    return Edit("rewrite", *where, source=now.source, target=now.target, strength=1.0)


def do_rewrite(session: Session) -> Session:
    edit = rewriting(session)
    same = [e.on and replace(e, strength=1.0, alpha=None) == edit for e in session.recipe.edits]
    if any(same):  # a second time there is nothing left to replace
        return session.take_up(same.index(True))
    return session.append(edit)


@plainly
def rewrite(recipe: str, source: float, target: float, strength: float) -> tuple[PIL.Image.Image, str]:
    """The recipe (JSON text) with one more edit: everywhere, concept `source` of its generator's default layer replaced
    by concept `target`; strength is α, how much of the new for one of the old (1 as much, 0 only takes away).

    Returns the picture and the new recipe.
    """
    made = parse_recipe(recipe)
    numbers = {"source": whole(source), "target": whole(target), "strength": strength}
    return answer_with(made, Edit("rewrite", *view.default(made), Region(all=True), **numbers))
