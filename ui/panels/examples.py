"""Examples under the tabs: pictures with named edits, to open and go on with."""

import gradio as gr
import torch

from panda_core.presets import examples
from panda_core.recipes import Recipe

from . import view
from .page import Page, clicked, heading
from .session import Session


def examples_panel(page: Page) -> None:
    page.follow(gr.HTML(), lambda s: heading("Examples") if examples_of(s) else "")
    page.tiles("Examples", example_tiles, open_example, elem_id="examples")


def examples_of(session: Session) -> tuple[Recipe, ...]:
    name = session.recipe.generator
    return view.kept.get(("examples", name), lambda: examples(name, view.presets_of(name)))


def example_tiles(session: Session) -> dict:
    """The value of Tiles; under the pointer each picture is as it was before."""
    found = examples_of(session)
    tiles = view.kept.get(("example tiles", session.recipe.generator), lambda: [example_tile(r) for r in found])
    items = [tile | {"on": session.recipe == recipe} for tile, recipe in zip(tiles, found)]
    return {"items": items, "note": "", "of": session.recipe.generator}


def example_tile(recipe: Recipe) -> dict:
    before, after = view.renderer.base(recipe), view.renderer.image(recipe)
    pair = view.small(torch.cat([before, after]))
    return {"before": pair[0], "image": pair[1], "label": view.edits_words(view.opened(recipe))}


def open_example(session: Session, evt: gr.EventData) -> Session | None:
    recipe = clicked(evt, "example", examples_of(session), session.recipe.generator)
    return recipe and view.opened(recipe).after(session)
