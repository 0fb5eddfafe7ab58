"""Named changes ("smile", "no hat") on the picture in hand: which can be seen in it, and at which place."""

from panda_core.effects import SeenChanges
from panda_core.ops import Edit
from panda_core.popular import STRENGTH, Change, popular
from panda_core.regions import Region

from .panel import Panel
from .pictures import origin
from .session import Session


class Changes(Panel):
    """The named changes of each generator."""

    def known(self, session: Session) -> tuple[Change, ...]:
        """All that have a name, in the order of what they make up for."""
        name = session.recipe.generator
        weights = self.renderer.catalogue.generator(name).weights
        return self.pictures.kept.get(("popular", name, weights), lambda: popular(self.renderer.catalogue, name))

    def seen(self, session: Session) -> SeenChanges:
        """What each does to the picture without edits; drawn once a picture."""
        key = "seen changes", origin(session.recipe)
        return self.pictures.kept.get(key, lambda: SeenChanges(self.renderer, session.recipe, self.known(session)))

    def here(self, session: Session, at: tuple[float, float] | None = None) -> list[Edit]:
        """Those that can be seen at the chosen place, or are on there, `SeenChanges.here`."""
        region = session.region()
        if region is None or not self.known(session):
            return []
        return self.seen(session).here(session.recipe, self.pictures.region_map(session, region), at)

    def knows(self, session: Session) -> bool:
        """Whether what varies at the chosen place is known, so that it needs no long work; also where nothing is."""
        region = self.whole(session)
        where = session.recipe, session.layer, session.factors_id
        return region is None or self.renderer.knows_variations(*where, region)

    def whole(self, session: Session) -> Region | None:
        """The region chosen, for ops that take parts as learned."""
        region = session.region()
        return region and region.as_learned()

    def unnamed(self, session: Session) -> list[Edit]:
        """Both ends of each variation of the chosen region that nobody has named; none where it is not known yet."""
        region = self.whole(session)
        if region is None or not self.knows(session):
            return []
        where = session.layer, session.factors_id, region
        factors, count = self.pictures.factors(session), len(self.renderer.variations(session.recipe, *where))
        free = [m for m in range(count) if factors.ends(region.parts, m) is None]
        return [Edit("vary", *where, variation=m, strength=s) for m in free for s in (-STRENGTH, STRENGTH)]

    def toggle(self, session: Session, edit: Edit) -> Session:
        """The session with this edit, in place of an opposite one; without it, if it was there."""
        if session.recipe.find_like(edit) is None:
            ends = self.pictures.ends(session, edit)
            opposite = ends and (ends.high if edit.strength < 0 else ends.low)
            for i, other in enumerate(session.recipe.edits):
                if opposite == self.pictures.plain_words(session, other):
                    return session.put(i, edit).take_up(i)
        return session.toggle(edit)
