"""The Remove tab: an object covered with what the picture's background looks like (I 4.1.1)."""

from dataclasses import replace

import gradio as gr
import PIL.Image
import torch

from panda_core.images import difference
from panda_core.presets import COVERED, Preset, removals
from panda_core.recipes import Edit, parse_recipe

from . import gpu, view
from .named import tiles_of, toggle
from .page import Page, answer, clicked, heading, pair, plainly, sentence, whole
from .region import choose_parts
from .rows import Row
from .session import Session

KNOWN = 256  # named edits and removals that a session can tell from single ones
LITTLE = 0.2  # mean change in [-1, 1] units below which most objects are there still
SIDE = 256  # pixels of the pictures before and after
NOTHING = "Choose what to remove first: click its part in the picture, or paint over it with the brush."


def remove_tab(page: Page) -> None:
    page.follow(gr.HTML(), lambda s: heading("With a click") if known(s) else "")
    page.tiles("With a click", lambda s: tiles_of(s, known(s)), choose_off, elem_id="off")
    gr.HTML(heading("Remove anything else"))
    page.follow(gr.HTML(elem_classes="hint"), lambda s: sentence(hint_words(s)))
    button = gr.Button("Remove it", variant="primary", elem_id="remove")
    page.follow(button, lambda s: gr.Button(interactive=s.region() is not None))
    page.job(button.click, find_cover, done=cover)
    page.follow(gr.HTML(elem_id="removed"), before_and_after)
    gr.HTML(heading("Covered with"))
    page.tiles("Covered with", cover_tiles, choose_cover, elem_id="covers")
    gr.HTML(sentence("What the object does elsewhere stays, such as its shadow: choose or paint that too."))


def known(session: Session) -> list[Preset]:
    """The named edits that take something off."""
    return [preset for preset in view.presets_of(session.recipe.generator) if preset.name.endswith(" off")]


def choose_off(session: Session, evt: gr.EventData) -> Session | None:
    return toggle(session, evt, known(session))


def hint_words(session: Session) -> str:
    if session.region() is None:
        return NOTHING
    more = " If the object reaches further, press “Several” and click its other parts too, or paint over all of it."
    return f"Chosen: {view.region_words(session, view.look(session, 0))}.{more if session.region().parts else ''}"


# ---- covering ----


def find_cover(session: Session, report=None) -> tuple[Edit, ...]:
    """Background over the chosen region, none where the picture has only other covers.

    The first time for its factors that takes a hundred pictures' heads.
    """
    if session.region() is None:
        raise ValueError(NOTHING)
    view.renderer.background(session.recipe, session.layer, session.factors_id)
    ways = coverings(session)
    return ways[0] if ways and len(ways[0]) > 1 else ()


def cover(session: Session, edits: tuple[Edit, ...]) -> Session:
    """A line more, of one edit or several; in place of one that covers the same region already."""
    if not edits:
        return replace(session, notice="Nothing else in this picture looks like background; choose another cover.")
    row = covering_row(session, edits[0])
    session = replace(session, presets=(*removals(edits), *session.presets)[:KNOWN])
    covered = session.replace_row(row, edits).take_up(row.start) if row else session.append(*edits)
    return covered.put_aside(any_size(edits[0]))


def covering_row(session: Session, edit: Edit) -> Row | None:
    """The line that covers this edit's region already: its edits have a raw α, or are what this tab made last."""
    for row in session.rows:
        first = session.recipe.edits[row.start]
        same = (first.op, first.factors, first.region) == (edit.op, edit.factors, edit.region)
        ours = first.alpha is not None or any_size(first) == session.aside(Edit)
        if same and ours and not is_named(row):
            return row


def is_named(row: Row | None) -> bool:
    return bool(row and row.preset and row.preset.name != COVERED)


def any_size(edit: Edit) -> Edit:
    """What stays of an edit when the slider moves it."""
    return replace(edit, strength=None, alpha=None, on=True)


