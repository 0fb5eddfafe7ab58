"""Where the next change goes: a thing or a part of it, several, a painted area, everywhere."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import gradio as gr

from panda_core.regions import Mask, parse_region

from .binding import Page
from .changes import Changes
from .components.plain import Picture
from .given import point, sent
from .pictures import of_place
from .session import Session


class Choosing:
    """What clicks and strokes on the picture choose. after: tab -> what it does with
    the choice, the part that was clicked, and where, while it is open.
    """

    def __init__(self, changes: Changes, after: Mapping[str, Callable[..., Session]]):
        self.pictures, self.changes, self.after = changes.pictures, changes, after

    def lay_out(self, page: Page, picture: Picture) -> None:
        page.on(picture.pick, self.pick)
        page.on(picture.paint, self.paint)
        page.on(picture.place, self.place)

    def pick(self, session: Session, evt: gr.EventData) -> Session:
        """A click on a part chooses its thing, a second one the part, a third the thing again; with Shift the thing
        joins those chosen, or leaves them."""
        part = sent(evt, "part")
        self.check_parts(session, [part])
        thing = self.pictures.factors(session).thing_of(part)
        if sent(evt, "several") and session.where == "parts":
            chosen = set(session.parts)
            return self.choose(session, sorted(chosen - set(thing) if chosen >= set(thing) else chosen | set(thing)))
        again = session.aside("clicked", ("", None))[0] == of_place(session)  # what the page chose itself is no click
        narrow = len(thing) > 1 and session.where == "parts" and session.parts == thing and again
        chosen = self.choose(session, [part] if narrow else list(thing))
        at = sent(evt, "at")
        at = None if at is None else point(at)
        chosen = chosen.put_aside("clicked", (of_place(chosen), at))
        return self.after[session.tab](chosen, part, at) if session.tab in self.after else chosen

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

    def place(self, session: Session, evt: gr.EventData) -> Session:
        """A button under the picture: a thing or a part by name, the painted area or piece, everywhere."""
        parts, where = sent(evt, "parts"), sent(evt, "where")
        if where == "all":  # the next change is for the whole picture; what is there stays where it is
            return session.let_go().restrict("all", None)
        return self.choose(session, parts) if parts is not None else session.restrict(where, session.mask)

    def paint(self, session: Session, evt: gr.EventData) -> Session:
        """A stroke ended: the painted edit in hand follows it; after anything else it begins a region of its own."""
        mask = self.read_mask(sent(evt, "rle"), session)
        if session.where not in ("painted", "piece"):
            session = session.let_go()
        return session.restrict("piece" if session.where == "piece" else "painted", mask)

    def read_mask(self, given, session: Session) -> Mask | None:
        """A drawing that came from the page, checked as the recipe's validator checks it; None where it is empty."""
        H, W = self.pictures.renderer.generator(session.recipe).layers[session.layer][1:]
        mask = parse_region({"mask": {"size": [H, W], "rle": given}}).mask
        return mask if "," in mask.rle else None
