"""The Remove tab: what is chosen goes, and the ways it can go are results to choose from."""

import gradio as gr

from panda_core.ops import Edit
from panda_core.studio.pictures import of_place
from panda_core.studio.removal import Removal
from panda_core.studio.session import Session
from panda_core.studio.words import ABSENT, region_words

from ..binding import Page
from ..components.html import heading, hint
from ..given import clicked_edit


class RemoveTab(Removal):
    def lay_out(self, page: Page) -> None:
        hint("Click what should go. If it reaches further, press “Several” and click more, or paint over all of it.")
        page.follow(gr.HTML(), lambda s: heading(self.place_words(s)))
        page.tiles("Without it", self.tiles, self.choose, about=of_place, elem_id="removals")

    def place_words(self, session: Session) -> str:
        region = session.region()
        if region is None:
            return "Nothing is chosen yet"
        return f"Remove: {region_words(self.pictures.factors(session), region)}"

    def words(self, session: Session, edit: Edit) -> str:
        if edit.op == "remove":
            return "covered with background"
        name = self.end_name(session, edit)
        return name if name.startswith(ABSENT) else "changed until it is gone"

    def tiles(self, session: Session) -> dict:
        region = session.region()
        if region is not None and region.all:
            return {"items": [], "note": "You cannot remove everything; choose a thing or a part, or paint."}
        ways = self.ways(session)
        if not ways:
            return {"items": [], "note": "" if region is None else self.no_way(session)}
        made = [(way, self.pictures.results(session, [way])[0][0]) for way in ways]
        return self.pictures.edit_tiles(session, made, lambda edit: self.words(session, edit))

    def no_way(self, session: Session) -> str:
        if self.is_background(session):
            return "This is background; there is nothing here to take away."
        return "Nothing here takes it away; choose more of it, or paint over all of it."

    def choose(self, session: Session, evt: gr.EventData) -> Session | None:
        way = clicked_edit(evt, "way", self.pictures, session, lambda: self.ways(session))
        return way and self.apply(session, way)

    def after_pick(self, session: Session, part: int | None = None, at: tuple[float, float] | None = None) -> Session:
        """What was just chosen on this tab goes at once."""
        session, gone = self.take(session, part, at)
        if not gone:
            gr.Info("Nothing takes all of it away; choose what looks best.", title="Still there")
        return session