def coverings(session: Session) -> list[tuple[Edit, ...]]:
    """What the chosen region could be covered with, the background first; none until the background is known.

    Raises: ValueError if nothing in the picture could cover it.
    """
    recipe, layer, factors_id, region = session.recipe, session.layer, session.factors_id, session.region()
    if region is None or not (gpu.forgets() or view.renderer.knows_background(recipe, factors_id)):
        return []
    key = ("coverings", view.origin(recipe), layer, factors_id, region)
    return view.kept.get(key, lambda: view.renderer.coverings(recipe, layer, factors_id, region))


def cover_tiles(session: Session) -> dict:
    """Each with the picture that a click would give, cropped around the region."""
    try:
        ways = coverings(session)
    except ValueError as error:
        return {"items": [], "note": str(error)}
    if not ways:
        return {"items": [], "note": "What else it could be covered with is shown here once “Remove it” was pressed."}
    row = covering_row(session, ways[0][0])
    now = session.recipe.edits[row.start : row.stop] if row else ()

    def is_on(way: tuple[Edit, ...]) -> bool:
        alike = len(now) == len(way) and all(map(view.is_same_look, now, way))
        return alike and view.strength_of(session, now[0]) * way[0].alpha > 0

    bare = session.remove(session.rows.index(row)) if row else session
    return view.edit_tiles(bare, ways, None, cover_words, is_on) | {"of": covers_of(session)}


def covers_of(session: Session) -> str:
    """Another picture has covers of its own."""
    return f"{view.sheet_of(session)} {session.recipe.seed}"


def cover_words(session: Session, way: tuple[Edit, ...]) -> str:
    if len(way) > 1:
        return "background, several looks"
    number, sign = view.renderer.background(session.recipe, session.layer, session.factors_id)
    is_background = way[0].appearance == number and way[0].alpha * sign > 0
    return "background" if is_background else view.look_words(session, way[0])


def choose_cover(session: Session, evt: gr.EventData) -> Session | None:
    way = clicked(evt, "cover", coverings(session), covers_of(session))
    return way and cover(session, way)


# ---- before and after ----


def before_and_after(session: Session) -> str:
    """The picture without its edits and with them, around the region, or, of a named edit, all of it; HTML.

    After a cover that changed little one sentence more: nobody can measure here whether the object is gone.
    """
    recipe, region, words = session.recipe, session.region(), ""
    named = is_named(session.row)
    if not recipe.ordered() or (region is None and not named):
        return ""
    images = torch.cat([view.renderer.base(recipe), view.renderer.image(recipe)])
    if named:
        shown = view.resized(images, SIDE)
    else:
        edit = view.look(session, 0)
        where = view.renderer.region_map(recipe, edit)
        shown = view.cropped(images, where, SIDE)
        change = difference(images[1:], images[:1])[0][where >= min(0.5, float(where.max()))]
        if covering_row(session, edit) and float(change.mean()) < LITTLE:
            words = sentence(still_words(session))
    return pair(dict(zip(("Before", "After, with all edits"), view.jpegs(shown)))) + words


def still_words(session: Session) -> str:
    finer = " Choose the fine parts under Picture settings." if session.layer != max(session.layers) else ""
    above = ", or press its name under “With a click”" if known(session) else ""
    return f"Little changed. Is it still there?{finer} Paint over all of it, make it stronger, try other covers{above}."


@plainly
def remove(recipe: str, part: float) -> tuple[PIL.Image.Image, str]:
    """The recipe (JSON text) with eight more edits that cover a part of its generator's default layer with background.

    Returns the picture and the new recipe.
    """
    session = view.opened(parse_recipe(recipe))
    session = choose_parts(session.choose_layer(view.first_layer(session.recipe)), [whole(part)])
    edits = view.renderer.removal(session.recipe, session.layer, session.factors_id, session.region())
    return answer(session.append(*edits).recipe)
