"""Where the next change goes: a thing or a part of it, several, a painted area, everywhere."""

from dataclasses import replace

from ..regions import Mask, parse_region
from .changes import Changes
from .pictures import of_place
from .room import Room
from .session import Session


class Places(Room):
    """What clicks and strokes choose."""

    def __init__(self, changes: Changes):
        super().__init__(changes.pictures)
        self.changes = changes

    def click(self, session: Session, part: int, at: tuple[float, float] | None = None) -> Session:
        """A click on a part chooses its thing, a second one the part, a third the thing again. at: (x, y), as shares of
        the picture's sides."""
        self.check_parts(session, [part])
        if at is not None and (there := session.give_back_layer()).layer != session.layer:
            return self.click_at(there, at)  # on the parts that there were before a mask was taken
        thing = self.pictures.factors(session).thing_of(part)
        again = session.aside("clicked", ("", None))[0] == of_place(session)  # what the page chose itself is no click
        narrow = len(thing) > 1 and session.where == "parts" and session.parts == thing and again
        return note_click(self.choose(session, [part] if narrow else list(thing)), at)

    def click_at(self, session: Session, at: tuple[float, float]) -> Session:
        """A click on the part of which there is most at a point of the picture, (x, y) as shares of its sides."""
        maps = self.renderer.part_maps(session.recipe, session.layer, session.factors_id)
        x, y = (min(int(share * n), n - 1) for share, n in zip(at, maps.shape[:0:-1]))
        return self.click(session, int(maps[:, y, x].argmax()), at)

    def join(self, session: Session, part: int) -> Session:
        """The thing of a part joins those chosen, or leaves them."""
        self.check_parts(session, [part])
        chosen, thing = set(session.parts), set(self.pictures.factors(session).thing_of(part))
        return self.choose(session, sorted(chosen - thing if chosen >= thing else chosen | thing))

    def choose(self, session: Session, parts: list[int]) -> Session:
        self.check_parts(session, parts)
        chosen = session.choose(tuple(dict.fromkeys(parts)))
        if chosen.edit is None and chosen.recipe.edits:  # what was done here from another layer comes into hand
            there = [chosen.recipe.find_like(edit) for edit in self.changes.here(chosen) if chosen.recipe.has(edit)]
            chosen = replace(chosen, active=there[0]) if there else chosen
        return chosen

    def check_parts(self, session: Session, parts: list[int]) -> None:
        """Raises: ValueError if these factors have no such parts."""
        known = self.pictures.factors(session).parts.shape[1]
        if not isinstance(parts, list):
            raise ValueError(f"parts is {parts!r:.20}; it must be a list of part numbers.")
        for part in parts:
            if type(part) is not int or not 0 <= part < known:
                raise ValueError(f"part is {part!r:.20}; this layer has parts 0 to {known - 1}.")

    def draw(self, session: Session, rle: str) -> Session:
        """A stroke ended: the painted edit in hand follows it; after anything else it begins a region of its own."""
        H, W = self.renderer.generator(session.recipe).layers[session.layer][1:]
        mask: Mask = parse_region({"mask": {"size": [H, W], "rle": rle}}).mask
        if session.where not in ("painted", "piece"):
            session = session.let_go()
        where = "piece" if session.where == "piece" else "painted"
        return session.restrict(where, mask if "," in mask.rle else None)


def note_click(session: Session, at: tuple[float, float] | None) -> Session:
    """The place in hand is where somebody clicked."""
    return session.put_aside("clicked", (of_place(session), at))


def clicked_at(session: Session) -> tuple[float, float] | None:
    """Where the place in hand was clicked, if it was."""
    place, at = session.aside("clicked", ("", None))
    return at if place == of_place(session) else None
