"""What is chosen goes: the ways it can go, the best first (I 4.1.1, and ours)."""

from collections.abc import Sequence

from ..effects import SEEN, holds_background, region_on, remains, touches_background
from ..ops import Edit
from .changes import Changes
from .pictures import of_place
from .places import clicked_at, note_click
from .room import Room
from .session import Session
from .words import ABSENT

VARIATIONS = 12  # tried
LEAVING, GONE = 0.7, 0.5  # of the distance to the background that is left where a way is offered, and taken at once
COVERED = 0.4  # the same where a cover is taken at once: it only fades what its layer does not hold
OFFERED = 8


class Removal(Room):
    def __init__(self, changes: Changes):
        super().__init__(changes.pictures)
        self.changes = changes

    def ways(self, session: Session, at: tuple[float, float] | None = None) -> list[Edit]:
        """`ranked` without what they leave."""
        return self.ranked(session, at)[0]

    def ranked(self, session: Session, at: tuple[float, float] | None = None) -> tuple[list[Edit], dict[Edit, float]]:
        """(ways, what each leaves, as `measured`): edits that take the chosen region away and can be seen to, the best
        first: changes after which background is there; changes named for it ("no hat"), whatever their layer, those
        first that act most where it was clicked, `at` or as the session says; others that leave less of it; the
        picture's background over it; ends without a name that leave less."""
        region, at = session.region(), at or clicked_at(session)
        if region is None or region.all:
            return [], {}
        cover = Edit("remove", session.layer, session.factors_id, region, strength=1.0)
        where = session.recipe, session.layer, session.factors_id, region
        try:  # a wall over a mouth takes nothing away; who paints has said where
            stands_before = region.mask is not None or touches_background(self.renderer, *where)
            covers = [cover] if stands_before and self.pictures.results(session, [cover])[0][1] >= SEEN else []
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
        return list(dict.fromkeys(ways))[:OFFERED], left

    def unnamed(self, session: Session) -> list[Edit]:
        """Ends of the region's first variations that nobody has named, and can be seen."""
        free = [edit for edit in self.changes.unnamed(session) if edit.variation < VARIATIONS]
        results = self.pictures.results(session, free, quick=True)
        return [edit for edit, (_, change) in zip(free, results) if change >= SEEN]

    def measured(self, session: Session, edits: Sequence[Edit], at: tuple[float, float] | None) -> dict[Edit, float]:
        """What each edit alone leaves of the chosen place, `remains`, on the finest grid with parts: what is covered on
        a coarse one may be drawn again."""
        layer, factors_id = session.finest

        def measure() -> dict[Edit, float]:
            p = region_on(self.renderer, session.recipe, session.layer, session.region(), session.factors_id, layer)
            return remains(self.renderer, session.recipe, edits, layer, factors_id, p, at)

        return self.pictures.kept.get(("left", of_place(session), at, tuple(edits)), measure)

    def end_name(self, session: Session, edit: Edit) -> str:
        ends = self.pictures.ends(session, edit)
        return "" if ends is None else ends.low if edit.strength < 0 else ends.high

    def gone(self, session: Session) -> list[int]:
        """Numbers of the edits by which the chosen place went."""
        there = (session.recipe.find_like(way) for way in self.ways(session) if session.recipe.has(way))
        return sorted({i for i in there if i is not None})

    def bring_back(self, session: Session) -> Session:
        """The chosen place as it was before it went."""
        for i in reversed(self.gone(session)):
            session = session.remove(i).stay_at(session)
        return session

    def apply(self, session: Session, way: Edit) -> Session:
        """In place of another way that this region went already. What has a name of its own goes beside the rest: of
        two trees both."""
        if session.recipe.has(way):
            return session
        ways = () if way.op == "vary" and self.end_name(session, way) else self.ways(session)
        there = [i for i in map(session.recipe.find_like, ways) if i is not None]
        return session.put(there[-1], way).take_up(there[-1]) if there else self.changes.toggle(session, way)

    def take(self, session: Session, part: int | None, at: tuple[float, float] | None) -> Session:
        """What was just chosen goes, the best way, if one takes it away. Of the background only the part clicked, where
        something may stand before it."""
        region = session.region()
        where = session.recipe, session.layer, session.factors_id, region
        if part is not None and region and len(region.parts) > 1 and holds_background(self.renderer, *where):
            session = note_click(session.choose((part,)), at)
        ways, left = self.ranked(session)
        if not ways or session.recipe.has(ways[0]) or not self.takes_away(session, ways[0], left):
            return session
        return self.changes.toggle(session, ways[0])

    def takes_away(self, session: Session, way: Edit, left: dict[Edit, float]) -> bool:
        """Whether the chosen place is gone after a way, rather than fainter. What is named for that is believed, a
        cover where background lies round the place."""
        where = session.recipe, session.layer, session.factors_id, session.region()
        if way.op == "remove":
            return left[way] <= COVERED and touches_background(self.renderer, *where)
        return self.pictures.edit_words(session, way).startswith(ABSENT) or left.get(way, 1.0) <= GONE

    def is_background(self, session: Session) -> bool:
        """Whether the chosen place holds as much background as background does."""
        where = session.recipe, session.layer, session.factors_id, session.region()
        return holds_background(self.renderer, *where)
