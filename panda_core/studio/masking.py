"""What an appearance marks in this picture, and what that cuts out; of others too, in a zip."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from ..factors import Factors
from ..masks import REACH, ConceptMask, otsu_threshold, write_pairs
from ..recipes import Recipe
from ..regions import Mask
from .pictures import seeds_from
from .room import Room
from .session import Session

UNNAMED = 12  # masks offered where none has a name
MAX_PAIRS, MAX_PIXELS, MAX_ARCHIVES = 256, 2**25, 8  # in a zip, in all its pictures; zips on this machine


class Masking(Room):
    # ---- what is chosen ----

    def offered(self, session: Session) -> list[ConceptMask]:
        """Masks with a name, first of all but the background; the leading appearances' where none has a name."""
        factors, (background, sign) = self.factors(session), self.background(session)
        known = factors.info.appearance_names or range(min(UNNAMED, factors.appearances.shape[1]))
        others = [self.begin(session, j) for j in known if j != background]
        return [ConceptMask(background, sign, rest=True), *others]

    def factors(self, session: Session) -> Factors:
        return self.renderer.catalogue.factors(session.recipe.generator, session.finest[1])

    def background(self, session: Session) -> tuple[int, int]:
        return self.renderer.background(session.recipe, *session.finest)

    def begin(self, session: Session, appearance: int) -> ConceptMask:
        """A mask of what an appearance marks, cut where this picture's cells fall apart best: few mark all that lies
        above their mean."""
        _, sign = self.meaning(session, appearance)
        mask = ConceptMask(appearance, sign)
        above = mask.above(self.renderer, session.recipe, *session.finest)
        return replace(mask, offset=min(max(round(otsu_threshold(above), 1), -REACH), REACH))

    def meaning(self, session: Session, appearance: int) -> tuple[str, int]:
        """What an appearance marks, and the sign with which it does: "hair (-)" is hair where there is less of it."""
        factors = self.factors(session)
        number, sign = self.background(session)
        if appearance == number:
            return "background", sign
        name = factors.appearance_name(appearance)
        word = name.removesuffix(" (-)")
        return word, 1 if word == name else -1

    def name(self, session: Session, mask: ConceptMask) -> str:
        given = self.factors(session).info.appearance_names.get(mask.appearance, "background")
        if mask.rest and given != "background":  # what is not background there has a name of its own
            return given
        return "foreground" if mask.rest else self.meaning(session, mask.appearance)[0]

    def mask(self, session: Session) -> ConceptMask:
        """The one in hand; with other factors it begins anew, as the picture without its background."""
        kept = session.aside("mask", about=session.finest[1])
        return kept or self.offered(session)[0]

    def put(self, session: Session, mask: ConceptMask) -> Session:
        return session.put_aside("mask", mask, session.finest[1])

    def put_at(self, session: Session, at: tuple[float, float]) -> Session:
        """Of the masks offered the smallest that keeps a place, (x, y) as shares of the picture's sides."""
        found = []
        for mask in self.offered(session):
            kept = mask.of(self.above(session, mask))
            h, w = kept.shape
            if kept[min(int(at[1] * h), h - 1), min(int(at[0] * w), w - 1)]:
                found.append((float(kept.float().mean()), mask))
        return self.put(session, min(found, key=lambda row: row[0])[1]) if found else session

    # ---- this picture ----

    def above(self, session: Session, mask: ConceptMask) -> Tensor:
        """How far every pixel is above the threshold, [h, w]."""
        layer, factors_id = session.finest
        cells = mask.above(self.renderer, session.recipe, layer, factors_id)
        return self.renderer.to_image_size(session.recipe, layer, cells)[0]

    def smooth(self, session: Session, mask: ConceptMask, side: int) -> Tensor:
        """The mask of a picture `side` wide, as booleans [side, side], with a smooth outline."""
        grid = self.above(session, mask)[None, None]
        return mask.of(F.interpolate(grid, (side, side), mode="bilinear", antialias=True)[0, 0])

    def share(self, session: Session) -> float:
        """How much of the picture is kept."""
        mask = self.mask(session)
        return float(mask.of(self.above(session, mask)).float().mean())

    def is_behind(self, session: Session) -> bool:
        """Whether edits of finer parts than the mask's are on, of which it knows nothing."""
        return any(edit.on and edit.layer > session.finest[0] for edit in session.recipe.edits)

    def to_paint(self, session: Session) -> Session:
        """The mask becomes the painted area, for the next change or removal.

        Raises: ValueError if nothing is kept.
        """
        layer, factors_id = session.finest
        H, W = self.renderer.generator(session.recipe).layers[layer][1:]
        mask = self.mask(session)
        cells = mask.of(mask.above(self.renderer, session.recipe, layer, factors_id))
        grid = Mask.from_tensor(cells.float().reshape(H, W))
        if "," not in grid.rle:
            raise ValueError("Nothing is kept, so there is nowhere to edit; move the threshold first.")
        return session.borrow_layer(layer).restrict("painted", grid)

    # ---- other pictures ----

    def max_pairs(self, recipe: Recipe) -> int:
        return min(MAX_PAIRS, max(16, MAX_PIXELS // self.renderer.generator(recipe).resolution ** 2))

    def pack(self, session: Session, count: int, root: Path, report) -> Path:
        """A zip of `count` pictures from this seed on and their masks, in a folder of its own below `root`."""
        recipe, most = session.recipe, self.max_pairs(session.recipe)
        if not isinstance(count, int | float) or not 1 <= count <= most:
            raise ValueError(f"The number of pictures is {count!r:.20}; a zip holds 1 to {most} here.")
        for old in sorted(root.glob("panda-masks-*"), key=lambda p: p.stat().st_mtime)[: 1 - MAX_ARCHIVES]:
            shutil.rmtree(old, ignore_errors=True)
        root.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="panda-masks-", dir=root))
        path, where = folder / f"panda-{recipe.generator}-masks.zip", (recipe, *session.finest)
        try:
            seeds = seeds_from(recipe.seed, int(count))
            write_pairs(path, self.mask(session), self.renderer, *where, seeds, report)
        except BaseException:
            shutil.rmtree(folder)
            raise
        return path
