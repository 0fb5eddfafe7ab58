"""The Rank tab: pictures in the order of a concept, at the chosen part or anywhere (II Sec. 5.6, Eqs. 17, 18).

The pictures are the seeds 0, 1, 2, ... at the visitor's ψ. An index on disk holds what is asked of them, for everybody
who looks at the same generator through the same factors; what it can answer needs no work. The papers' baseline, a
latent direction's r = uᵀw/uᵀu, stands beside it only where directions exist: no generator here has any.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import numpy as np
from torch import Tensor

from panda_core.catalogue import INDEXED
from panda_core.fitting import batch_for
from panda_core.progress import Progress
from panda_core.ranking import EVERYWHERE, RankingIndex, prune
from panda_core.recipes import parse_recipe

from . import gpu, view
from .concepts import clicked_concept, concept_name, concept_tiles, concepts_of
from .page import BUDGETS, Page, asking, clicked, counted, heading, hint, open_seed, sentence, whole
from .session import Session
from .widgets import Slider

COUNTS, MOST_PICTURES = [("100", 100), ("1,000", 1000), ("10,000", 10_000)], 10_000
MOST_TERMS = 8  # of a sum
LOOKS = 6  # appearances offered for one part
ENDS, SHOWN = ("most", "least"), 12  # pictures shown at either end
SHARD = 100  # pictures that a cancelled job loses at most
DISK, INDEXES = 10**9, 200  # bytes and folders that all indexes together may take
BINS = 40


@dataclass(frozen=True)
class Ranking:
    """What the tab keeps: the concept chosen, the sum of (appearance, part, weight), among how many pictures."""

    concept: int | None = None
    terms: tuple[tuple[int, int, float], ...] = ()
    count: int = 100

    def __post_init__(self) -> None:
        if type(self.count) is not int or not 1 <= self.count <= MOST_PICTURES:
            raise ValueError(f"count is {self.count!r:.20}; it must be a whole number from 1 to {MOST_PICTURES}.")
        if len(self.terms) > MOST_TERMS:
            raise ValueError(f"The sum has {MOST_TERMS} looks, the most it can have; remove one first.")
        for *_, weight in self.terms:
            if not isinstance(weight, int | float) or not 0 < abs(weight) <= 1:
                raise ValueError(f"weight is {weight!r:.20}; it must be from -1 to 1, and not 0.")


class Answer(NamedTuple):
    """Seeds with the most, highest first, and with the least, lowest first; the scores of all; where they are kept."""

    most: list[int]
    least: list[int]
    scores: np.ndarray
    folder: Path


def rank_tab(page: Page) -> None:
    gr.HTML(heading("Choose what to order pictures by"))
    hint("See which of many pictures show most of a look, and which least.")
    page.tiles("Looks", lambda s: concept_tiles(s, in_hand(s).concept), choose_concept, elem_id="rank-concepts")
    page.follow(gr.HTML(), lambda s: heading(place_words(s, part_of(s)).capitalize()))
    page.tiles("Looks of the chosen part", look_tiles, choose_look, elem_id="rank-looks")
    with gr.Accordion("Add looks up", open=False, elem_id="rank-sum"):
        weight = Slider(-1, 1, 1, step=0.1, label="Weight of the look chosen above", interactive=True, buttons=[])
        with gr.Row():
            page.button(
                "Add to the sum", add_term, weight, when=lambda s: in_hand(s).concept is not None, min_width=120
            )
        terms = gr.Dropdown([], label="The sum", multiselect=True, interactive=True, elem_id="rank-terms")
    page.follow(gr.HTML(elem_id="rank-asked"), lambda s: sentence(asked_words(s)))
    with gr.Row():
        count = gr.Radio(COUNTS, label="How many pictures", value=100, interactive=True, scale=2, min_width=280)
        order = gr.Button("Order them", variant="primary", min_width=120, elem_id="rank-order")
    page.job(order.click, build, done=lambda session, _: session)
    page.follow(gr.HTML(elem_id="rank-spread"), histogram)
    for end in ENDS:
        page.follow(gr.HTML(), partial(end_words, end=end))
        page.tiles(f"The {end}", partial(gallery, end=end), open_seed, elem_id=f"rank-{end}")

    page.field(terms, show_sum, keep_terms)
    page.field(count, lambda s: in_hand(s).count, choose_count)
    page.follow(order, order_button)


# ---- what is asked, and the answer ----


def in_hand(session: Session) -> Ranking:
    """What is chosen among these concepts; what was chosen among others waits until they are in use again."""
    return session.aside(Ranking, concepts_of(session)) or Ranking()


def part_of(session: Session) -> int:
    """The part that counts: the one chosen; with none, several or a painting the whole picture does."""
    region = session.region()
    return region.parts[0] if region and len(region.parts) == 1 and not region.keep else EVERYWHERE


def terms_of(session: Session) -> tuple[tuple[int, int, float], ...]:
    """The sum, or the concept chosen as a sum of its own; empty where there is neither."""
    chosen = in_hand(session)
    return chosen.terms or (() if chosen.concept is None else ((chosen.concept, part_of(session), 1.0),))


def question(session: Session) -> tuple:
    recipe = session.recipe
    return (recipe.generator, recipe.class_index, recipe.psi, session.factors_id, in_hand(session).count,
            terms_of(session))  # fmt: skip


def opened(session: Session) -> tuple[RankingIndex, Callable[[int, int], Tensor]]:
    """The index that answers, as far as it has grown, and what it grows by."""
    recipe = session.recipe
    return view.renderer.catalogue.ranking(recipe.generator, session.factors_id, recipe.psi, recipe.class_index)


def answer(session: Session) -> Answer | None:
    """None where nothing is asked, or the index lacks pictures: only `build` looks at pictures."""
    asked, terms, count = question(session), terms_of(session), in_hand(session).count
    found = view.kept.get(("ranking", asked))
    if found and not found.folder.exists():  # somebody needed the room
        found = None
    if found is None and terms and (index := opened(session)[0]).holds(count):
        os.utime(index.folder)  # what was used last is dropped last
        scores = index.weighted(terms, count)
        most, least = index.extremes(scores, SHOWN)
        found = view.kept.hold(("ranking", asked), Answer(most.tolist(), least.tolist(), scores, index.folder))
    return found


def build(session: Session, report: Callable[[Progress], bool]) -> Answer:
    """Look at the pictures that the index lacks, together with whoever else builds it."""
    if not terms_of(session):
        raise ValueError("Choose a look to order the pictures by.")
    index, draw = opened(session)
    prune(index.folder.parent, DISK, INDEXES)
    batch = batch_for((len(index.table.appearances), len(index.table.parts), 1))
    index.grow(draw, in_hand(session).count, batch=batch, shard=SHARD, report=report, together=True)
    return answer(session)


# ---- what is shown ----


def place_words(session: Session, part: int) -> str:
    return "anywhere" if part == EVERYWHERE else f"at {view.factors_of(session).part_name(part)}"


def order_button(session: Session):
    done = answer(session) is not None
    return gr.Button("They are in order" if done else "Order them", interactive=bool(terms_of(session)) and not done)


def term_words(session: Session) -> list[str]:
    return [f"{w:+.1f} × {concept_name(session, j)} {place_words(session, k)}" for j, k, w in in_hand(session).terms]


def show_sum(session: Session):
    rows = term_words(session)
    info = "" if rows else "Nothing is in the sum: the look chosen above counts alone."
    return gr.Dropdown(choices=rows, value=rows, multiselect=True, interactive=bool(rows), info=info)


def asked_words(session: Session) -> str:
    """What the pictures are, or will be, in order of; and what to do next."""
    terms, chosen = terms_of(session), in_hand(session)
    if not terms:
        return "Pictures are put in order, from those with the most of a look to those with the least."
    words = "the sum" if chosen.terms else f"{concept_name(session, terms[0][0])} {place_words(session, terms[0][1])}"
    if answer(session) is None:
        return f"To order by {words}, {chosen.count:,} pictures must be looked at first: press “Order them”."
    return f"In order of {words}."


def part_looks(session: Session) -> list[int]:
    """The appearances in which pictures differ most at the chosen part; none where it is not one part."""
    part = part_of(session)
    if part == EVERYWHERE:
        return []
    return view.factors_of(session).sigma[:INDEXED, part].argsort(descending=True)[:LOOKS].tolist()


def look_tiles(session: Session) -> dict:
    """What more of each of these appearances does to the picture."""
    edits, chosen = [view.look(session, j) for j in part_looks(session)], in_hand(session).concept
    if not edits:
        return {"items": [], "note": "Choose one part of the picture to order by what is there."}
    plain = replace(session, recipe=replace(session.recipe, edits=()))
    return view.edit_tiles(
        plain, edits, None, lambda s, edit: concept_name(s, edit.appearance), lambda edit: edit.appearance == chosen
    )


def histogram(session: Session) -> str:
    """HTML: how the pictures are spread from the least to the most, and where this one stands."""
    found, count = answer(session), in_hand(session).count
    if found is None:
        return ""
    features = view.renderer.features(session.recipe, session.layer).features
    index, _ = opened(session)
    mine = index.weighted(terms_of(session), count, features)[0]
    counts, edges = index.histogram(found.scores, BINS)
    tops = 100 - 100 * counts / counts.max()
    bars = "".join(f'<rect x="{i}" y="{top:.0f}" width=".8" height="{100 - top:.0f}"/>' for i, top in enumerate(tops))
    at = 100 * np.clip((mine - edges[0]) / (edges[-1] - edges[0]), 0, 1)
    words = f"This picture, without its edits: {100 * np.mean(found.scores < mine):.0f} of 100 have less."
    return (
        f'{sentence(words)}<div class="spread"><svg role="img" viewBox="0 0 {BINS} 100" preserveAspectRatio="none" '
        f'aria-label="How {count:,} pictures are spread, from the least to the most. {words}">{bars}</svg>'
        f'<i style="left:{at:.1f}%"></i></div>'
        f'<p class="ends"><span>Less</span><span>{count:,} pictures</span><span>More</span></p>'
    )


def end_words(session: Session, end: str) -> str:
    return heading(f"The {end}") if answer(session) else ""


def gallery(session: Session, end: str) -> dict:
    """The pictures at one end, without edits."""
    found, recipe = answer(session), session.recipe
    if found is None:
        return view.seed_tiles(session, {})
    seeds, key = getattr(found, end), ("ranked", end, question(session))
    images = view.kept.get(key, lambda: view.jpegs(view.renderer.small_pictures(recipe, seeds)))
    return view.seed_tiles(session, dict(zip(seeds, images)))


# ---- what is done ----


def keep(session: Session, **changes) -> Session:
    return session.put_aside(replace(in_hand(session), **changes), concepts_of(session))


def choose_concept(session: Session, evt: gr.EventData) -> Session | None:
    concept = clicked_concept(session, evt)
    return None if concept is None else keep(session, concept=concept)


def choose_look(session: Session, evt: gr.EventData) -> Session | None:
    concept = clicked(evt, "look", part_looks(session), view.sheet_of(session))
    return None if concept is None else keep(session, concept=concept)


def choose_count(session: Session, count: int) -> Session:
    return keep(session, count=count)


def add_term(session: Session, weight: float) -> Session:
    """The chosen concept joins the sum; one that is in it already gets the new weight."""
    chosen, part = in_hand(session), part_of(session)
    if chosen.concept is None:
        raise ValueError("Choose the look to add first.")
    others = tuple(term for term in chosen.terms if term[:2] != (chosen.concept, part))
    return keep(session, terms=(*others, (chosen.concept, part, weight)))


def keep_terms(session: Session, rows: list[str]) -> Session:
    """Only those terms stay whose words are still in the sum."""
    stay = rows if isinstance(rows, list) else []
    terms = zip(in_hand(session).terms, term_words(session))
    return keep(session, terms=tuple(term for term, row in terms if row in stay))


def rank(recipe: str, appearance: float, part: float, count: float) -> Iterator[dict | None]:
    """The seeds, of 0 to count - 1, of the pictures with the most and the least of an appearance, twelve of each.

    {"most": [...], "least": [...]}, the most extreme first. recipe: JSON text (contracts: Recipe); its ψ and class
    count, its edits do not. appearance: 0 to 63, of its generator's default layer. part: a number, or -1 for anywhere.
    count: 1 to 10,000; those that nobody has asked about before are looked at first, which takes seconds to minutes.
    """
    with counted("rank"), BUDGETS.one_job(asking()):
        for _, found in seeds_in_order(recipe, appearance, part, count):
            yield found  # here gradio notices a caller who has left


def order_seeds(recipe: str, appearance: float, part: float, count: float, report: Callable[[Progress], bool]) -> dict:
    session = view.opened(parse_recipe(recipe))
    j, k = numbers = whole(appearance), whole(part)
    if not all(type(number) is int for number in numbers):
        raise ValueError(f"appearance is {j!r:.20} and part {k!r:.20}; they must be whole numbers.")
    session = keep(session, terms=((j, k, 1.0),), count=whole(count))
    opened(session)[0].scores(j, k)  # what the index does not hold is refused before the work
    found = build(session, report)
    return {end: getattr(found, end) for end in ENDS}


seeds_in_order = gpu.job(order_seeds)
