"""The Edit tab: popular changes, what varies at the chosen place, and the same place of other pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import gradio as gr
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from panda_core.images import difference
from panda_core.ops import Edit
from panda_core.popular import Change, popular
from panda_core.recipes import Recipe
from panda_core.regions import Region

from ..binding import Page
from ..components.html import heading
from ..given import clicked
from ..jpegs import small
from ..pictures import Pictures, origin, seeds_from, sheet_of
from ..session import Session
from ..words import SEEN, region_words

TILES, ENOUGH, POPULAR = 12, 8, 10
END = 3.0  # standard deviations of a tile
FAINT = 0.25  # of the strongest tile's change; what shows less is not offered


@dataclass(frozen=True)
class Sources:
    """Which other pictures are offered: the twelve seeds after this one, and how many twelves further."""

    page: int = 0


class EditTab:
    def __init__(self, pictures: Pictures):
        self.pictures, self.renderer = pictures, pictures.renderer

    def lay_out(self, page: Page) -> None:
        page.tiles("Popular changes", self.popular_tiles, self.choose_popular, elem_id="popular")
        page.follow(gr.HTML(), lambda s: heading(self.place_words(s)))
        page.tiles("What can change here", self.ends_tiles, self.choose_end, elem_id="ends")
        learn = gr.Button("See what varies here", size="sm", visible=False, elem_id="learn-variations")
        page.follow(learn, lambda s: gr.Button(visible=not self.knows(s)))
        page.job(learn.click, self.learn, done=lambda session, _: session)

    def lay_out_others(self, page: Page) -> None:
        """What stands below the list of edits."""
        with gr.Row(elem_classes="list-head", equal_height=True):
            page.follow(gr.HTML(), lambda s: heading(self.others_words(s)))
            page.button("Another twelve", another_twelve, min_width=110, scale=0, elem_id="another-twelve")
        page.tiles("From other pictures", self.other_tiles, self.choose_other, elem_id="from-others")

    # ---- what varies here ----

    def region(self, session: Session) -> Region | None:
        """The region chosen, for ops that take parts as learned."""
        region = session.region()
        return region and replace(region, refine="none", k=32)

    def place_words(self, session: Session) -> str:
        region = session.region()
        if region is None:
            return "Click something in the picture"
        return f"What can change: {region_words(self.pictures.factors(session), region)}"

    def knows(self, session: Session) -> bool:
        """Whether what varies at the chosen place is known, so that tiles need no long work."""
        region = self.region(session)
        where = session.recipe, session.layer, session.factors_id
        return region is None or self.renderer.knows_variations(*where, region)

    def learn(self, session: Session, report) -> bool:
        """Draw the samples that variations are learned from."""
        self.renderer.variations(session.recipe, session.layer, session.factors_id, self.region(session), report)
        return True

    def ends(self, session: Session) -> list[tuple[Edit, str]]:
        """The ends of the variations of the chosen region that can be seen in this picture, with what they would make
        of it; at most TILES, and no more are tried once there are ENOUGH."""
        region = self.region(session)
        if region is None or not self.knows(session):
            return []
        where = session.layer, session.factors_id, region
        count = len(self.renderer.variations(session.recipe, *where))
        edits = [Edit("vary", *where, variation=m, strength=s) for m in range(count) for s in (-END, END)]
        edits = [edit for edit in edits if session.has(edit) or not self.is_there(session, edit)]
        found: list[tuple[Edit, str]] = []
        for first in range(0, len(edits), TILES):
            some = edits[first : first + TILES]
            made = self.pictures.results(session, some)
            least = max(SEEN, FAINT * max(change for _, change in made))
            found += [(e, image) for e, (image, change) in zip(some, made) if change >= least or session.has(e)]
            if len(found) >= ENOUGH:
                break
        return found[:TILES]

    def is_there(self, session: Session, edit: Edit) -> bool:
        """Whether the picture without edits is at this end already, of a thing that is there or is not ("no hat")."""
        ends = self.pictures.factors(session).ends(edit.region.parts, edit.variation)
        if ends is None or ("no " + ends.high != ends.low and "no " + ends.low != ends.high):
            return False
        where = session.layer, session.factors_id, edit.region
        key = "scores", origin(session.recipe), *where

        def scores() -> list[float]:
            features = self.renderer.features(session.recipe, session.layer).features
            return self.renderer.variations(session.recipe, *where).scores(features)[0].tolist()

        return self.pictures.kept.get(key, scores)[edit.variation] * edit.strength > 0

    def end_words(self, session: Session, edit: Edit) -> str:
        """The name of an end, or its number and side."""
        ends = self.pictures.factors(session, edit).ends(edit.region.parts, edit.variation)
        if ends is None:
            return f"{'−' if edit.strength < 0 else '+'} {edit.variation}"
        return ends.low if edit.strength < 0 else ends.high

    def ends_tiles(self, session: Session) -> dict:
        edits = self.ends(session)
        if not edits:
            note = (
                "" if self.knows(session) else "Nobody has asked what varies just here; it takes seconds to find out."
            )
            return {"items": [], "note": note}
        return self.pictures.edit_tiles(session, edits, lambda edit: self.end_words(session, edit))

    def choose_end(self, session: Session, evt: gr.EventData) -> Session | None:
        edits = [edit for edit, _ in self.ends(session)]
        edit = clicked(evt, "end", edits, sheet_of(edits))
        return edit and session.toggle(edit)

    # ---- from other pictures ----

    def others(self, session: Session) -> list[Edit]:
        region = session.region()
        if region is None or region.all:
            return []
        page = (session.aside(Sources) or Sources()).page
        seeds = seeds_from(session.recipe.seed + 1 + TILES * page, TILES)
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
        edits = self.others(session)
        edit = clicked(evt, "picture", edits, sheet_of(edits))
        return edit and session.toggle(edit)

    # ---- popular changes ----

    def popular(self, session: Session) -> list[tuple[Change, str, str]]:
        """Of each pair of opposites the change that shows more in this picture, alone: (change, thumbnail, why it
        cannot be chosen here; empty where it can). All are drawn once a picture."""
        name, bare = session.recipe.generator, replace(session.recipe, edits=())
        weights = self.renderer.catalogue.generator(name).weights
        found = self.pictures.kept.get(("popular", name, weights), lambda: popular(self.renderer.catalogue, name))
        return self.pictures.kept.get(("popular", origin(bare)), lambda: self.draw(bare, found)) if found else []

    @torch.inference_mode()
    def draw(self, bare: Recipe, found: Sequence[Change]) -> list[tuple[Change, str, str]]:
        pairs: dict[frozenset, list[Change]] = {}
        for change in found:
            pairs.setdefault(frozenset({change.name, change.opposite}), []).append(change)
        tried = [change for pair in list(pairs.values())[:POPULAR] for change in pair]
        made: dict[Edit, tuple[Tensor, float]] = {}
        for layer in {change.edit.layer for change in tried}:
            group = [change.edit for change in tried if change.edit.layer == layer]
            plain = replace(group[0], on=False)
            images = self.pictures.variants(replace(bare, edits=(group[0],)), 0, [plain, *group], quick=True)
            for edit, image in zip(group, images[1:]):
                where = interpolate(self.renderer.region_map(bare, edit)[None, None], images.shape[-2:])[0, 0]
                inside = where >= min(0.5, float(where.max()))
                made[edit] = image, float(difference(image[None], images[:1])[0][inside].mean())
        best = [max(pair, key=lambda change: made[change.edit][1]) for pair in list(pairs.values())[:POPULAR]]
        images = small(torch.stack([made[change.edit][0] for change in best]))
        seen = ["" if made[change.edit][1] >= SEEN else "not seen here" for change in best]
        return list(zip(best, images, seen))

    def popular_tiles(self, session: Session) -> dict:
        items = [
            {"image": image, "label": change.name, "title": change.note, "on": session.has(change.edit), "off": off}
            for change, image, off in self.popular(session)
        ]
        return {"items": items, "note": "", "of": session.recipe.generator}

    def choose_popular(self, session: Session, evt: gr.EventData) -> Session | None:
        changes = [change for change, _, _ in self.popular(session)]
        change = clicked(evt, "popular change", changes, session.recipe.generator)
        return change and session.toggle(change.edit)


def another_twelve(session: Session) -> Session:
    return session.put_aside(Sources((session.aside(Sources) or Sources()).page + 1))
