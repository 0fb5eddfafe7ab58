"""Examples under the tabs: pictures with their edits, to open and go on with."""

import json
from contextlib import suppress

import gradio as gr
import torch

from panda_core.generators.registry import GENERATORS
from panda_core.images import difference
from panda_core.recipes import Recipe, parse_recipe

from ..binding import Page
from ..components.html import heading
from ..given import clicked
from ..jpegs import small
from ..opening import Opening
from ..pictures import Pictures
from ..session import Session
from ..words import ABSENT

SHOWN = "Remove", "Rewrite"  # tabs with examples of their own


class ExamplesPanel:
    def __init__(self, pictures: Pictures, opening: Opening):
        self.pictures, self.renderer, self.opening = pictures, pictures.renderer, opening

    def lay_out(self, page: Page) -> None:
        page.follow(gr.HTML(), lambda s: heading("Examples") if self.recipes(s) else "", later=True)
        page.tiles("Examples", self.tiles, self.open, elem_id="examples")

    def recipes(self, session: Session) -> list[Recipe]:
        """Those of the generator in hand; on the Remove and Rewrite tabs those of all generators that ship, as far as
        they show just that, and where most is to be seen first."""
        mine, tab = self.of(session.recipe.generator), session.tab

        def of_tab() -> list[Recipe]:
            every = [recipe for name, spec in GENERATORS.items() if spec.bundled for recipe in self.of(name)]
            return sorted((r for r in every if self.tab(r) == tab), key=self.change, reverse=True)

        return (tab in SHOWN and self.pictures.kept.get(("examples", tab), of_tab)) or mine

    def of(self, name: str) -> list[Recipe]:
        """What examples.json beside a generator's weights holds, as far as it fits these."""
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

    def tab(self, recipe: Recipe) -> str | None:
        """The tab that shows what all edits of a recipe do: things go, or one appearance becomes another."""
        session = self.opening.opened(recipe)
        words = [self.pictures.edit_words(session, edit) for edit in recipe.edits]
        if all(edit.op == "rewrite" for edit in recipe.edits):
            return "Rewrite"
        goes = [edit.op == "remove" or said.startswith(ABSENT) for edit, said in zip(recipe.edits, words)]
        return "Remove" if all(goes) else None

    def change(self, recipe: Recipe) -> float:
        return float(difference(self.renderer.image(recipe), self.renderer.base(recipe)).mean())

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
