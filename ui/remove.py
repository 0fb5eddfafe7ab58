"""The Remove tab: an object covered with what the picture's background looks like (I 4.1.1)."""

from dataclasses import replace

import gradio as gr
import PIL.Image
import torch

from panda_core.presets import Preset
from panda_core.recipes import Edit, parse_recipe

from . import gpu, view
from .named import tiles_of, toggle
from .page import Page, answer, clicked, heading, pair, plainly, sentence, whole
from .region import choose_parts
from .session import Session
from .widgets import Tiles

COVERS = 6  # looks offered
SIDE = 256  # pixels of the pictures before and after
NOTHING = "Choose what to remove first: click its part in the picture, or paint over it with the brush."


def remove_tab(page: Page) -> None:
    page.follow(gr.HTML(), lambda s: heading("With a click") if known(s) else "")
    off = Tiles(group="With a click", elem_id="off")
    page.follow(off, lambda s: tiles_of(s, known(s)), later=True)
    page.on(off.choose, choose_off, trigger_mode="multiple")
    gr.HTML(heading("Remove anything else"))
    hint = gr.HTML(elem_classes="hint")
    button = gr.Button("Remove it", variant="primary", elem_id="remove")
    page.job(button.click, find_cover, done=cover)
    pair = gr.HTML(elem_id="removed")
    gr.HTML(heading("Covered with"))
    covers = Tiles(group="Covered with", elem_id="covers")
    gr.HTML(sentence("What the object does elsewhere stays, such as its shadow: choose or paint that too."))

    page.follow(hint, lambda s: sentence(hint_words(s)))
    page.follow(button, lambda s: gr.Button(interactive=s.region() is not None))
    page.follow(pair, before_and_after)
    page.follow(covers, cover_tiles, later=True)
    page.on(covers.choose, choose_cover)


def known(session: Session) -> list[Preset]:
    """The named edits that take something off."""
    return [preset for preset in view.presets_of(session.recipe.generator) if preset.name.endswith(" off")]


def choose_off(session: Session, evt: gr.EventData) -> Session | None:
    return toggle(session, evt, known(session))


def hint_words(session: Session) -> str:
    region = session.region()
    if region is None:
        return NOTHING
    named = view.region_words(session, view.look(session, 0))
    more = " If the object reaches further, Shift-click its other parts too, or paint over all of it."
    return f"Chosen: {named}.{more if region.parts else ''}"


# ---- covering ----


def find_cover(session: Session, report=None) -> Edit:
    """The background over the chosen region; the first time for its factors that takes a hundred pictures' heads."""
    region = session.region()
    if region is None:
        raise ValueError(NOTHING)
    edit = view.renderer.removal(session.recipe, session.layer, session.factors_id, region)
    if not edit.alpha:
        raise ValueError("This place looks like the background already; choose another look to cover it with.")
    return edit


def cover(session: Session, edit: Edit) -> Session:
    """A new edit; in place of the one in hand where that covers the same region already."""
    covered = session.add(edit) if covers_already(session, edit) else session.append(edit)
    return covered.put_aside(any_size(edit))


def covers_already(session: Session, edit: Edit) -> bool:
    """Whether the edit in hand covers the region of this one: it has its raw α still, or this tab made it last."""
    now = session.edit
    if now is None or (now.op, now.factors, now.region) != (edit.op, edit.factors, edit.region):
        return False
    return now.alpha is not None or any_size(now) == session.aside(Edit)


def any_size(edit: Edit) -> Edit:
    """What stays of an edit when the slider moves it."""
    return replace(edit, strength=None, alpha=None, on=True)


def coverings(session: Session) -> list[Edit]:
    """What the chosen region could be covered with, the background first; none until the background is known.

    Raises: ValueError if nothing in the picture could cover it.
    """
    recipe, layer, factors_id, region = session.recipe, session.layer, session.factors_id, session.region()
    if region is None or not (gpu.forgets() or view.renderer.knows_background(recipe, factors_id)):
        return []
    key = ("coverings", view.origin(recipe), layer, factors_id, region)
    return view.kept.get(key, lambda: view.renderer.coverings(recipe, layer, factors_id, region, COVERS))


def cover_tiles(session: Session) -> dict:
    """Each with the picture that a click would give, cropped around the region."""
    try:
        edits = coverings(session)
    except ValueError as error:
        return {"items": [], "note": str(error)}
    if not edits:
        press = "Press “Remove it” first." if session.region() else ""
        return {"items": [], "note": f"Other looks to cover the object with are offered here. {press}"}
    now = session.edit if covers_already(session, edits[0]) else None

    def is_on(edit: Edit) -> bool:
        return bool(now) and view.is_same_look(now, edit) and view.strength_of(session, now) * edit.alpha > 0

    tiles = view.edit_tiles(session, edits, session.active if now else None, cover_words, is_on)
    return tiles | {"of": covers_of(session)}


def covers_of(session: Session) -> str:
    """Another picture has covers of its own."""
    return f"{view.sheet_of(session)} {session.recipe.seed}"


def cover_words(session: Session, edit: Edit) -> str:
    number, sign = view.renderer.background(session.recipe, session.layer, session.factors_id)
    if edit.appearance == number and edit.alpha * sign > 0:
        return "background"
    return view.look_words(session, edit)


def choose_cover(session: Session, evt: gr.EventData) -> Session | None:
    edit = clicked(evt, "cover", coverings(session), covers_of(session))
    return edit and cover(session, edit)


# ---- before and after ----


def before_and_after(session: Session) -> str:
    """The picture without its edits and with them, around the region, or, of a named edit, all of it; HTML."""
    recipe, region = session.recipe, session.region()
    named = session.row is not None and session.row.preset is not None
    if not recipe.ordered() or (region is None and not named):
        return ""
    images = torch.cat([view.renderer.base(recipe), view.renderer.image(recipe)])
    if named:
        images = view.resized(images, SIDE)
    else:
        images = view.cropped(images, view.renderer.region_map(recipe, view.look(session, 0)), SIDE)
    return pair(dict(zip(("Before", "After, with all edits"), view.jpegs(images))))


@plainly
def remove(recipe: str, part: float) -> tuple[PIL.Image.Image, str]:
    """The recipe (JSON text) with one more edit, which covers a part of its generator's default layer with background.

    Returns the picture and the new recipe.
    """
    session = view.opened(parse_recipe(recipe))
    session = choose_parts(session.choose_layer(view.first_layer(session.recipe)), [whole(part)])
    return answer(session.append(find_cover(session)).recipe)
