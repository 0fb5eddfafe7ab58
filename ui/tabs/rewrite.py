"""The Rewrite tab: one appearance replaced by another, everywhere or in the chosen region (II 5.5)."""

from dataclasses import dataclass, replace

import gradio as gr
import torch

from panda_core.method.saliency import saliency
from panda_core.ops import Edit
from panda_core.regions import Region

from ..binding import Page
from ..components.html import heading, hint
from ..given import clicked
from ..pictures import Pictures, sheet_of
from ..session import Session
from ..words import region_words
from .appearances import COUNT, Appearances
from .appearances import sheet_of as appearances_of

SOURCES, TARGETS = 6, 12
SEEN_ANYWHERE = 0.004  # mean change over the whole picture below which a result is not offered


@dataclass(frozen=True)
class Rewriting:
    """What this tab keeps: another source than the strongest, and whether it is replaced in the chosen region only."""

    source: int | None = None
    here: bool = False


class RewriteTab:
    def __init__(self, pictures: Pictures, appearances: Appearances):
        self.pictures, self.renderer, self.appearances = pictures, pictures.renderer, appearances

    def lay_out(self, page: Page) -> None:
        hint("Click a place: what it shows is replaced, wherever the picture shows it. Then choose by what.")
        gr.HTML(heading("What is replaced"))
        page.tiles("What is replaced", self.source_tiles, self.choose_source, elem_id="rewrite-sources")
        here = gr.Radio([], label="Where", visible=False, interactive=True, elem_id="here")
        gr.HTML(heading("What it becomes"))
        page.tiles("What it becomes", self.target_tiles, self.choose_target, elem_id="rewrite-targets")
        page.field(here, self.show_where, choose_here)

    # ---- what is replaced ----

    @torch.inference_mode()
    def sources(self, session: Session) -> list[int]:
        """The appearances that the chosen place, edited as it is, shows most of, in standard deviations above their
        mean, strongest first; none where nothing is chosen."""
        region = session.region()
        if region is None:
            return []
        recipe, factors = session.recipe, self.pictures.factors(session)
        if session.edit and session.edit.op == "rewrite":  # as it was before that
            recipe = recipe.with_edit(session.active, replace(session.edit, on=False))
        p = self.renderer.region(recipe, session.layer, region, session.factors_id)
        Z = self.renderer.edited_features(recipe, session.layer).features
        found = []
        for j in range(min(COUNT, factors.appearances.shape[1])):
            amount = saliency(Z, factors.appearances[:, j]).flatten()
            mean = amount.mean() if p is None else (amount @ p.to(amount)) / p.sum()
            if float(mean) > 0:  # only [a_jᵀZ]₊ is replaced
                found.append(((float(mean) - factors.threshold(j)) / max(factors.alpha_anywhere(j), 1e-9), j))
        return [j for _, j in sorted(found, reverse=True)[:SOURCES]]

    def source(self, session: Session) -> int | None:
        chosen, found = rewriting(session).source, self.sources(session)
        return chosen if chosen in found else found[0] if found else None

    def source_tiles(self, session: Session) -> dict:
        """Each appearance as where it is in the picture."""
        found, chosen = self.sources(session), self.source(session)
        if not found:
            return {"items": [], "note": "Nothing is chosen yet: click a place in the picture."}
        tiles = self.appearances.tiles(session, chosen)["items"]
        return {"items": [tiles[j] for j in found], "note": "", "of": f"{appearances_of(session)} {found}"}

    def choose_source(self, session: Session, evt: gr.EventData) -> Session | None:
        found = self.sources(session)
        source = clicked(evt, "appearance", found, f"{appearances_of(session)} {found}")
        return None if source is None else keep(session, source=source)

    def show_where(self, session: Session):
        region = session.region()
        if region is None or region.all:
            return gr.Radio(visible=False)
        name = region_words(self.pictures.factors(session), region)
        choices = [("Everywhere", False), (f"Only here: {name}", True)]
        return gr.Radio(choices, value=rewriting(session).here, visible=True)

    # ---- what it becomes ----

    def targets(self, session: Session) -> list[tuple[Edit, str]]:
        """Rewrites of the source that change this picture, most first, with what they would make of it."""
        source = self.source(session)
        if source is None:
            return []
        region = session.region() if rewriting(session).here else Region(all=True)
        where = session.layer, session.factors_id, region
        count = min(COUNT, self.pictures.factors(session).appearances.shape[1])
        edits = [Edit("rewrite", *where, source=source, target=k, strength=1.0) for k in range(count) if k != source]
        made = zip(edits, self.pictures.results(session, edits, quick=True))
        seen = sorted(((change, i) for i, (_, (_, change)) in enumerate(made) if change >= SEEN_ANYWHERE), reverse=True)
        images = [image for image, _ in self.pictures.results(session, edits, quick=True)]
        return [(edits[i], images[i]) for _, i in seen[:TARGETS]]

    def target_tiles(self, session: Session) -> dict:
        found = self.targets(session)
        if not found:
            return {"items": [], "note": "" if self.source(session) is None else "No other appearance changes it."}
        return self.pictures.edit_tiles(session, found, lambda e: self.appearances.name(session, e.target))

    def choose_target(self, session: Session, evt: gr.EventData) -> Session | None:
        edits = [edit for edit, _ in self.targets(session)]
        edit = clicked(evt, "result", edits, sheet_of(edits))
        if edit is None:
            return None
        changed = session.toggle(edit)  # the place stays chosen
        return replace(changed, parts=session.parts, where=session.where, mask=session.mask)


def rewriting(session: Session) -> Rewriting:
    return session.aside(Rewriting, appearances_of(session)) or Rewriting()


def keep(session: Session, **changes) -> Session:
    return session.put_aside(replace(rewriting(session), **changes), appearances_of(session))


def choose_here(session: Session, here: bool) -> Session:
    return keep(session, here=here is True)
