"""Pictures in the order of what varies in a thing (ours), or of an appearance, at a part or anywhere (II Sec. 5.6,
Eqs. 17, 18).

The pictures are the seeds 0, 1, 2, ... at the visitor's ψ. An index on disk holds what is asked of them, for everybody
who looks at the same generator through the same factors; what it can answer needs no work.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..fitting import batch_for
from ..images import overlay_map, to_pil
from ..jpegs import jpeg, resized
from ..method.saliency import saliency
from ..ops import Edit
from ..progress import Progress
from ..ranking import EVERYWHERE, RankingIndex, prune
from ..regions import Region
from .pictures import origin
from .room import Room
from .session import Session

MAX_PICTURES = 10_000
MAX_TERMS, MAX_VARIATIONS = 8, 12  # of a sum; offered of a thing
EXTREMES, AXIS = 12, 23  # pictures named at either end, and shown along the axis
SHARD = 100  # pictures that a cancelled job loses at most
DISK, INDEXES = 10**9, 200  # bytes and folders that all indexes together may take
APPEARANCES, THUMBNAIL = 24, 96  # shown, and their pixels


class Term(NamedTuple):
    """How far along a variation of a thing (its number among the regions) a picture is, or how much of an appearance it
    has at a part, or EVERYWHERE."""

    kind: str
    number: int
    where: int
    weight: float = 1.0


@dataclass(frozen=True)
class Ranking:
    """What the tab keeps: what was chosen last, the sum, whose terms are of one kind, among how many pictures."""

    chosen: Term | None = None
    terms: tuple[Term, ...] = ()
    count: int = 100

    def __post_init__(self) -> None:
        if type(self.count) is not int or not 1 <= self.count <= MAX_PICTURES:
            raise ValueError(f"count is {self.count!r:.20}; it must be a whole number from 1 to {MAX_PICTURES}.")
        if len(self.terms) > MAX_TERMS:
            raise ValueError(f"The sum has {MAX_TERMS} terms, the most it can have; remove one first.")
        if len({term.kind for term in self.terms}) > 1:
            raise ValueError("A sum is of what varies or of appearances, not of both; take the other terms out first.")
        for term in self.terms:
            if not isinstance(term.weight, int | float) or not 0 < abs(term.weight) <= 1:
                raise ValueError(f"weight is {term.weight!r:.20}; it must be from -1 to 1, and not 0.")


class Answer(NamedTuple):
    """Seeds with the most, highest first, and with the least, lowest first; the scores of all; where they are kept."""

    most: list[int]
    least: list[int]
    scores: np.ndarray
    folder: Path


class Ordering(Room):
    # ---- what is asked, and the answer ----

    def in_hand(self, session: Session) -> Ranking:
        """What is chosen of these factors; what was chosen of others waits until they are in use again."""
        return session.aside("ranking", Ranking(), sheet_of(session))

    def part_of(self, session: Session) -> int:
        """The part that counts: the one chosen; with none, several or a painting the whole picture does."""
        region = session.region()
        return region.parts[0] if region and len(region.parts) == 1 and not region.keep else EVERYWHERE

    def regions(self, session: Session) -> list[tuple[int, ...]]:
        """The regions, as parts, of which it is known what varies there."""
        return sorted(self.pictures.factors(session).variations)

    def region_of(self, session: Session) -> int | None:
        """The number of the region chosen, or of the thing that its first part is of; None where that is unknown."""
        region, known = session.region(), self.regions(session)
        if region is None or not region.parts:
            return None
        chosen = [tuple(sorted(region.parts)), self.pictures.factors(session).thing_of(region.parts[0])]
        return next((known.index(parts) for parts in chosen if parts in known), None)

    def terms_of(self, session: Session) -> tuple[Term, ...]:
        """The sum, or what is chosen as a sum of its own; empty where there is neither."""
        now = self.in_hand(session)
        return now.terms or ((now.chosen,) if now.chosen else ())

    def question(self, session: Session) -> tuple:
        recipe = session.recipe
        asked = self.terms_of(session), self.in_hand(session).count
        return recipe.generator, recipe.class_index, recipe.psi, session.factors_id, *asked

    def opened(self, session: Session) -> tuple[RankingIndex, Callable[[int, int], Tensor]]:
        """The index that answers, as far as it has grown, and what it grows by."""
        recipe, terms, factors = session.recipe, self.terms_of(session), self.pictures.factors(session)
        varies = bool(terms) and terms[0].kind == "variation"
        variations = [factors.variations[parts] for parts in self.regions(session)] if varies else None
        where = recipe.generator, session.factors_id, recipe.psi, recipe.class_index
        return self.renderer.catalogue.ranking(*where, variations)

    def answer(self, session: Session) -> Answer | None:
        """None where nothing is asked, or the index lacks pictures: only `build` looks at pictures."""
        asked, terms, count = self.question(session), self.terms_of(session), self.in_hand(session).count
        found = self.pictures.kept.get(("ranking", asked))
        if found and not found.folder.exists():  # somebody needed the room
            found = None
        if found is None and terms and (index := self.opened(session)[0]).holds(count):
            os.utime(index.folder)  # what was used last is dropped last
            scores = index.weighted([term[1:] for term in terms], count)
            most, least = index.extremes(scores, EXTREMES)
            found = Answer(most.tolist(), least.tolist(), scores, index.folder)
            self.pictures.kept.hold(("ranking", asked), found)
        return found

    def build(self, session: Session, report: Callable[[Progress], bool]) -> Answer:
        """Look at the pictures that the index lacks, together with whoever else builds it."""
        if not self.terms_of(session):
            raise ValueError("Choose what to order the pictures by.")
        index, draw = self.opened(session)
        prune(index.folder.parent, DISK, INDEXES)
        batch = batch_for(self.renderer.generator(session.recipe).layers[session.layer])
        index.grow(draw, self.in_hand(session).count, batch=batch, shard=SHARD, report=report, together=True)
        return self.answer(session)

    # ---- in words ----

    def place_words(self, session: Session, part: int) -> str:
        return "anywhere" if part == EVERYWHERE else f"at {self.pictures.factors(session).part_name(part)}"

    def term_name(self, session: Session, term: Term) -> str:
        factors = self.pictures.factors(session)
        if term.kind == "appearance":
            return f"{factors.appearance_name(term.number)} {self.place_words(session, term.where)}"
        parts = self.regions(session)[term.where]
        return f"{factors.region_name(parts)}: {self.more_of(session, parts, term.number)}"

    def more_of(self, session: Session, parts: tuple[int, ...], variation: int) -> str:
        ends = self.pictures.factors(session).ends(parts, variation)
        return ends.high if ends else f"variation {variation}"

    def term_words(self, session: Session) -> list[str]:
        return [f"{term.weight:+.1f} × {self.term_name(session, term)}" for term in self.in_hand(session).terms]

    # ---- what can be asked ----

    def variations(self, session: Session) -> list[tuple[Term, Edit]]:
        """What can be asked of the chosen region, with the edit that shows more of it; what has a name, if anything."""
        number = self.region_of(session)
        if number is None:
            return []
        factors, parts = self.pictures.factors(session), self.regions(session)[number]
        where = session.layer, session.factors_id, Region(parts)
        numbers = range(min(len(factors.variations[parts]), MAX_VARIATIONS))
        named = [m for m in numbers if factors.ends(parts, m)]
        named.sort(key=lambda m: "skin" in factors.ends(parts, m).high)  # people are not ranked by that first
        edit = Edit("vary", *where, strength=3.0)
        return [(Term("variation", m, number), replace(edit, variation=m)) for m in named or numbers]

    @torch.inference_mode()
    def appearance_maps(self, session: Session) -> list[str]:
        """JPEG thumbnails: the picture in grey, the appearance's place in warm colours, from its threshold upwards."""
        recipe, factors = session.recipe, self.pictures.factors(session)
        features = self.renderer.features(recipe, session.layer).features
        A = factors.appearances[:, :APPEARANCES]
        maps = torch.stack([saliency(features, a)[0] for a in A.t()]) - (A.t() @ factors.mean)[:, None, None]
        maps = self.renderer.to_image_size(recipe, session.layer, maps.flatten(1)).cpu()
        picture = to_pil(resized(self.renderer.base(recipe), THUMBNAIL))[0]
        return [jpeg(overlay_map(picture, m, float(m.max().clamp_min(1e-6)))) for m in maps]

    # ---- the axis ----

    def axis_seeds(self, session: Session, found: Answer) -> list[int]:
        """Of the pictures that the axis shows; found once for each picture."""

        def find() -> list[int]:
            ranked = np.argsort(found.scores, kind="stable")
            seeds = ranked[np.linspace(0, len(ranked) - 1, min(AXIS, len(ranked))).round().astype(int)].tolist()
            if session.recipe.source is None and session.recipe.seed not in seeds:
                seeds.insert(int((found.scores[seeds] < self.score(session)).sum()), session.recipe.seed)
            return seeds

        return self.pictures.kept.get(("axis", self.question(session), origin(session.recipe)), find)

    def score(self, session: Session) -> float:
        """Of this picture without its edits."""
        features = self.renderer.features(session.recipe, session.layer).features
        terms = [term[1:] for term in self.terms_of(session)]
        return float(self.opened(session)[0].weighted(terms, self.in_hand(session).count, features)[0])

    # ---- what is done ----

    def keep(self, session: Session, **changes) -> Session:
        return session.put_aside("ranking", replace(self.in_hand(session), **changes), sheet_of(session))

    def add_term(self, session: Session, weight: float) -> Session:
        """What is chosen joins the sum; what is in it already gets the new weight."""
        now = self.in_hand(session)
        if now.chosen is None:
            raise ValueError("Choose what to add first.")
        others = tuple(term for term in now.terms if term[:3] != now.chosen[:3])
        return self.keep(session, terms=(*others, now.chosen._replace(weight=weight)))

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
        session = self.keep(session, terms=(Term("appearance", appearance, part),), count=count)
        self.opened(session)[0].scores(appearance, part)  # what the index does not hold is refused before the work
        return self.build(session, report)


def sheet_of(session: Session) -> str:
    """Which factors these are: a click on tiles of others that are about to go must not choose from the next."""
    return f"{session.recipe.generator} {session.factors_id}"
