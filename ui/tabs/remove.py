"""The Remove tab: what is chosen goes, and the ways it can go are results to choose from (I 4.1.1, and ours)."""

from collections.abc import Sequence

import gradio as gr

from panda_core.effects import SEEN, holds_background, region_on, remains, touches_background
from panda_core.ops import Edit

from ..binding import Page
from ..changes import Changes
from ..components.html import heading, hint
from ..given import clicked_edit
from ..panel import Panel
from ..pictures import Pictures, of_place
from ..session import Session
from ..words import ABSENT, region_words

VARIATIONS = 12  # tried
LEAVING, GONE = 0.7, 0.5  # of the distance to the background that is left where a way is offered, and taken at once
COVERED = 0.4  # the same where a cover is taken at once: it only fades what its layer does not hold
SHOWN = 8


class RemoveTab(Panel):
    def __init__(self, pictures: Pictures, changes: Changes):
        super().__init__(pictures)
        self.changes = changes

    def lay_out(self, page: Page) -> None:
        hint("Click what should go. If it reaches further, press “Several” and click more, or paint over all of it.")
        page.follow(gr.HTML(), lambda s: heading(self.place_words(s)))
        page.tiles("Without it", self.tiles, self.choose, about=of_place, elem_id="removals")

    def place_words(self, session: Session) -> str:
        region = session.region()
        if region is None:
            return "Nothing is chosen yet"
        return f"Remove: {region_words(self.pictures.factors(session), region)}"

    def ways(self, session: Session, at: tuple[float, float] | None = None) -> list[Edit]:
        """`ranked` without what they leave."""
        return self.ranked(session, at)[0]

    def ranked(self, session: Session, at: tuple[float, float] | None = None) -> tuple[list[Edit], dict[Edit, float]]:
        """(ways, what each leaves, as `measured`): edits that take the chosen region away and can be seen to, the best
        first: changes after which background is there; changes named for it ("no hat"), whatever their layer, those
        first that act most where it was clicked; others that leave less of it; the picture's background over it; ends
        without a name that leave less."""
        region, at = session.region(), at or self.clicked(session)
        if region is None or region.all:
            return [], {}
        cover = Edit("remove", session.layer, session.factors_id, region, strength=1.0)
        try:
            covers = [cover] if self.pictures.results(session, [cover])[0][1] >= SEEN else []
        except ValueError:  # nothing else in the picture is background
            covers = []
        here = self.changes.here(session, at)
        named = [edit for edit in here if self.pictures.edit_words(session, edit).startswith(ABSENT)]
        others = [edit for edit in here if edit not in named and edit.layer <= session.layer]
        free = self.unnamed(session)
        left = self.measured(session, [*named, *others, *covers, *free], at)

        def after(edits: Sequence[Edit], most: float) -> list[Edit]:
            return sorted((edit for edit in edits if left.get(edit, 1.0) <= most), key=left.__getitem__)

        ways = after([*named, *others, *free], GONE) + named
        ways += [*after(others, LEAVING), *after(covers, LEAVING), *after(free, LEAVING)]
        return list(dict.fromkeys(ways))[:SHOWN], left

    def unnamed(self, session: Session) -> list[Edit]:
        """Ends of the region's first variations that nobody has named, and can be seen."""
        free = [edit for edit in self.changes.unnamed(session) if edit.variation < VARIATIONS]
        results = self.pictures.results(session, free, quick=True)
        return [edit for edit, (_, change) in zip(free, results) if change >= SEEN]

    def measured(self, session: Session, edits: Sequence[Edit], at: tuple[float, float] | None) -> dict[Edit, float]:
        """What each edit alone leaves of the chosen place, `remains`, on the finest grid with parts: what is covered on
        a coarse one may be drawn again."""
        layer = max(session.layers)

        def measure() -> dict[Edit, float]:
            p = region_on(self.renderer, session.recipe, session.layer, session.region(), session.factors_id, layer)
            return remains(self.renderer, session.recipe, edits, layer, session.layers[layer], p, at)

        return self.pictures.kept.get(("left", of_place(session), at, tuple(edits)), measure)

    def clicked(self, session: Session) -> tuple[float, float] | None:
        """Where the chosen place was clicked, if it was."""
        place, at = session.aside("clicked", ("", None))
        return at if place == of_place(session) else None

    def end_name(self, session: Session, edit: Edit) -> str:
        ends = self.pictures.ends(session, edit)
        return "" if ends is None else ends.low if edit.strength < 0 else ends.high

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
        if holds_background(self.renderer, session.recipe, session.layer, session.factors_id, session.region()):
            return "This is background; there is nothing here to take away."
        return "Nothing here takes it away; choose more of it, or paint over all of it."

    def choose(self, session: Session, evt: gr.EventData) -> Session | None:
        way = clicked_edit(evt, "way", self.pictures, session, lambda: self.ways(session))
        return way and self.apply(session, way)

    def apply(self, session: Session, way: Edit) -> Session:
        """In place of another way that this region went already; a second click brings it back. What has a name of its
        own goes beside the rest: of two trees both."""
        ways = () if way.op == "vary" and self.end_name(session, way) else self.ways(session)
        there = [i for i in map(session.recipe.find_like, ways) if i is not None]
        if there and not session.recipe.has(way):
            return session.put(there[-1], way).take_up(there[-1])
        return self.changes.toggle(session, way)

    def after_pick(self, session: Session, part: int | None = None, at: tuple[float, float] | None = None) -> Session:
        """What was just chosen on this tab goes at once, the best way; of the background only the part clicked, where
        something may stand before it."""
        region = session.region()
        where = session.recipe, session.layer, session.factors_id, region
        if part is not None and region and len(region.parts) > 1 and holds_background(self.renderer, *where):
            session = session.choose((part,))
            session = session.put_aside("clicked", (of_place(session), at))
        ways, left = self.ranked(session)
        if not ways or session.recipe.has(ways[0]):
            return session
        if not self.takes_away(session, ways[0], left):
            gr.Info("Nothing takes all of it away; choose what looks best.", title="Still there")
            return session
        return self.changes.toggle(session, ways[0])

    def takes_away(self, session: Session, way: Edit, left: dict[Edit, float]) -> bool:
        """Whether the chosen place is gone after a way, rather than fainter. What is named for that is believed, a
        cover where background lies round the place."""
        where = session.recipe, session.layer, session.factors_id, session.region()
        if way.op == "remove":
            return left[way] <= COVERED and touches_background(self.renderer, *where)
        return self.pictures.edit_words(session, way).startswith(ABSENT) or left.get(way, 1.0) <= GONE
