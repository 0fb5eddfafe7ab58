"""Parts refined to this picture (I Eq. 6, II Alg. 2), beside the parts as learned."""

import gradio as gr

from panda_core.jpegs import jpeg
from panda_core.reading import as_whole
from panda_core.regions import parse_region
from panda_core.studio.pictures import origin
from panda_core.studio.room import Room
from panda_core.studio.session import Session

from ..binding import Page
from ..components.html import figure, heading

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
            parts = lambda: self.renderer.parts(*where, method, k)  # noqa: E731
            return self.pictures.kept.get(key, lambda: jpeg(self.pictures.with_parts(*where[:2], parts())))

        learned = figure(overlay("none"), "As learned, the same for every picture")
        return learned + figure(overlay(session.refine), "Refined to this picture")


def set_refine(session: Session, method: str, k: float = 32) -> Session:
    """How the parts are refined, checked as the recipe's validator does."""
    region = parse_region({"parts": [0], "refine": method} | ({"k": as_whole(k)} if method == "graph" else {}))
    return session.set_refine(region.refine, region.k)
