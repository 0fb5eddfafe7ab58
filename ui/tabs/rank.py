"""The Rank tab: pictures in the order of what varies in a thing, or of the papers' appearances."""

import gradio as gr
import numpy as np

from panda_core.jpegs import jpegs
from panda_core.studio.ordering import APPEARANCES, MAX_PICTURES, Ordering, Term, sheet_of
from panda_core.studio.pictures import of_place, origin
from panda_core.studio.session import Session

from ..binding import Page
from ..components.html import heading, hint, sentence
from ..components.plain import Slider
from ..given import clicked
from ..pictures import seed_tiles
from ..seeds import open_seed

COUNTS = [("100", 100), ("1,000", 1000), ("10,000", MAX_PICTURES)]


class RankTab(Ordering):
    def lay_out(self, page: Page) -> None:
        hint("Which pictures have the most of something? Click a thing, choose what varies in it, and rank them.")
        page.follow(gr.HTML(), lambda s: heading(self.what_varies(s)))
        page.tiles(
            "What varies", self.variation_tiles, self.choose_variation, about=of_place, elem_id="rank-variations"
        )
        with page.fold("By the papers' appearances, and sums", elem_id="rank-more"):
            page.follow(gr.HTML(), lambda s: heading(f"An appearance {self.place_words(s, self.part_of(s))}"))
            page.tiles("Appearances", self.appearance_tiles, self.choose_appearance, elem_id="rank-appearances")
            with gr.Row(equal_height=True):
                weight = Slider(-1, 1, 1, step=0.1, label="Weight of what is chosen", interactive=True, buttons=[])
                page.button(
                    "Add to the sum", self.add_term, weight, when=lambda s: self.in_hand(s).chosen, min_width=120
                )
            terms = gr.Dropdown([], label="The sum", multiselect=True, interactive=True, elem_id="rank-terms")
            page.field(terms, self.show_sum, self.keep_terms)
        page.follow(gr.HTML(elem_id="rank-asked"), lambda s: sentence(self.asked_words(s)))
        with gr.Row(equal_height=True):
            count = gr.Radio(COUNTS, label="How many pictures", value=100, interactive=True, scale=2, min_width=280)
            order = gr.Button("Rank them", variant="primary", min_width=120, elem_id="rank-order")
        page.job(order.click, self.build, done=lambda session, _: session)
        page.follow(gr.HTML(), self.axis_words)
        page.tiles("From the least to the most", self.axis, open_seed, elem_id="rank-axis")
        page.field(count, lambda s: self.in_hand(s).count, self.choose_count)
        page.follow(order, self.order_button)

    # ---- what is shown ----

    def order_button(self, session: Session):
        done = self.answer(session) is not None
        return gr.Button("Ranked" if done else "Rank them", interactive=bool(self.terms_of(session)) and not done)

    def what_varies(self, session: Session) -> str:
        number = self.region_of(session)
        if number is None:
            return "Click a thing in the picture"
        return f"By what varies: {self.pictures.factors(session).region_name(self.regions(session)[number])}"

    def variation_tiles(self, session: Session) -> dict:
        """What more of each would do to this picture without its edits."""
        found, plain = self.variations(session), session.reset()
        images = self.pictures.results(plain, [edit for _, edit in found], quick=True)
        chosen = self.in_hand(session).chosen
        items = [
            {"image": image, "label": self.more_of(session, edit.region.parts, term.number), "on": term == chosen}
            for (term, edit), (image, _) in zip(found, images)
        ]
        return {"items": items, "note": "", "of": f"{sheet_of(session)} {self.region_of(session)}"}

    def appearance_tiles(self, session: Session) -> dict:
        """The strongest, each over the picture without edits."""
        now, factors = self.in_hand(session).chosen, self.pictures.factors(session)
        chosen = now.number if now and now.kind == "appearance" else None
        key = "appearances", origin(session.recipe), session.layer, session.factors_id
        images = self.pictures.kept.get(key, lambda: self.appearance_maps(session))
        items = [{"image": im, "label": factors.appearance_name(j), "on": j == chosen} for j, im in enumerate(images)]
        return {"items": items, "note": "", "of": sheet_of(session)}

    def show_sum(self, session: Session):
        rows = self.term_words(session)
        info = "" if rows else "Nothing is in the sum: what is chosen counts alone."
        return gr.Dropdown(choices=rows, value=rows, multiselect=True, interactive=bool(rows), info=info)

    def asked_words(self, session: Session) -> str:
        """What the pictures are, or will be, in order of; and what to do next."""
        terms, now = self.terms_of(session), self.in_hand(session)
        if not terms:
            return ""
        words = "the sum" if now.terms else f"“{self.term_name(session, terms[0])}”"
        if self.answer(session) is None:
            return f"To rank by {words}, press “Rank them”: {now.count:,} pictures are looked at first."
        less = 100 * np.mean(self.answer(session).scores < self.score(session))
        return f"Sorted by {words}: without its edits, this picture has more of it than {less:.0f} of 100."

    def axis_words(self, session: Session) -> str:
        found = self.answer(session)
        if found is None:
            return ""
        shown = f"{len(self.axis_seeds(session, found))} of {len(found.scores):,}"
        return heading(f"From the least to the most: {shown}" + ("" if session.recipe.source else ", this one framed"))

    def axis(self, session: Session) -> dict:
        """Pictures from the least to the most, at equal distances of rank, and this one at its place among them."""
        found = self.answer(session)
        if found is None:
            return seed_tiles(session, {})
        seeds, key = self.axis_seeds(session, found), ("ranked", session.recipe.seed, self.question(session))
        images = self.pictures.kept.get(key, lambda: jpegs(self.renderer.small_pictures(session.recipe, seeds)))
        return seed_tiles(session, dict(zip(seeds, images)))

    # ---- what is done ----

    def choose_variation(self, session: Session, evt: gr.EventData) -> Session | None:
        terms = [term for term, _ in self.variations(session)]
        term = clicked(evt, "variation", terms, f"{sheet_of(session)} {self.region_of(session)}")
        return term and self.keep(session, chosen=term)

    def choose_appearance(self, session: Session, evt: gr.EventData) -> Session | None:
        count = min(APPEARANCES, self.pictures.factors(session).appearances.shape[1])
        number = clicked(evt, "appearance", range(count), sheet_of(session))
        return None if number is None else self.keep(session, chosen=Term("appearance", number, self.part_of(session)))

    def choose_count(self, session: Session, count: int) -> Session:
        return self.keep(session, count=count)
