"""Named edits: the generator's presets, each shown on this picture."""

from collections.abc import Sequence
from dataclasses import replace

import gradio as gr
import PIL.Image
import torch
from torch import Tensor

from panda_core.presets import Preset
from panda_core.recipes import Recipe, parse_recipe

from . import view
from .page import Page, answer_with, clicked, number, plainly
from .rows import MOST
from .session import Session

LARGEST = 256  # pixels of a picture that a CPU draws with every preset


def named_panel(page: Page) -> None:
    with page.fold("Named edits", elem_id="named"):
        page.tiles("Named edits", named_tiles, choose_named)


def named_tiles(session: Session) -> dict:
    found = view.presets_of(session.recipe.generator)
    note = "They add up, each with a strength of its own. Click one again to take it away."
    return tiles_of(session, found, note if found else "Nobody has named edits for this generator yet.")


def tiles_of(session: Session, some: Sequence[Preset], note: str = "") -> dict:
    """The value of Tiles: this picture with each of some presets alone, so that all are drawn once a picture."""
    found, recipe = view.presets_of(session.recipe.generator), replace(session.recipe, edits=())
    images = view.kept.get(("named", view.origin(recipe)), lambda: pictures(recipe, found)) if some else []
    there = {row.preset.name for row in session.rows if row.preset}
    items = [
        {"image": image, "label": preset.name, "title": preset.note, "on": preset.name in there}
        for image, preset in zip(images, found)
        if preset in some
    ]
    return {"items": items, "note": note, "of": session.recipe.generator}


@torch.inference_mode()
def pictures(recipe: Recipe, found: tuple[Preset, ...]) -> list[str]:
    """Thumbnails of a recipe without edits with each preset, those of one layer in one batch.

    Large pictures on a CPU take too long, and stay as they are.
    """
    images: dict[str, Tensor] = {}
    base = view.renderer.base(recipe)
    if base.shape[-1] > LARGEST and base.device.type == "cpu":
        return view.small(base) * len(found)
    for layer in {preset.edits[0].layer for preset in found}:
        group = {preset.name: preset.edits for preset in found if {e.layer for e in preset.edits} == {layer}}
        if group:
            trials = list(group.values())
            images |= zip(group, view.renderer.variants(view.with_last(recipe, trials[0][0]), 0, trials))
    for preset in found:
        if preset.name not in images:  # of several layers
            images[preset.name] = view.renderer.image(replace(recipe, edits=preset.edits))[0].cpu()
    return view.small(torch.stack([images[preset.name] for preset in found]))


def choose_named(session: Session, evt: gr.EventData) -> Session | None:
    return toggle(session, evt, view.presets_of(session.recipe.generator))


def toggle(session: Session, evt: gr.EventData, some: Sequence[Preset]) -> Session | None:
    """One of some presets, after the edits that there are; one that is there already is taken away."""
    preset = clicked(evt, "named edit", some, session.recipe.generator)
    there = [number for number, row in enumerate(session.rows) if preset and row.preset == preset]
    return session.remove(there[-1]) if there else preset and session.append(*preset.edits)


@plainly
def named(recipe: str, name: str, strength: float = 1.0) -> tuple[PIL.Image.Image, str]:
    """The recipe (JSON text) with one of its generator's named edits more, such as "open mouth" or "glasses off".

    An unknown name is answered with the names that there are. strength: 0 to 2 times as strong as named. Returns the
    picture and the new recipe.
    """
    made = parse_recipe(recipe)
    found = {preset.name: preset for preset in view.presets_of(made.generator)}
    if name not in found:
        raise ValueError(f"There is no named edit {name!r:.60}; there are: {', '.join(found) or 'none'}.")
    times = number("strength", strength, 0.0, MOST)
    return answer_with(made, *(edit.scaled(times) for edit in found[name].edits))
