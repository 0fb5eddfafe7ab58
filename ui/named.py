"""Named edits: the generator's presets, each shown on this picture."""

from dataclasses import replace

import gradio as gr
import torch
import torch.nn.functional as F
from torch import Tensor

from panda_core.presets import Preset
from panda_core.recipes import Recipe

from . import view
from .page import Page, clicked
from .session import Session
from .widgets import Tiles

LARGEST = 128  # pixels of a thumbnail that a CPU draws for every preset


def named_panel(page: Page) -> None:
    with page.fold("Named edits", elem_id="named"):
        tiles = Tiles(group="Named edits")
        page.follow(tiles, named_tiles, later=True)
        page.on(tiles.choose, choose_named)


def named_tiles(session: Session) -> dict:
    """This picture with each of the presets alone, so that they are drawn once a picture."""
    found, recipe = view.presets_of(session.recipe.generator), replace(session.recipe, edits=())
    if not found:
        return {"items": [], "note": "Nobody has named edits for this generator yet."}
    images = view.kept.get(("named", view.origin(recipe)), lambda: pictures(recipe, found))
    there = {row.preset.name for row in session.rows if row.preset}
    items = [
        {"image": image, "label": preset.name, "title": preset.note, "on": preset.name in there}
        for image, preset in zip(images, found)
    ]
    note = "They add up, each with a strength of its own. Click one again to take it away."
    return {"items": items, "note": note, "of": session.recipe.generator}


@torch.inference_mode()
def pictures(recipe: Recipe, found: tuple[Preset, ...]) -> list[str]:
    """Thumbnails of a recipe without edits with each preset, those of one layer in one batch.

    Large pictures on a CPU take too long, and stay as they are.
    """
    images: dict[str, Tensor] = {}
    base = F.avg_pool2d(view.renderer.base(recipe), 2)
    if base.shape[-1] > LARGEST and base.device.type == "cpu":
        return [small(base[0])] * len(found)
    for layer in {preset.edits[0].layer for preset in found}:
        group = {preset.name: preset.edits for preset in found if {e.layer for e in preset.edits} == {layer}}
        if group:
            trials = list(group.values())
            images |= zip(group, view.previews(view.with_last(recipe, trials[0][0]), 0, trials))
    for preset in found:
        if preset.name not in images:  # of several layers
            images[preset.name] = view.renderer.image(replace(recipe, edits=preset.edits))[0]
    return [small(images[preset.name]) for preset in found]


def small(image: Tensor) -> str:
    return view.jpegs(view.resized(image[None], 128))[0]


def choose_named(session: Session, evt: gr.EventData) -> Session | None:
    """A named edit, after the edits that there are; one that is there already is taken away."""
    generator = session.recipe.generator
    preset = clicked(evt, "named edit", view.presets_of(generator), generator)
    there = [number for number, row in enumerate(session.rows) if preset and row.preset == preset]
    return session.remove(there[-1]) if there else preset and session.append(*preset.edits)
