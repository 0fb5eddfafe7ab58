"""Clicks and strokes on the picture, and the buttons under it: what they choose."""

from collections.abc import Callable, Mapping

import gradio as gr

from panda_core.studio.changes import Changes
from panda_core.studio.places import Places
from panda_core.studio.session import Session

from .binding import Page, View
from .components.plain import Picture
from .given import point, sent


class Choosing(Places):
    """after: tab -> what it does with the choice, the part that was clicked, and where, while it is open."""

    def __init__(self, changes: Changes, after: Mapping[str, Callable[..., Session]]):
        super().__init__(changes)
        self.after = after

    def lay_out(self, page: Page, picture: Picture) -> None:
        page.on(picture.pick, self.pick)
        page.on(picture.paint, self.paint)
        page.on(picture.place, self.place)

    def pick(self, session: Session, evt: gr.EventData) -> Session:
        """A click; with Shift the thing joins those chosen, or leaves them."""
        part, at = sent(evt, "part"), sent(evt, "at")
        if sent(evt, "several") and session.where == "parts":
            return self.join(session, part)
        at = None if at is None else point(at)
        chosen = self.click(session, part, at)
        after = self.after.get(View.of(session).tab)
        return chosen if after is None else after(chosen, part, at)

    def place(self, session: Session, evt: gr.EventData) -> Session:
        """A button under the picture: a thing or a part by name, the painted area or piece, everywhere."""
        parts, where = sent(evt, "parts"), sent(evt, "where")
        if where == "all":  # the next change is for the whole picture; what is there stays where it is
            return session.let_go().restrict("all", None)
        return self.choose(session, parts) if parts is not None else session.restrict(where, session.mask)

    def paint(self, session: Session, evt: gr.EventData) -> Session:
        return self.draw(session, sent(evt, "rle"))
