"""What can change at a place: named changes that can be seen there ("smile", "no hat"), ends of variations that nobody
has named, and the same place of other pictures."""

from ..effects import SEEN, SeenChanges
from ..ops import Edit
from ..popular import STRENGTH, Change, popular
from ..regions import Region
from .pictures import leading_part, origin, seeds_from
from .room import Room
from .session import Session

TILES, NAMED, ENOUGH, FEW, POPULAR = 12, 14, 7, 4, 10
TRIED, PAIRS = 24, 6  # appearances suggested for a part that are tried, and offered
FAINT = 0.25  # of the strongest change; what shows less is not offered


class Changes(Room):
    """The changes of each generator."""

    def known(self, session: Session) -> tuple[Change, ...]:
        """All that have a name, in the order of what they make up for."""
        name = session.recipe.generator
        weights = self.renderer.catalogue.generator(name).weights
        return self.pictures.kept.get(("popular", name, weights), lambda: popular(self.renderer.catalogue, name))

    def seen(self, session: Session) -> SeenChanges:
        """What each does to the picture without edits; drawn once a picture."""
        key = "seen changes", origin(session.recipe)
        return self.pictures.kept.get(key, lambda: SeenChanges(self.renderer, session.recipe, self.known(session)))

    def popular(self, session: Session) -> list[tuple[Change, bool]]:
        """The first of them, of each pair the one that shows more, and whether it can be seen in this picture."""
        key = "popular", origin(session.recipe)
        return self.pictures.kept.get(key, lambda: self.seen(session).pairs(POPULAR))

    # ---- at the chosen place ----

    def ends(self, session: Session) -> list[tuple[Edit, str]]:
        """What can change at the chosen place, with what it would make of the picture: first what has a name, then the
        ends of the region's variations that have none, up to ENOUGH; of what can be seen in this picture."""
        edits, region = self.named(session), session.region()
        room = self.room(session, edits)
        found = [(edit, image) for edit, (image, _) in zip(edits, self.pictures.results(session, edits, region=region))]
        return found + (self.unnamed_seen(session)[:room] if room else [])

    def named(self, session: Session) -> list[Edit]:
        """Changes with a name that can be seen here; fewer where it is painted: who paints wants what is in no list."""
        region = session.region()
        return self.here(session)[: ENOUGH if region and region.mask else NAMED]

    def here(self, session: Session, at: tuple[float, float] | None = None) -> list[Edit]:
        """Those that can be seen at the chosen place, or are on there, `SeenChanges.here`."""
        region = session.region()
        if region is None or not self.known(session):
            return []
        return self.seen(session).here(session.recipe, self.pictures.region_map(session, region), at)

    def room(self, session: Session, named: list[Edit]) -> int:
        """For how many without a name there is room: none beside FEW that have one, unless it is painted."""
        region = session.region()
        if region is None or (len(named) >= FEW and not region.mask):
            return 0
        return (NAMED if region.mask else ENOUGH) - len(named)

    def unnamed_seen(self, session: Session) -> list[tuple[Edit, str]]:
        """Ends of the chosen region's variations that nobody has named, and can be seen, ENOUGH of them or more."""
        edits = self.unnamed(session)
        found: list[tuple[Edit, str]] = []
        for first in range(0, len(edits), TILES):
            some = edits[first : first + TILES]
            made = self.pictures.results(session, some)
            least = max(SEEN, FAINT * max(change for _, change in made))
            found += [(e, image) for e, (image, change) in zip(some, made) if change >= least or session.recipe.has(e)]
            if len(found) >= ENOUGH:
                break
        return found

    def unnamed(self, session: Session) -> list[Edit]:
        """Both ends of each variation of the chosen region that nobody has named; none where it is not known yet."""
        region = self.whole(session)
        if region is None or not self.knows(session):
            return []
        where = session.layer, session.factors_id, region
        factors, count = self.pictures.factors(session), len(self.renderer.variations(session.recipe, *where))
        free = [m for m in range(count) if factors.ends(region.parts, m) is None]
        return [Edit("vary", *where, variation=m, strength=s) for m in free for s in (-STRENGTH, STRENGTH)]

    def knows(self, session: Session) -> bool:
        """Whether what varies at the chosen place is known, so that it needs no long work; also where nothing is."""
        region = self.whole(session)
        where = session.recipe, session.layer, session.factors_id
        return region is None or self.renderer.knows_variations(*where, region)

    def learn(self, session: Session, report) -> bool:
        """Draw the samples that variations are learned from."""
        self.renderer.variations(session.recipe, session.layer, session.factors_id, self.whole(session), report)
        return True

    def whole(self, session: Session) -> Region | None:
        """The region chosen, for ops that take parts as learned."""
        region = session.region()
        return region and region.as_learned()

    def others(self, session: Session) -> list[Edit]:
        """The chosen place of TILES other pictures."""
        region = session.region()
        if region is None or region.all:
            return []
        seeds = seeds_from(session.recipe.seed + 1 + TILES * session.aside("twelve", 0), TILES)
        where = session.layer, session.factors_id, region
        return [Edit("transfer", *where, seed=seed, share=1.0) for seed in seeds]

    def appearances(self, session: Session) -> list[tuple[Edit, str]]:
        """The papers' own edits (I 3.3): less and more of the appearances that change most here, pair by pair,
        strongest first, with what they would make of the picture."""
        region = session.region()
        if region is None:
            return []
        factors, where = self.pictures.factors(session), (session.layer, session.factors_id, region)
        tried = factors.offered(leading_part(factors, region), TRIED)
        edits = [Edit("add", *where, appearance=j, strength=s) for j in tried for s in (-STRENGTH, STRENGTH)]
        results = self.pictures.results(session, edits, quick=True)
        pairs = [list(zip(edits, results))[i : i + 2] for i in range(0, len(edits), 2)]
        most = [max(change for _, (_, change) in pair) for pair in pairs]
        ranked = sorted((i for i in range(len(pairs)) if most[i] >= SEEN), key=lambda i: -most[i])
        return [(edit, image) for i in ranked[:PAIRS] for edit, (image, _) in pairs[i]]

    # ---- what is done ----

    def toggle(self, session: Session, edit: Edit) -> Session:
        """The session with this edit, in place of an opposite one; without it, if it was there."""
        if session.recipe.find_like(edit) is None:
            ends = self.pictures.ends(session, edit)
            opposite = ends and (ends.high if edit.strength < 0 else ends.low)
            for i, other in enumerate(session.recipe.edits):
                if opposite == self.pictures.plain_words(session, other):
                    return session.put(i, edit).take_up(i)
        return session.toggle(edit)
