"""The Rewrite tab: what the chosen place shows most of becomes something else, there or everywhere."""

import gradio as gr

from panda_core.studio.pictures import of_place
from panda_core.studio.rewriting import Rewriting
from panda_core.studio.session import Session
from panda_core.studio.words import region_words

from ..binding import Page
from ..components.html import heading, hint
from ..given import clicked_edit


class RewriteTab(Rewriting):
    def lay_out(self, page: Page) -> None:
        hint("Click a place: what it shows becomes something else. Click it again to go on from there.")
        page.follow(gr.HTML(), lambda s: heading(self.place_words(s)))
        page.tiles("What it becomes", self.tiles, self.choose, about=of_place, elem_id="rewrite-targets")
        where = gr.Radio([], label="Where", visible=False, interactive=True, elem_id="rewrite-where")
        page.field(where, self.show_where, self.set_where)

    def place_words(self, session: Session) -> str:
        region = session.region()
        if region is None:
            return "Nothing is chosen yet"
        return f"{region_words(self.pictures.factors(session), region).capitalize()}: what is here becomes …"

    def show_where(self, session: Session):
        region = session.region()
        if region is None or region.all:
            return gr.Radio(visible=False)
        return gr.Radio([("Everywhere that looks like it", True), ("Only here", False)],
                        value=self.everywhere(session), visible=True)  # fmt: skip

    def set_where(self, session: Session, everywhere: bool) -> Session:
        return self.set_everywhere(session, everywhere is True)

    def tiles(self, session: Session) -> dict:
        found = self.results(session)
        if not found:
            lost = "Nothing here would change visibly; choose another place."
            return {"items": [], "note": "" if session.region() is None else lost}
        colours = {edit: colour for edit, _, colour in found}
        return self.pictures.edit_tiles(session, [row[:2] for row in found], colours.__getitem__)

    def choose(self, session: Session, evt: gr.EventData) -> Session | None:
        edit = clicked_edit(evt, "result", self.pictures, session, lambda: [row[0] for row in self.results(session)])
        return edit and session.toggle(edit).stay_at(session)
