"""The edits in hand on other pictures, before and after; and the strength of one as a moving picture."""

import base64

import gradio as gr

from panda_core.studio.session import Session
from panda_core.studio.trying import Trying

from ..binding import Page
from ..components.html import figure, sentence
from ..given import sent
from ..pictures import seed_tiles
from ..seeds import go_to_seed
from ..sharing import as_file, file_stem


class TryingPanel(Trying):
    def lay_out(self, page: Page) -> None:
        go = gr.Button("Try these edits on sixteen other pictures", size="sm", elem_id="try")
        page.follow(go, lambda s: gr.Button(interactive=bool(s.recipe.ordered())))
        page.job(go.click, self.try_others)
        page.follow(gr.HTML(), self.words)
        page.tiles("These edits on other pictures", self.tiles, open_with_edits, later=False, elem_id="others")
        film = gr.Button("Animate the strength of this edit", size="sm", elem_id="animate")
        page.follow(film, lambda s: gr.Button(interactive=s.edit is not None))
        page.job(film.click, self.make_film)
        page.follow(gr.HTML(elem_id="film"), self.show)
        save = gr.Button("Download the animation", size="sm", visible=False, elem_id="save-film")
        page.follow(save, lambda s: gr.Button(visible=self.film(s) is not None))
        page.save(save.click, self.save)

    def words(self, session: Session) -> str:
        made = self.tried(session)
        if not made:
            return ""
        seen = sum(item["seen"] for item in made)
        same = session.made(self.try_others)[1].edits == session.recipe.edits
        stale = "" if same else " The edits have changed since."
        return sentence(
            f"Seen in {seen} of {len(made)} pictures. Point at one for how it was before, click to open it.{stale}"
        )

    def tiles(self, session: Session) -> dict:
        made = self.tried(session)
        tiles = seed_tiles(session, {item["seed"]: item["image"] for item in made})
        for tile, item in zip(tiles["items"], made):
            tile |= {"before": item["before"], "label": tile["label"] + ("" if item["seen"] else ", hardly seen")}
        return tiles

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


def open_with_edits(session: Session, evt: gr.EventData) -> Session | None:
    return go_to_seed(session, sent(evt, "seed"), with_edits=True)
