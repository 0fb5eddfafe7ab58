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
        if not edit.size:
            return "as it was"
        if edit.op == "remove":
            return "covered with background"
        name = self.end_name(session, edit)
        return name if name.startswith(ABSENT) else "changed until it is gone"

    def shown(self, session: Session) -> list[Edit]:
        """The ways, and first none of them: one of strength 0."""
        ways = self.ways(session)
        return [ways[0].with_size(0.0), *ways] if ways else []

    def tiles(self, session: Session) -> dict:
        region = session.region()
        if region is not None and region.all:
            return {"items": [], "note": "You cannot remove everything; choose a thing or a part, or paint."}
        ways = self.shown(session)
        if not ways:
            return {"items": [], "note": "" if region is None else self.no_way(session)}
        there = self.bring_back(session)
        made = [(way, self.pictures.results(there, [way])[0][0]) for way in ways]
        tiles = self.pictures.edit_tiles(session, made, lambda edit: self.words(session, edit))
        gone = any(tile["on"] for tile in tiles["items"])
        tiles["items"][0]["on"] = not gone
        return tiles | {"note": "" if gone else "None of these is applied: choose what looks best."}

    def no_way(self, session: Session) -> str:
        if self.is_background(session):
            return "This is background; there is nothing here to take away."
        return "Nothing here takes it away; choose more of it, or paint over all of it."

    def choose(self, session: Session, evt: gr.EventData) -> Session | None:
        way = clicked_edit(evt, "way", self.pictures, session, lambda: self.shown(session))
        return way and (self.apply(session, way) if way.size else self.bring_back(session))

    def after_pick(self, session: Session, part: int | None = None, at: tuple[float, float] | None = None) -> Session:
        """What was just chosen on this tab goes at once."""
        return self.take(session, part, at)
