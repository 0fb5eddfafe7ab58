"""Named edits: the generator's presets, each shown on this picture."""

from dataclasses import replace

import gradio as gr
import torch
import torch.nn.functional as F
from torch import Tensor

from panda_core.presets import Preset
from panda_core.recipes import Recipe

from . import view
from .further import small
from .page import Page, sent
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
    items = [{"image": image, "label": preset.name, "title": preset.note} for image, preset in zip(images, found)]
    return {"items": items, "note": "", "of": session.recipe.generator}


@torch.inference_mode()
def pictures(recipe: Recipe, found: tuple[Preset, ...]) -> list[str]:
    """Thumbnails of a recipe without edits with each preset, those of one layer in one batch.

    Large pictures on a CPU take too long, and stay as they are.
    """
    images: dict[str, Tensor] = {}
    base = F.avg_pool2d(view.renderer.base(recipe), 2)
    if base.shape[-1] > LARGEST and base.device.type == "cpu":
        return [small(base)] * len(found)
    for layer in {edit.layer for preset in found for edit in preset.edits}:
        group = [preset for preset in found if {edit.layer for edit in preset.edits} == {layer}]
        if not group:
            continue
        still = group[0].edits[0].with_strength(0.0)
        trials = [still, *(preset.edits for preset in group)]
        plain, *shown = view.renderer.variants(view.with_last(recipe, still), 0, trials, half_size=True)
        # base - plain: what the picture has in full and half of its network leaves out, the same for all
        images |= {preset.name: image + base[0] - plain for preset, image in zip(group, shown)}
    for preset in found:
        if preset.name not in images:  # of several layers
            whole = view.renderer.image(replace(recipe, edits=preset.edits))
            images[preset.name] = F.avg_pool2d(whole, 2)[0]
    return [small(images[preset.name][None]) for preset in found]


def choose_named(session: Session, evt: gr.EventData) -> Session:
    """The edits of a preset, after those that there are."""
    index = sent(evt, "index")
    found = view.presets_of(session.recipe.generator)
    if sent(evt, "of") not in (None, session.recipe.generator):
        return session  # the click met tiles of another generator
    if type(index) is not int or not 0 <= index < len(found):
        raise ValueError(f"named edit is {index!r:.20}; {len(found)} are offered here.")
    return session.append(*found[index].edits)
