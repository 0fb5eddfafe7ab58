"""The Edit tab: popular changes, what varies at the chosen place, and the same place of other pictures."""

import gradio as gr

from panda_core.effects import SEEN
from panda_core.ops import Edit
from panda_core.popular import Change
from panda_core.regions import Region

from ..binding import Page
from ..changes import Changes
from ..components.html import heading
from ..given import clicked, clicked_edit
from ..panel import Panel
from ..pictures import Pictures, of_picture, of_place, origin, seeds_from
from ..session import Session
from ..words import region_words

TILES, NAMED, ENOUGH, FEW, POPULAR = 12, 14, 7, 4, 10
FAINT = 0.25  # of the strongest tile's change; what shows less is not offered


class EditTab(Panel):
    def __init__(self, pictures: Pictures, changes: Changes):
        super().__init__(pictures)
        self.changes = changes

    def lay_out(self, page: Page) -> None:
        head = gr.HTML(elem_id="popular-head")
        page.follow(head, lambda s: heading("Popular changes" if self.changes.known(s) else ""))
        page.tiles("Popular changes", self.popular_tiles, self.choose_popular, about=of_picture, elem_id="popular")
        page.follow(gr.HTML(), lambda s: heading(self.place_words(s)))
        page.tiles("What can change here", self.ends_tiles, self.choose_end, about=of_place, elem_id="ends")
        learn = gr.Button("See what varies here", size="sm", visible=False, elem_id="learn-variations")
        page.follow(learn, lambda s: gr.Button(visible=not self.changes.knows(s) and self.room(s, self.named(s)) > 0))
        page.job(learn.click, self.learn, done=lambda session, _: session)

    def lay_out_others(self, page: Page) -> None:
        """What stands below the list of edits."""
        with gr.Row(elem_classes="list-head", equal_height=True):
            page.follow(gr.HTML(), lambda s: heading(self.others_words(s)))
            more = page.button("Another twelve", another_twelve, min_width=110, scale=0, elem_id="another-twelve")
            page.follow(more, lambda s: gr.Button(visible=bool(self.others_words(s))))
        page.tiles("From other pictures", self.other_tiles, self.choose_other, about=of_place, elem_id="from-others")

    # ---- what varies here ----

    def place_words(self, session: Session) -> str:
        region = session.region()
        if region is None:
            return "Click something in the picture"
        return f"What can change: {region_words(self.pictures.factors(session), region)}"

    def learn(self, session: Session, report) -> bool:
        """Draw the samples that variations are learned from."""
        self.renderer.variations(session.recipe, session.layer, session.factors_id, self.changes.whole(session), report)
        return True

    def ends(self, session: Session) -> list[tuple[Edit, str]]:
        """What can change at the chosen place, with what it would make of the picture: first what has a name, then the
        ends of the region's variations that have none, up to ENOUGH; of what can be seen in this picture."""
        edits, region = self.named(session), session.region()
        room = self.room(session, edits)
        found = [(edit, image) for edit, (image, _) in zip(edits, self.pictures.results(session, edits, region=region))]
        return found + (self.unnamed(session)[:room] if room else [])

    def named(self, session: Session) -> list[Edit]:
        """Changes with a name that can be seen here; fewer where it is painted: who paints wants what is in no list."""
        region = session.region()
        return self.changes.here(session)[: ENOUGH if region and region.mask else NAMED]

    def room(self, session: Session, named: list[Edit]) -> int:
        """For how many without a name there is room: none beside FEW that have one, unless it is painted."""
        region = session.region()
        if region is None or (len(named) >= FEW and not region.mask):
            return 0
        return (NAMED if region.mask else ENOUGH) - len(named)

    def unnamed(self, session: Session) -> list[tuple[Edit, str]]:
        """Ends of the chosen region's variations that nobody has named, and can be seen, ENOUGH of them or more."""
        edits = self.changes.unnamed(session)
        found: list[tuple[Edit, str]] = []
        for first in range(0, len(edits), TILES):
            some = edits[first : first + TILES]
            made = self.pictures.results(session, some)
            least = max(SEEN, FAINT * max(change for _, change in made))
            found += [(e, image) for e, (image, change) in zip(some, made) if change >= least or session.recipe.has(e)]
            if len(found) >= ENOUGH:
                break
        return found

    def end_words(self, session: Session, edit: Edit) -> str:
        """The name of a change; of one without a name the number that programs use."""
        names = {change.edit: change.name for change in self.changes.known(session)}
        return names.get(edit) or f"variation {edit.variation} {'−' if edit.strength < 0 else '+'}"

    def ends_tiles(self, session: Session) -> dict:
        edits = self.ends(session)
        if not edits:
            if session.region() is None:
                note = "What can change there appears here."
            elif self.changes.knows(session):
                note = "Nothing that varies here shows in this picture; choose more."
            else:
                note = "What varies here is not known yet; finding out takes a few seconds."
            return {"items": [], "note": note}
        return self.pictures.edit_tiles(session, edits, lambda edit: self.end_words(session, edit))

    def choose_end(self, session: Session, evt: gr.EventData) -> Session | None:
        edit = clicked_edit(evt, "end", self.pictures, session, lambda: [edit for edit, _ in self.ends(session)])
        return edit and self.changes.toggle(session, edit).stay_at(session)

    # ---- from other pictures ----

    def others(self, session: Session) -> list[Edit]:
        region = session.region()
        if region is None or region.all:
            return []
        seeds = seeds_from(session.recipe.seed + 1 + TILES * session.aside("twelve", 0), TILES)
        where = session.layer, session.factors_id, region
        return [Edit("transfer", *where, seed=seed, share=1.0) for seed in seeds]

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

    # ---- popular changes ----

    def popular(self, session: Session) -> list[tuple[Change, bool]]:
        """The changes of the strip, and whether each can be seen in this picture."""
        key = "popular", origin(session.recipe)
        return self.pictures.kept.get(key, lambda: self.changes.seen(session).pairs(POPULAR))

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
        return change and self.changes.toggle(session, change.edit)


def another_twelve(session: Session) -> Session:
    return session.put_aside("twelve", session.aside("twelve", 0) + 1)
