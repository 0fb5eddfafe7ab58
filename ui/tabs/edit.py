"""The Edit tab: popular changes, what varies at the chosen place, and the same place of other pictures."""

import gradio as gr

from panda_core.ops import Edit
from panda_core.regions import Region
from panda_core.studio.changes import Changes
from panda_core.studio.pictures import of_picture, of_place
from panda_core.studio.session import Session
from panda_core.studio.words import region_words

from ..binding import Page
from ..components.html import heading
from ..given import clicked, clicked_edit


class EditTab(Changes):
    def lay_out(self, page: Page) -> None:
        head = gr.HTML(elem_id="popular-head")
        page.follow(head, lambda s: heading("Popular changes" if self.known(s) else ""))
        page.tiles("Popular changes", self.popular_tiles, self.choose_popular, about=of_picture, elem_id="popular")
        page.follow(gr.HTML(), lambda s: heading(self.place_words(s)))
        page.tiles("What can change here", self.ends_tiles, self.choose_end, about=of_place, elem_id="ends")
        learn = gr.Button("See what varies here", size="sm", visible=False, elem_id="learn-variations")
        page.follow(learn, lambda s: gr.Button(visible=not self.knows(s) and self.room(s, self.named(s)) > 0))
        page.job(learn.click, self.learn, done=lambda session, _: session)

    def lay_out_others(self, page: Page) -> None:
        """What stands below the list of edits."""
        with gr.Row(elem_classes="list-head", equal_height=True):
            page.follow(gr.HTML(), lambda s: heading(self.others_words(s)))
            more = page.button("Another twelve", another_twelve, min_width=110, scale=0, elem_id="another-twelve")
            page.follow(more, lambda s: gr.Button(visible=bool(self.others_words(s))))
        page.tiles("From other pictures", self.other_tiles, self.choose_other, about=of_place, elem_id="from-others")

    def lay_out_papers(self, page: Page) -> None:
        gr.HTML(heading("The papers' appearances here, less and more of each"))
        page.tiles("Appearances", self.appearance_tiles, self.choose_appearance, about=of_place, elem_id="appearances")

    # ---- what varies here ----

    def place_words(self, session: Session) -> str:
        region = session.region()
        if region is None:
            return "Click something in the picture"
        return f"What can change: {region_words(self.pictures.factors(session), region)}"

    def end_words(self, session: Session, edit: Edit) -> str:
        """The name of a change; of one without a name the number that programs use."""
        names = {change.edit: change.name for change in self.known(session)}
        return names.get(edit) or f"variation {edit.variation} {'−' if edit.strength < 0 else '+'}"

    def ends_tiles(self, session: Session) -> dict:
        edits = self.ends(session)
        if not edits:
            if session.region() is None:
                note = "What can change there appears here."
            elif self.knows(session):
                note = "Nothing that varies here shows in this picture; choose more."
            else:
                note = "What varies here is not known yet; finding out takes a few seconds."
            return {"items": [], "note": note}
        return self.pictures.edit_tiles(session, edits, lambda edit: self.end_words(session, edit))

    def choose_end(self, session: Session, evt: gr.EventData) -> Session | None:
        edit = clicked_edit(evt, "end", self.pictures, session, lambda: [edit for edit, _ in self.ends(session)])
        return edit and self.toggle(session, edit).stay_at(session)

    # ---- from other pictures ----

    def others_words(self, session: Session) -> str:
        region = session.region()
        if region is None or region.all:
            return ""
        return f"From other pictures: {region_words(self.pictures.factors(session), region)}"

    def other_tiles(self, session: Session) -> dict:
        edits = self.others(session)
        made = [(edit, image) for edit, (image, _) in zip(edits, self.pictures.results(session, edits))]
        return self.pictures.edit_tiles(session, made, lambda edit: f"picture {edit.seed}")

    def choose_other(self, session: Session, evt: gr.EventData) -> Session | None:
        edit = clicked_edit(evt, "picture", self.pictures, session, lambda: self.others(session))
        return edit and session.toggle(edit)

    # ---- the papers' appearances ----

    def appearance_tiles(self, session: Session) -> dict:
        made = self.appearances(session)
        return self.pictures.edit_tiles(session, made, lambda e: f"{'−' if e.strength < 0 else '+'} {e.appearance}")

    def choose_appearance(self, session: Session, evt: gr.EventData) -> Session | None:
        now = lambda: [edit for edit, _ in self.appearances(session)]  # noqa: E731
        edit = clicked_edit(evt, "appearance", self.pictures, session, now)
        return edit and session.toggle(edit)

    # ---- popular changes ----

    def popular_tiles(self, session: Session) -> dict:
        found = self.popular(session)
        made = self.pictures.results(session, [c.edit for c, _ in found], quick=True, region=Region(all=True))
        items = [
            {"image": image, "label": change.name, "title": change.note, "on": session.recipe.has(change.edit)}
            | ({} if seen else {"off": "not seen here"})
            for (change, seen), (image, _) in zip(found, made)
        ]
        return {"items": items, "note": "", "of": session.recipe.generator}

    def choose_popular(self, session: Session, evt: gr.EventData) -> Session | None:
        changes = [change for change, _ in self.popular(session)]
        change = clicked(evt, "popular change", changes, session.recipe.generator)
        return change and self.toggle(session, change.edit)


def another_twelve(session: Session) -> Session:
    return session.put_aside("twelve", session.aside("twelve", 0) + 1)
