"""The strength on its way: the slider moves it, or somebody pulls at the picture."""

import gradio as gr

from panda_core.studio.pulling import Pulling
from panda_core.studio.session import Session

from .edit_list import moved
from .given import point, sent


class Dragging(Pulling):
    def move(self, session: Session, given: dict) -> tuple[Session, dict]:
        """Slider or pointer moved: a new frame, and nothing else; the rest of the page follows once it is let go."""
        evt = gr.EventData(None, given)
        session = self.pulled(session, evt) if "to" in given else moved(session, sent(evt, "strength"))
        return session, {"frame": self.pictures.frame(session, moving=True), "strength": session.edit.size}

    def pulled(self, session: Session, evt: gr.EventData) -> Session:
        return self.pull(session, point(sent(evt, "from")), point(sent(evt, "to")), sent(evt, "strength"))
