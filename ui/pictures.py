"""What the page's own components show of a session: the picture with its parts, frames, tiles; plain data."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import torch
from torch.nn.functional import interpolate

from panda_core.images import PALETTE, difference
from panda_core.jpegs import jpegs, large, resized
from panda_core.method.parts import scale_parts
from panda_core.ops import Edit
from panda_core.recipes import Recipe
from panda_core.studio.pictures import Pictures, bare, origin
from panda_core.studio.session import Session
from panda_core.studio.words import change_words

REACH = 16


class PagePictures(Pictures):
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

    # ---- tiles ----

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


def which(recipe: Recipe) -> str:
    return "Your own picture" if recipe.source else f"Generated picture, seed {recipe.seed}"
