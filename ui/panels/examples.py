"""Examples under the tabs: pictures with their edits, to open and go on with."""

import json
from contextlib import suppress

import gradio as gr
import torch

from panda_core.generators.registry import GENERATORS
from panda_core.jpegs import small
from panda_core.recipes import Recipe, parse_recipe
from panda_core.studio.room import Room
from panda_core.studio.session import Session

from ..binding import Page
from ..components.html import heading
from ..given import clicked


class ExamplesPanel(Room):
    def lay_out(self, page: Page) -> None:
        page.follow(
            gr.HTML(),
            lambda s: heading("Examples: point at one for how it was before") if self.recipes(s) else "",
            later=True,
        )
        page.tiles("Examples", self.tiles, self.open, elem_id="examples")

    def recipes(self, session: Session) -> list[Recipe]:
        """What examples.json beside the weights of the generator in hand holds, as far as it fits these."""
        name = session.recipe.generator
        path = GENERATORS[name].folder() / "examples.json" if name in GENERATORS else None
        if path is None or not path.is_file():
            return []
        return self.pictures.kept.get(("examples of", name), lambda: self.read(path.read_bytes()))

    def read(self, data: bytes) -> list[Recipe]:
        found = []
        with suppress(ValueError, TypeError):
            for given in json.loads(data):
                with suppress(ValueError):  # made for other weights
                    found.append(self.opening.opened(parse_recipe(given)).recipe)
        return found

    def tiles(self, session: Session) -> dict:
        """The value of Tiles; under the pointer each picture is as it was before."""
        found = self.recipes(session)
        drawn = self.pictures.kept.get(("example tiles", tuple(found)), lambda: [self.tile(r) for r in found])
        items = [tile | {"on": session.recipe == recipe} for tile, recipe in zip(drawn, found)]
        return {"items": items, "note": "", "of": which(found)}

    def tile(self, recipe: Recipe) -> dict:
        pair = small(torch.cat([self.renderer.base(recipe), self.renderer.image(recipe)]))
        words = self.pictures.edits_words(self.opening.opened(recipe))
        return {"before": pair[0], "image": pair[1], "label": words}

    def open(self, session: Session, evt: gr.EventData) -> Session | None:
        found = self.recipes(session)
        recipe = clicked(evt, "example", found, which(found))
        return recipe and self.opening.opened(recipe).after(session)


def which(recipes: list[Recipe]) -> str:
    """Which examples these are."""
    return " ".join(f"{r.generator}/{r.seed}" for r in recipes)
