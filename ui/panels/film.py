"""The strength of an edit as a moving picture, from one end of its slider to the other and back."""

import base64

import gradio as gr

from panda_core.images import animation, to_pil
from panda_core.jpegs import FRAME_SIDE, resized
from panda_core.ops import OPS
from panda_core.studio.room import Room
from panda_core.studio.session import Session

from ..binding import Page
from ..components.html import figure
from ..server.jobs import tell
from ..sharing import as_file, file_stem

STRENGTHS = 13


class FilmPanel(Room):
    def lay_out(self, page: Page) -> None:
        go = gr.Button("Animate the strength of this edit", size="sm", elem_id="animate")
        page.follow(go, lambda s: gr.Button(interactive=s.edit is not None))
        page.job(go.click, self.make_film)
        page.follow(gr.HTML(elem_id="film"), self.show)
        save = gr.Button("Download the animation", size="sm", visible=False, elem_id="save-film")
        page.follow(save, lambda s: gr.Button(visible=self.film(s) is not None))
        page.save(save.click, self.save)

    def make_film(self, session: Session, report) -> tuple:
        """Makes the animation of the edit in hand; returns its key."""
        edit = session.edit
        if edit is None:
            raise ValueError("No edit is chosen; choose a change, or an edit from the list, first.")
        if not edit.on:
            session = session.switch(session.active)
        low, high, *_ = OPS[edit.op].slider
        low, high = min(low, edit.size), max(high, edit.size)
        session = session.set_strength(low)
        title = f"{self.pictures.slider_words(session, session.edit)}: from {low:+.1f} to {high:+.1f}"
        key = ("film", session.recipe, session.active, title)

        def make() -> bytes:
            frames = []
            for i in range(STRENGTHS):
                tell(report, "Drawing pictures", i, STRENGTHS)
                strength = round(low + (high - low) * i / (STRENGTHS - 1), 3)
                picture = self.pictures.picture(session.set_strength(strength))
                frames += to_pil(resized(picture, min(max(picture.shape[-1], 256), FRAME_SIDE)))
            return animation(frames + frames[-2:0:-1])

        self.pictures.kept.get(key, make)
        return key

    def film(self, session: Session) -> bytes | None:
        key = session.made(self.make_film)
        return self.pictures.kept.get(key) if key else None

    def show(self, session: Session) -> str:
        data = self.film(session)
        if data is None:
            return ""
        return figure(f"data:image/webp;base64,{base64.b64encode(data).decode()}", session.made(self.make_film)[-1])

    def save(self, session: Session) -> str:
        data = self.film(session)
        if data is None:
            raise ValueError("There is no film yet; press the button above first.")
        return as_file(f"{file_stem(session.recipe)}.webp", data)
