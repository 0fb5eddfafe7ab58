"""What a session's picture looks like, and would look like with other edits: pictures, tiles, words; kept a while."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..effects import new_colours
from ..factors import Ends, Factors
from ..images import difference, overlay_parts
from ..jpegs import TILE_SIDE, cropped, jpegs, resized
from ..method.parts import scale_parts
from ..ops import OPS, Edit
from ..recipes import Recipe
from ..regions import Region
from ..rendering import Renderer
from ..runtime.kept import Kept
from .session import Session

FULL = 2.0  # strength at which a rewrite is offered, and its colour told: of the new for one of the old
MAX_WHOLE = 256  # pixels of the pictures that tiles are cut from


class Names(NamedTuple):
    """What the visitor calls the parts and things of some factors: part -> name, region's key -> name."""

    parts: dict[int, str]
    things: dict[str, str]


class Pictures:
    """Made by one renderer, and kept for a while by what they depend on."""

    def __init__(self, renderer: Renderer):
        self.renderer, self.kept = renderer, Kept(256)

    def factors(self, session: Session, edit: Edit | None = None) -> Factors:
        """Those in use, or those of an edit, with the names that the visitor gave."""
        if edit is None:
            found = self.renderer.catalogue.factors(session.recipe.generator, session.factors_id)
        else:
            found = self.renderer.factors(session.recipe, edit)
        names = session.aside("names", about=session.factors_id if edit is None else edit.factors)
        return found.with_info(part_names=names.parts, thing_names=names.things) if names else found

    def edit_words(self, session: Session, edit: Edit) -> str:
        """A line of the list: "longer hair"; of a rewrite what it looks like: "clothes: now yellow"."""
        words = self.plain_words(session, edit)
        if edit.op != "rewrite":
            return words
        where = words.partition(":")[0]
        if edit.region.all:  # "hair" says more than "everywhere"
            where = self.factors(session, edit).info.appearance_names.get(edit.source, where).removesuffix(" (-)")
        return f"{where}: now {self.colours(session, [edit])[0]}"

    def plain_words(self, session: Session, edit: Edit) -> str:
        """The same without looking at the picture: "clothes: what is here becomes something else"."""
        return OPS[edit.op].words(edit, self.factors(session, edit))

    def colours(self, session: Session, edits: Sequence[Edit]) -> list[str]:
        """What each of several edits of one layer makes of the places that it changes most, without other edits."""
        alone = tuple(replace(edit.with_size(FULL), on=True) for edit in edits)
        recipe = replace(session.recipe, edits=())
        return self.kept.get(("colours", origin(recipe), alone), lambda: new_colours(self.renderer, recipe, alone))

    def ends(self, session: Session, edit: Edit) -> Ends | None:
        """What the ends of an edit's variation are called; None where it has none, or nobody has named them."""
        return self.factors(session, edit).ends(edit.region.parts, edit.variation) if edit.op == "vary" else None

    def slider_words(self, session: Session, edit: Edit) -> str:
        """What an edit's strength moves between: "frown ← → smile"; of one whose ends have no names what it is."""
        ends = self.ends(session, edit)
        return f"{ends.low} ← → {ends.high}" if ends else self.edit_words(session, edit)

    def edits_words(self, session: Session, plain: bool = False) -> str:
        """All that is on, in words; empty where nothing is. plain: without looking at the picture."""
        words = self.plain_words if plain else self.edit_words
        return ", ".join(words(session, edit) for edit in session.recipe.edits if edit.on)

    # ---- the picture ----

    def picture(self, session: Session) -> Tensor:
        """The edited picture, [1, 3, h, w]; what comes before the edit in hand is kept for its next strength."""
        recipe, active = session.recipe, session.active
        if active is None:
            image = self.renderer.image(recipe)
        else:
            image = self.renderer.finish(self.renderer.prepare(recipe, active), recipe, active)
        own = None if bare(session) else self.renderer.own_picture(recipe)
        return image if own is None else own.show(self.renderer.base(recipe), image)

    def before(self, session: Session) -> Tensor:
        """The picture without its edits, [1, 3, h, w]."""
        return self.picture(replace(session, recipe=replace(session.recipe, edits=()), active=None))

    def changed_region(self, recipe: Recipe) -> Tensor:
        """The regions of all edits that are on, at image size, [h, w] in [0, 1]."""
        on = [recipe.edits[i] for i in recipe.ordered()]
        if not on:
            return torch.zeros(1, 1)
        key = "region", origin(recipe), tuple((e.layer, e.factors, e.region) for e in on)
        return self.kept.get(key, lambda: torch.stack([self.renderer.region_map(recipe, e) for e in on]).amax(dim=0))

    def with_parts(self, recipe: Recipe, layer: int, parts: Tensor, side: int = 224) -> Image.Image:
        """The picture without edits, tinted with parts P [S, R_S], `side` pixels wide."""
        generator = self.renderer.generator(recipe)
        top, left, bottom, right = generator.frame(layer)
        maps = scale_parts(parts.cpu()).t().reshape(-1, 1, *generator.layers[layer][1:])[:, :, top:bottom, left:right]
        maps = F.interpolate(maps, (side, side), mode="bilinear", align_corners=False)[:, 0]
        return overlay_parts(resized(self.renderer.base(recipe), side), maps)

    # ---- tiles ----

    def results(
        self, session: Session, edits: Sequence[Edit], quick: bool = False, region: Region | None = None
    ) -> list[tuple[str, float]]:
        """What each of several edits would make of the picture, in place of its like in the list: (JPEG cropped to a
        region, mean change there against the picture as it is without it).

        quick: drawn at half size, where many are tried and few shown. region: at the session's layer; default: that of
        the first edit.
        """
        if not edits:
            return []
        key = "results", origin(session.recipe), session.recipe.edits, tuple(edits), region and (session.layer, region)
        return self.kept.get(key, lambda: self._results(session, edits, quick, region))

    @torch.inference_mode()
    def _results(
        self, session: Session, edits: Sequence[Edit], quick: bool, region: Region | None
    ) -> list[tuple[str, float]]:
        where = self.region_map(session, region) if region else self.renderer.region_map(session.recipe, edits[0])
        made: list[tuple[Tensor, float]] = [None] * len(edits)  # type: ignore[list-item]
        kinds = [(session.recipe.find_like(edit), edit.layer) for edit in edits]
        for kind in dict.fromkeys(kinds):
            numbers, like = [i for i, other in enumerate(kinds) if other == kind], kind[0]
            recipe, index = session.recipe, like
            if index is None:
                recipe, index = with_last(recipe, edits[numbers[0]]), len(recipe.edits)
            trials = [replace(recipe.edits[index], on=False), *(replace(edits[i], on=True) for i in numbers)]
            images = self.variants(recipe, index, trials, quick)
            inside = resized(where[None, None], images.shape[-1])[0, 0] >= min(0.5, float(where.max()))
            change = difference(images[1:], images[:1])
            for i, image, one in zip(numbers, images[1:], change):
                made[i] = image, float(one[inside].mean())
        tiles = jpegs(cropped(torch.stack([image for image, _ in made]), where, TILE_SIDE))
        return [(tile, change) for tile, (_, change) in zip(tiles, made)]

    def variants(self, recipe: Recipe, index: int, edits: Sequence[Edit], quick: bool = False) -> Tensor:
        """The picture with edit `index` replaced by each of `edits`, [n, 3, h, w], as tiles need it; quick: at half."""
        return self.renderer.variants(recipe, index, edits, shrink=(1 + quick) * self.shrink(recipe))

    def shrink(self, recipe: Recipe) -> int:
        """How many times smaller tiles are drawn than the picture."""
        return max(1, self.renderer.generator(recipe).resolution // MAX_WHOLE)

    def region_map(self, session: Session, region: Region) -> Tensor:
        """A region of the session's layer at image size, [h, w] in [0, 1]."""
        return self.renderer.place_map(session.recipe, session.layer, region, session.factors_id)


def leading_part(factors: Factors, region: Region) -> int:
    """The part whose suggestions a region takes: its first one, or the one that a drawing covers best."""
    if region.parts:
        return region.parts[0]
    if region.mask is None:
        return 0
    cells, parts = region.mask.tensor().flatten(), factors.scaled_parts
    return int(((cells @ parts) / parts.sum(dim=0).clamp_min(1e-6).sqrt()).argmax())


def seeds_from(first: int, count: int) -> list[int]:
    """`count` seeds from this one on; after the last one comes 0."""
    return [(first + i) % 2**32 for i in range(count)]


def with_last(recipe: Recipe, edit: Edit) -> Recipe:
    return replace(recipe, edits=(*recipe.edits, edit))


def origin(recipe: Recipe) -> tuple:
    return recipe.generator, recipe.class_index, recipe.seed, recipe.psi, recipe.source


def of_picture(session: Session) -> str:
    """Which picture is shown, edits apart."""
    return sha256(repr(origin(session.recipe)).encode()).hexdigest()[:8]


def of_place(session: Session) -> str:
    """Which place of it is chosen."""
    where = origin(session.recipe), session.layer, session.factors_id, session.region()
    return sha256(repr(where).encode()).hexdigest()[:8]


def bare(session: Session) -> bool:
    """Whether an own picture is shown as the generator draws it."""
    return session.aside("as drawn", False)
