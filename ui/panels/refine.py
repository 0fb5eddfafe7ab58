"""Parts refined to this picture (I Eq. 6, II Alg. 2), beside the parts as learned."""

import gradio as gr
import torch.nn.functional as F
from torch import Tensor

from panda_core.images import overlay_parts
from panda_core.jpegs import jpeg, resized
from panda_core.method.parts import scale_parts
from panda_core.recipes import Recipe
from panda_core.regions import parse_region
from panda_core.rendering import Renderer
from panda_core.studio.pictures import origin
from panda_core.studio.room import Room
from panda_core.studio.session import Session

from ..binding import Page
from ..components.html import figure, heading
from ..given import whole

METHODS = [("As learned", "none"), ("Refined", "dense"), ("Refined among neighbours", "graph")]


class RefinePanel(Room):
    def lay_out(self, page: Page) -> None:
        gr.HTML(heading("Parts refined to this picture"))
        method = gr.Radio(METHODS, label="Outline of the parts", value="none", interactive=True, elem_id="method")
        page.follow(gr.HTML(elem_classes="overlays"), self.overlays, later=True)
        page.field(method, lambda s: s.refine, set_refine)

    def overlays(self, session: Session) -> str:
        """The parts as learned and as refined; HTML. Nothing where they are not refined."""
        if session.refine == "none":
            return (
                "<p>Refined parts follow the outlines of this very picture; an edit of an appearance follows them.</p>"
            )
        where = session.recipe, session.layer, session.factors_id

        def overlay(method: str) -> str:
            k = session.k if method == "graph" else 32
            key = "overlay", origin(session.recipe), *where[1:], method, k
            draw = lambda: parts_picture(self.renderer, *where[:2], self.renderer.parts(*where, method, k))  # noqa: E731
            return self.pictures.kept.get(key, draw)

        learned = figure(overlay("none"), "As learned, the same for every picture")
        return learned + figure(overlay(session.refine), "Refined to this picture")


def set_refine(session: Session, method: str, k: float = 32) -> Session:
    """How the parts are refined, checked as the recipe's validator does."""
    region = parse_region({"parts": [0], "refine": method} | ({"k": whole(k)} if method == "graph" else {}))
    return session.set_refine(region.refine, region.k)


def parts_picture(renderer: Renderer, recipe: Recipe, layer: int, parts: Tensor, side: int = 224) -> str:
    """JPEG of the picture without edits, tinted with parts P [S, R_S], `side` pixels wide."""
    generator = renderer.generator(recipe)
    top, left, bottom, right = generator.frame(layer)
    maps = scale_parts(parts.cpu()).t().reshape(-1, 1, *generator.layers[layer][1:])[:, :, top:bottom, left:right]
    maps = F.interpolate(maps, (side, side), mode="bilinear", align_corners=False)[:, 0]
    return jpeg(overlay_parts(resized(renderer.base(recipe), side), maps))
