"""The Rank tab: pictures in the order of an appearance, at the chosen part or anywhere (II Sec. 5.6, Eqs. 17, 18).

The pictures are the seeds 0, 1, 2, ... at the visitor's ψ. An index on disk holds what is asked of them, for everybody
who appearances at the same generator through the same factors; what it can answer needs no work. The papers' baseline, a
latent direction's r = uᵀw/uᵀu, stands beside it only where directions exist: no generator here has any.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import numpy as np
from torch import Tensor

from panda_core.fitting import batch_for
from panda_core.progress import Progress
from panda_core.ranking import EVERYWHERE, RankingIndex, prune

from ..binding import Page
from ..components.html import heading, hint, sentence
from ..components.slider import Slider
from ..jpegs import jpegs
from ..pictures import Pictures, seed_tiles
from ..seeds import open_seed
from ..session import Session
from .appearances import Appearances, sheet_of

COUNTS, MAX_PICTURES = [("100", 100), ("1,000", 1000), ("10,000", 10_000)], 10_000
MAX_TERMS = 8  # of a sum
ENDS, SHOWN = ("most", "least"), 12  # pictures shown at either end
SHARD = 100  # pictures that a cancelled job loses at most
DISK, INDEXES = 10**9, 200  # bytes and folders that all indexes together may take
BINS = 40


@dataclass(frozen=True)
class Ranking:
    """What the tab keeps: the appearance chosen, the sum of (appearance, part, weight), among how many pictures."""

    appearance: int | None = None
    terms: tuple[tuple[int, int, float], ...] = ()
    count: int = 100

    def __post_init__(self) -> None:
        if type(self.count) is not int or not 1 <= self.count <= MAX_PICTURES:
            raise ValueError(f"count is {self.count!r:.20}; it must be a whole number from 1 to {MAX_PICTURES}.")
        if len(self.terms) > MAX_TERMS:
            raise ValueError(f"The sum has {MAX_TERMS} appearances, the most it can have; remove one first.")
        for *_, weight in self.terms:
            if not isinstance(weight, int | float) or not 0 < abs(weight) <= 1:
                raise ValueError(f"weight is {weight!r:.20}; it must be from -1 to 1, and not 0.")


class Answer(NamedTuple):
    """Seeds with the most, highest first, and with the least, lowest first; the scores of all; where they are kept."""

    most: list[int]
    least: list[int]
    scores: np.ndarray
    folder: Path


class RankTab:
    def __init__(self, pictures: Pictures, appearances: Appearances):
        self.pictures, self.renderer, self.appearances = pictures, pictures.renderer, appearances

    def lay_out(self, page: Page) -> None:
        gr.HTML(heading("Choose what to order pictures by"))
        hint("See which of many pictures show most of an appearance, and which least.")
        page.tiles(
            "Appearances",
            lambda s: self.appearances.tiles(s, self.in_hand(s).appearance),
            self.choose_appearance,
            elem_id="rank-concepts",
        )
        with gr.Accordion("Add appearances up", open=False, elem_id="rank-sum"):
            weight = Slider(
                -1, 1, 1, step=0.1, label="Weight of the appearance chosen above", interactive=True, buttons=[]
            )
            with gr.Row():
                page.button(
                    "Add to the sum",
                    self.add_term,
                    weight,
                    when=lambda s: self.in_hand(s).appearance is not None,
                    min_width=120,
                )
            terms = gr.Dropdown([], label="The sum", multiselect=True, interactive=True, elem_id="rank-terms")
        page.follow(gr.HTML(elem_id="rank-asked"), lambda s: sentence(self.asked_words(s)))
        with gr.Row():
            count = gr.Radio(COUNTS, label="How many pictures", value=100, interactive=True, scale=2, min_width=280)
            order = gr.Button("Order them", variant="primary", min_width=120, elem_id="rank-order")
        page.job(order.click, self.build, done=lambda session, _: session)
        page.follow(gr.HTML(elem_id="rank-spread"), self.histogram)
        for end in ENDS:
            page.follow(gr.HTML(), partial(self.end_words, end=end))
            page.tiles(f"The {end}", partial(self.gallery, end=end), open_seed, elem_id=f"rank-{end}")

        page.field(terms, self.show_sum, self.keep_terms)
        page.field(count, lambda s: self.in_hand(s).count, self.choose_count)
        page.follow(order, self.order_button)

    # ---- what is asked, and the answer ----

    def in_hand(self, session: Session) -> Ranking:
        """What is chosen among these appearances; what was chosen among others waits until they are in use again."""
        return session.aside(Ranking, sheet_of(session)) or Ranking()

    def part_of(self, session: Session) -> int:
        """The part that counts: the one chosen; with none, several or a painting the whole picture does."""
        region = session.region()
        return region.parts[0] if region and len(region.parts) == 1 and not region.keep else EVERYWHERE

    def terms_of(self, session: Session) -> tuple[tuple[int, int, float], ...]:
        """The sum, or the appearance chosen as a sum of its own; empty where there is neither."""
        chosen = self.in_hand(session)
        return chosen.terms or (() if chosen.appearance is None else ((chosen.appearance, self.part_of(session), 1.0),))

    def question(self, session: Session) -> tuple:
        recipe = session.recipe
        return (recipe.generator, recipe.class_index, recipe.psi, session.factors_id, self.in_hand(session).count,
                self.terms_of(session))  # fmt: skip

    def opened(self, session: Session) -> tuple[RankingIndex, Callable[[int, int], Tensor]]:
        """The index that answers, as far as it has grown, and what it grows by."""
        recipe = session.recipe
        return self.renderer.catalogue.ranking(recipe.generator, session.factors_id, recipe.psi, recipe.class_index)

    def answer(self, session: Session) -> Answer | None:
        """None where nothing is asked, or the index lacks pictures: only `build` looks at pictures."""
        asked, terms, count = self.question(session), self.terms_of(session), self.in_hand(session).count
        found = self.pictures.kept.get(("ranking", asked))
        if found and not found.folder.exists():  # somebody needed the room
            found = None
        if found is None and terms and (index := self.opened(session)[0]).holds(count):
            os.utime(index.folder)  # what was used last is dropped last
            scores = index.weighted(terms, count)
            most, least = index.extremes(scores, SHOWN)
            found = self.pictures.kept.hold(
                ("ranking", asked), Answer(most.tolist(), least.tolist(), scores, index.folder)
            )
        return found

    def build(self, session: Session, report: Callable[[Progress], bool]) -> Answer:
        """Look at the pictures that the index lacks, together with whoever else builds it."""
        if not self.terms_of(session):
            raise ValueError("Choose an appearance to order the pictures by.")
        index, draw = self.opened(session)
        prune(index.folder.parent, DISK, INDEXES)
        batch = batch_for((len(index.table.appearances), len(index.table.parts), 1))
        index.grow(draw, self.in_hand(session).count, batch=batch, shard=SHARD, report=report, together=True)
        return self.answer(session)

    # ---- what is shown ----

    def place_words(self, session: Session, part: int) -> str:
        return "anywhere" if part == EVERYWHERE else f"at {self.pictures.factors(session).part_name(part)}"

    def order_button(self, session: Session):
        done = self.answer(session) is not None
        return gr.Button(
            "They are in order" if done else "Order them", interactive=bool(self.terms_of(session)) and not done
        )

    def term_words(self, session: Session) -> list[str]:
        return [
            f"{w:+.1f} × {self.appearances.name(session, j)} {self.place_words(session, k)}"
            for j, k, w in self.in_hand(session).terms
        ]

    def show_sum(self, session: Session):
        rows = self.term_words(session)
        info = "" if rows else "Nothing is in the sum: the appearance chosen above counts alone."
        return gr.Dropdown(choices=rows, value=rows, multiselect=True, interactive=bool(rows), info=info)

    def asked_words(self, session: Session) -> str:
        """What the pictures are, or will be, in order of; and what to do next."""
        terms, chosen = self.terms_of(session), self.in_hand(session)
        if not terms:
            return "Pictures are put in order, from those with the most of an appearance to those with the least."
        words = (
            "the sum"
            if chosen.terms
            else f"{self.appearances.name(session, terms[0][0])} {self.place_words(session, terms[0][1])}"
        )
        if self.answer(session) is None:
            return f"To order by {words}, {chosen.count:,} pictures must be looked at first: press “Order them”."
        return f"In order of {words}."

    def histogram(self, session: Session) -> str:
        """HTML: how the pictures are spread from the least to the most, and where this one stands."""
        found, count = self.answer(session), self.in_hand(session).count
        if found is None:
            return ""
        features = self.renderer.features(session.recipe, session.layer).features
        index, _ = self.opened(session)
        mine = index.weighted(self.terms_of(session), count, features)[0]
        counts, edges = index.histogram(found.scores, BINS)
        tops = 100 - 100 * counts / counts.max()
        bars = "".join(
            f'<rect x="{i}" y="{top:.0f}" width=".8" height="{100 - top:.0f}"/>' for i, top in enumerate(tops)
        )
        at = 100 * np.clip((mine - edges[0]) / (edges[-1] - edges[0]), 0, 1)
        words = f"This picture, without its edits: {100 * np.mean(found.scores < mine):.0f} of 100 have less."
        return (
            f'{sentence(words)}<div class="spread"><svg role="img" viewBox="0 0 {BINS} 100" preserveAspectRatio="none" '
            f'aria-label="How {count:,} pictures are spread, from the least to the most. {words}">{bars}</svg>'
            f'<i style="left:{at:.1f}%"></i></div>'
            f'<p class="ends"><span>Less</span><span>{count:,} pictures</span><span>More</span></p>'
        )

    def end_words(self, session: Session, end: str) -> str:
        return heading(f"The {end}") if self.answer(session) else ""

    def gallery(self, session: Session, end: str) -> dict:
        """The pictures at one end, without edits."""
        found, recipe = self.answer(session), session.recipe
        if found is None:
            return seed_tiles(session, {})
        seeds, key = getattr(found, end), ("ranked", end, self.question(session))
        images = self.pictures.kept.get(key, lambda: jpegs(self.renderer.small_pictures(recipe, seeds)))
        return seed_tiles(session, dict(zip(seeds, images)))

    # ---- what is done ----

    def keep(self, session: Session, **changes) -> Session:
        return session.put_aside(replace(self.in_hand(session), **changes), sheet_of(session))

    def choose_appearance(self, session: Session, evt: gr.EventData) -> Session | None:
        appearance = self.appearances.clicked(session, evt)
        return None if appearance is None else self.keep(session, appearance=appearance)

    def choose_count(self, session: Session, count: int) -> Session:
        return self.keep(session, count=count)

    def add_term(self, session: Session, weight: float) -> Session:
        """The chosen appearance joins the sum; one that is in it already gets the new weight."""
        chosen, part = self.in_hand(session), self.part_of(session)
        if chosen.appearance is None:
            raise ValueError("Choose the appearance to add first.")
        others = tuple(term for term in chosen.terms if term[:2] != (chosen.appearance, part))
        return self.keep(session, terms=(*others, (chosen.appearance, part, weight)))

    def keep_terms(self, session: Session, rows: list[str]) -> Session:
        """Only those terms stay whose words are still in the sum."""
        stay = rows if isinstance(rows, list) else []
        terms = zip(self.in_hand(session).terms, self.term_words(session))
        return self.keep(session, terms=tuple(term for term, row in terms if row in stay))

    # ---- for programs ----

    def of_numbers(self, session: Session, appearance: int, part: int, count: int, report) -> Answer:
        """As `build`, of one appearance at one part, or anywhere."""
        if type(appearance) is not int or type(part) is not int:
            raise ValueError(f"appearance is {appearance!r:.20} and part {part!r:.20}; they must be whole numbers.")
        session = self.keep(session, terms=((appearance, part, 1.0),), count=count)
        self.opened(session)[0].scores(appearance, part)  # what the index does not hold is refused before the work
        return self.build(session, report)
