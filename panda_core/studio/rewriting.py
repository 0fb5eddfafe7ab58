"""What a place shows most of becomes another appearance, there or everywhere (II 5.5)."""

from dataclasses import replace

from ..effects import LEADING, SEEN, leading_appearance, nearest_region, region_on
from ..factors import Factors
from ..ops import Edit
from ..regions import Region
from .pictures import FULL, of_place, origin
from .room import Room
from .session import Session

TARGETS = 7  # results offered
FAINT = 0.25  # of the change of the result that changes most; what shows less is not offered


class Rewriting(Room):
    def set_everywhere(self, session: Session, everywhere: bool) -> Session:
        """Here or everywhere, from now on; the rewrite in hand follows."""
        chosen = session.put_aside("everywhere", everywhere)
        region, edit = self.region(chosen), chosen.edit
        if edit is None or edit.op != "rewrite" or region is None:
            return chosen
        return chosen.put(chosen.active, replace(edit, region=region))

    def region(self, session: Session) -> Region | None:
        """Where the next rewrite acts."""
        region = self.where(session)[2]
        return Region(all=True) if region and self.everywhere(session) else region

    def everywhere(self, session: Session) -> bool:
        """As the visitor said; else everywhere for an appearance with a name ("hair"), whose place has no better
        outline, and here for one that other things show too."""
        said = session.aside("everywhere")
        return self.source(session) in self.factors(session).info.appearance_names if said is None else bool(said)

    def where(self, session: Session) -> tuple[int, str, Region | None]:
        """(layer, factors id) of the finest grid with parts, where appearances are colours and materials, and the
        region there: the one chosen, or of the parts there those that have most in common with it, `nearest_region`."""
        where, region = session.finest, session.region()
        if region is None or region.all or session.layer == where[0]:
            return *where, region

        def find() -> Region:
            p = region_on(self.renderer, session.recipe, session.layer, region, session.factors_id, where[0])
            return nearest_region(self.factors(session), p)

        return *where, self.pictures.kept.get(("nearest", of_place(session), *where), find)

    def factors(self, session: Session) -> Factors:
        return self.renderer.catalogue.factors(session.recipe.generator, session.finest[1])

    def source(self, session: Session) -> int | None:
        """What the place shows most of, `leading_appearance`; of a rewrite in hand as it was before that."""
        layer, factors_id, region = self.where(session)
        if region is None:
            return None
        recipe = session.recipe
        if session.edit and session.edit.op == "rewrite":
            recipe = recipe.with_edit(session.active, replace(session.edit, on=False))
        key = "leading", origin(recipe), recipe.edits, layer, factors_id, region  # asked for several times an event
        return self.pictures.kept.get(key, lambda: leading_appearance(self.renderer, recipe, layer, factors_id, region))

    def results(self, session: Session) -> list[tuple[Edit, str, str]]:
        """Rewrites of what is there that can be seen in this picture, most first, with what they would make of it, and
        of what colour; of those that make the same colour of it the first."""
        source = self.source(session)
        if source is None:
            return []
        where = *self.where(session)[:2], self.region(session)
        numbers = [k for k in range(min(LEADING, self.factors(session).appearances.shape[1])) if k != source]
        edits = [Edit("rewrite", *where, source=source, target=k, strength=FULL) for k in numbers]
        made = zip(edits, self.pictures.results(session, edits, quick=True, region=session.region()))
        found = sorted(((e, image, change) for e, (image, change) in made), key=lambda row: -row[2])
        least = max(SEEN, FAINT * found[0][2])
        seen = [(edit, image) for edit, image, change in found if change >= least]
        colours = self.pictures.colours(session, [edit for edit, _ in seen])
        return [(*row, colours[i]) for i, row in enumerate(seen) if colours.index(colours[i]) == i][:TARGETS]
