"""The edits in hand on other pictures, before and after."""

from dataclasses import replace

import gradio as gr
import torch

from panda_core.effects import SEEN
from panda_core.images import difference
from panda_core.jpegs import small
from panda_core.recipes import Recipe
from panda_core.rendering import Renderer
from panda_core.studio.pictures import seeds_from
from panda_core.studio.room import Room
from panda_core.studio.session import Session

from ..binding import Page
from ..components.html import sentence
from ..pictures import seed_tiles
from ..seeds import open_seed
from ..server.jobs import tell

OTHERS = 16


class OthersPanel(Room):
    def lay_out(self, page: Page) -> None:
        go = gr.Button("Try these edits on sixteen other pictures", size="sm", elem_id="try")
        page.follow(go, lambda s: gr.Button(interactive=bool(s.recipe.ordered())))
        page.job(go.click, self.try_others)
        page.follow(gr.HTML(), self.words)
        page.tiles("These edits on other pictures", self.tiles, open_seed, later=False, elem_id="others")

    def try_others(self, session: Session, report) -> tuple:
        """Makes the next pictures with the edits in hand; returns their key."""
        recipe = session.recipe
        if not recipe.ordered():
            raise ValueError("There is no edit to try yet; choose a change first.")
        key = ("others", recipe)
        self.pictures.kept.get(key, lambda: self.draw(recipe, report))
        return key

    def draw(self, recipe: Recipe, report) -> list[dict]:
        """Before and after of the OTHERS seeds that follow, and whether the edits can be seen there."""
        renderer, made = Renderer(self.renderer.catalogue, cached=8), []  # others' heads stay in the page's own
        for i, seed in enumerate(seeds_from(recipe.seed + 1, OTHERS)):
            tell(report, "Trying other pictures", i, OTHERS)
            other = replace(recipe, seed=seed, source=None)
            before, after = renderer.base(other), renderer.image(other)
            change = difference(after, before)[0].cpu()
            where = [renderer.region_map(other, recipe.edits[k]).cpu() for k in recipe.ordered()]
            inside = [float(change[m >= min(0.5, float(m.max()))].mean()) for m in where]
            pair = small(torch.cat([before, after]))
            made.append({"seed": seed, "seen": min(inside) >= SEEN, "before": pair[0], "image": pair[1]})
        return made

    def tried(self, session: Session) -> list[dict]:
        key = session.made(self.try_others)
        return (key and key[1].generator == session.recipe.generator and self.pictures.kept.get(key)) or []

    def words(self, session: Session) -> str:
        made = self.tried(session)
        if not made:
            return ""
        seen = sum(item["seen"] for item in made)
        stale = (
            "" if session.made(self.try_others)[1].edits == session.recipe.edits else " The edits have changed since."
        )
        return sentence(
            f"Seen in {seen} of {len(made)} pictures. Point at one for how it was before, click to open it.{stale}"
        )

    def tiles(self, session: Session) -> dict:
        made = self.tried(session)
        tiles = seed_tiles(session, {item["seed"]: item["image"] for item in made})
        for tile, item in zip(tiles["items"], made):
            tile |= {"before": item["before"], "label": tile["label"] + ("" if item["seen"] else ", hardly seen")}
        return tiles
