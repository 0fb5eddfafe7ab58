"""The Remove tab: what is chosen goes, and the ways it can go are results to choose from (I 4.1.1, and ours)."""

from dataclasses import replace

import gradio as gr

from panda_core.ops import Edit
from panda_core.regions import Region

from ..binding import Page
from ..changes import Changes
from ..components.html import heading, hint
from ..given import clicked_edit
from ..panel import Panel
from ..pictures import Pictures
from ..session import Session
from ..words import ABSENT, SEEN, region_words, unnamed

ENDS, END, LEAVING = 12, 3.0, 0.85  # variations tried, their strength, and the distance to the background that is left
SHOWN = 8


class RemoveTab(Panel):
    def __init__(self, pictures: Pictures, changes: Changes):
        super().__init__(pictures)
        self.changes = changes

    def lay_out(self, page: Page) -> None:
        hint("Click what should go. If it reaches further, press “Several” and click more, or paint over all of it.")
        page.follow(gr.HTML(), lambda s: heading(self.place_words(s)))
        page.tiles("Without it", self.tiles, self.choose, elem_id="removals")

    def place_words(self, session: Session) -> str:
        region = session.region()
        if region is None:
            return "Nothing is chosen yet"
        return f"Without {region_words(self.pictures.factors(session), region)}"

    def ways(self, session: Session, at: tuple[float, float] | None = None) -> list[Edit]:
        """Edits that take the chosen region away and can be seen to, the best first: changes named for it ("no hat"),
        whatever their layer, those first that act most where it was clicked; the picture's background over it;
        variations that bring it nearer to the background."""
        region = session.region()
        if region is None or region.all:
            return []
        where = session.layer, session.factors_id, region
        covers = [Edit("remove", *where, strength=1.0)]
        try:
            changes = [change for _, change in self.pictures.results(session, covers)]
        except ValueError:  # nothing else in the picture is background
            covers, changes = [], []
        covers = [edit for edit, change in zip(covers, changes) if change >= SEEN]
        here = self.changes.here(session, at)
        named = [edit for edit in here if self.pictures.edit_words(session, edit).startswith(ABSENT)]
        nearer = [
            edit
            for edit in self.nearer(session, replace(region, refine="none", k=32))
            if not self.end_name(session, edit)
        ]  # with a name it is one of those above, or no removal
        return [*named, *covers, *nearer][:SHOWN]

    def nearer(self, session: Session, region: Region) -> list[Edit]:
        """Ends of the region's variations after which less of it is there.

        By ‖m(Z + sE) - b‖ / ‖m(Z) - b‖, m the mean of a region's features and b that of the picture's
        background: our own measure, an order rather than a proof.
        """
        where = session.layer, session.factors_id, region
        if not self.renderer.knows_variations(session.recipe, *where):
            return []
        found = self.renderer.variations(session.recipe, *where)
        edits = [
            Edit("vary", *where, variation=m, strength=s) for m in range(min(ENDS, len(found))) for s in (-END, END)
        ]
        shown = [
            e for e, (_, change) in zip(edits, self.pictures.results(session, edits, quick=True)) if change >= SEEN
        ]
        Z = self.renderer.features(session.recipe, session.layer).features.flatten(2)[0]  # [C, S]
        p = self.renderer.region(session.recipe, session.layer, region, session.factors_id).to(Z)
        try:
            cells = self.renderer.background_cells(session.recipe, session.layer, session.factors_id, p)
        except ValueError:
            return []
        background, mean = Z[:, cells].mean(dim=1), (Z @ p) / p.sum()

        def left(edit: Edit) -> float:
            E = found.direction(edit.variation).to(Z)
            after = mean + edit.strength * (E @ p) / p.sum()
            return float((after - background).norm() / (mean - background).norm().clamp_min(1e-6))

        return sorted((e for e in shown if left(e) <= LEAVING), key=left)

    def end_name(self, session: Session, edit: Edit) -> str:
        ends = self.pictures.ends(session, edit)
        return "" if ends is None else ends.low if edit.strength < 0 else ends.high

    def words(self, session: Session, edit: Edit) -> str:
        if edit.op == "remove":
            return "covered with background"
        return self.end_name(session, edit) or unnamed(edit)

    def tiles(self, session: Session) -> dict:
        region = session.region()
        if region is not None and region.all:
            return {"items": [], "note": "You cannot remove everything; choose a thing or a part, or paint."}
        ways = self.ways(session)
        if not ways:
            note = "" if region is None else "Nothing here takes it away; choose more of it, or paint over all of it."
            return {"items": [], "note": note}
        made = [(way, self.pictures.results(session, [way])[0][0]) for way in ways]
        return self.pictures.edit_tiles(session, made, lambda edit: self.words(session, edit))

    def choose(self, session: Session, evt: gr.EventData) -> Session | None:
        way = clicked_edit(evt, "way", self.pictures, session, lambda: self.ways(session))
        return way and self.apply(session, way)

    def apply(self, session: Session, way: Edit) -> Session:
        """In place of another way that this region went already; a second click brings it back. What has a name of its
        own goes beside the rest: of two trees both."""
        ways = () if way.op == "vary" and self.end_name(session, way) else self.ways(session)
        there = [i for i in map(session.find_like, ways) if i is not None]
        if there and not session.has(way):
            return session.put(there[-1], way).take_up(there[-1])
        return self.changes.toggle(session, way)

    def is_background(self, session: Session) -> bool:
        """Whether what is chosen holds as much of the background's appearance as background does, on average."""
        where = session.recipe, session.layer, session.factors_id
        number, sign = self.renderer.background(*where)
        p = self.renderer.region(*where[:2], session.region(), session.factors_id)
        amount = sign * self.renderer.saliency(*where, number)[0]
        return float((amount @ p.to(amount)) / p.sum()) >= sign * self.pictures.factors(session).threshold(number)

    def after_pick(self, session: Session, part: int | None = None, at: tuple[float, float] | None = None) -> Session:
        """What was just chosen on this tab goes at once, the best way; of the background only the part clicked, where
        something may stand before it."""
        region = session.region()
        if part is not None and region and len(region.parts) > 1 and self.is_background(session):
            session = session.choose((part,))
        ways = self.ways(session, at)
        if not ways or session.has(ways[0]):
            return session
        return self.changes.toggle(session, ways[0])
