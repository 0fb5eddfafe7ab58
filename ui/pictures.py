"""What the page shows of a session: the picture with its parts, frames, tiles. Plain data; knows nothing of Gradio."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from panda_core.effects import new_colours
from panda_core.factors import Ends, Factors
from panda_core.images import PALETTE, difference
from panda_core.method.parts import scale_parts
from panda_core.ops import OPS, Edit
from panda_core.recipes import Recipe
from panda_core.regions import Region
from panda_core.rendering import Renderer

from .jpegs import TILE_SIDE, cropped, jpegs, large, resized
from .server.kept import Kept
from .session import Session
from .words import change_words

REACH = 16
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

    def scene(self, session: Session) -> dict:
        """What the Picture needs besides the frame: the picture before, the parts of this layer, what is chosen."""
        recipe, factors = session.recipe, self.factors(session)
        generator = self.renderer.generator(recipe)
        top, left, bottom, right = generator.frame(session.layer)
        H, W = generator.layers[session.layer][1:]
        parts = self.renderer.parts(recipe, session.layer, session.factors_id, session.refine, session.k)
        maps = scale_parts(parts).t().reshape(-1, H, W)[:, top:bottom, left:right]
        larger = [parts for parts in factors.variations if len(parts) > 1 and parts not in factors.things]
        return {
            "before": self.kept.get(("before", origin(recipe), bare(session)), lambda: large(self.before(session))),
            "maps": base64.b64encode((maps * 255).round().to(torch.uint8).cpu().numpy().tobytes()).decode(),
            "grid": [bottom - top, right - left],
            "size": [H, W],
            "frame": [top, left, bottom, right],
            "parts": [factors.part_name(k) for k in range(len(maps))],
            "things": [{"parts": list(thing), "name": factors.region_name(thing)} for thing in factors.things],
            "larger": [{"parts": list(parts), "name": factors.region_name(parts)} for parts in larger],
            "colours": [[int(c) for c in PALETTE[k % len(PALETTE)]] for k in range(len(factors.things))],
            "chosen": list(session.parts) if session.where in ("parts", "piece") else [],
            "painted": session.mask.rle if session.mask else "",
            "where": session.where,
        }

    def frame(self, session: Session, moving: bool = False) -> dict:
        """The edited picture, and in words what changed and how much. The only part that a slider's tick makes.

        moving: large pictures in a quarter of the size, while the strength is on its way.
        """
        moving = moving and self.shrink(session.recipe) > 1 and (not session.recipe.source or bare(session))
        words = self.edits_words(session)  # in the key: a visitor's own names are for nobody else
        key = "frame", moving, origin(session.recipe), session.recipe.edits, session.active, words, bare(session)
        return self.kept.get(key, lambda: self._frame(session, words, moving))

    def _frame(self, session: Session, words: str, moving: bool) -> dict:
        recipe = session.recipe
        if moving:  # what is said of it follows once the strength rests
            image, said = self.variants(recipe, session.active, [session.edit]), ""
        else:
            image = self.picture(session)
            change = difference(image, self.before(session))[0]
            said = change_words(session, words, change, self.changed_region(recipe))
        pulls = session.edit is not None and session.edit.op == "vary" and session.edit.on
        return {
            "image": large(image),
            "words": said,
            "alt": f"{which(recipe)}; {words or 'no edits'}.",
            "edited": bool(recipe.ordered()),
            "pull": session.edit.strength if pulls else None,  # what a drag on the picture moves, and where it can
            "reach": self.reach(recipe, session.edit) if pulls else "",
        }

    def reach(self, recipe: Recipe, edit: Edit) -> str:
        """Where an edit acts, as REACH times REACH digits."""
        cells = interpolate(self.renderer.region_map(recipe, edit)[None, None], (REACH, REACH), mode="area")
        return "".join(str(round(9 * float(cell))) for cell in cells.flatten())

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

    def edit_tiles(self, session: Session, made: Sequence[tuple[Edit, str]], words: Callable[[Edit], str]) -> dict:
        """The value of Tiles. made: edits and the pictures that clicks would give; words(edit): a tile's name."""
        items = [{"image": image, "label": words(edit), "on": session.recipe.has(edit)} for edit, image in made]
        edits = [edit for edit, _ in made]
        of = sheet_of(edits)
        self.kept.put(("offered", origin(session.recipe), of), edits)
        return {"items": items, "note": "", "of": of}

    def offered(self, session: Session, of: Any) -> Sequence[Edit] | None:
        """The edits of tiles that this picture had a moment ago: what a visitor clicks is what was meant."""
        return self.kept.get(("offered", origin(session.recipe), str(of)))

    def history(self, session: Session) -> dict:
        """Thumbnails of the seeds visited."""
        # one picture for a seed, wherever the slider of ψ stands
        usual = replace(session.recipe, psi=self.renderer.catalogue.spec(session.recipe.generator).default_psi)

        def thumb(seed: int) -> str:
            recipe = replace(usual, seed=seed, source=None)
            return self.kept.get(("seed", origin(recipe)), lambda: jpegs(resized(self.renderer.base(recipe), 72))[0])

        return seed_tiles(session, {seed: thumb(seed) for seed in session.seeds})


def sheet_of(edits: Sequence[Edit]) -> str:
    """Which tiles these are: a click on some that are about to go must not choose from the next."""
    return sha256(repr(edits).encode()).hexdigest()[:12]


def seed_tiles(session: Session, pictures: dict[int, str], note: str = "") -> dict:
    """The value of Tiles whose pictures (seed -> JPEG) a click opens (given.open_seed)."""
    now = None if session.recipe.source else session.recipe.seed
    items: list[dict[str, Any]] = [
        {"image": image, "label": f"Seed {s}", "seed": s, "on": s == now} for s, image in pictures.items()
    ]
    return {"items": items, "note": note}


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


def which(recipe: Recipe) -> str:
    return "Your own picture" if recipe.source else f"Generated picture, seed {recipe.seed}"
