"""The Masks tab: what an appearance marks in this picture, and what that cuts out; of others too, in a zip."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import gradio as gr
import torch.nn.functional as F
from gradio.utils import get_upload_folder
from PIL import Image
from torch import Tensor

from panda_core.factors import Factors
from panda_core.images import cut_out, mask_image, on_checkerboard, to_pil
from panda_core.masks import REACH, ConceptMask, otsu_threshold, write_pairs
from panda_core.recipes import Recipe
from panda_core.regions import Mask

from ..binding import Page
from ..components.html import hint, pair, sentence
from ..components.plain import Slider
from ..given import clicked
from ..jpegs import FRAME_SIDE, TILE_SIDE, at_least, jpeg, resized
from ..panel import Panel
from ..pictures import Pictures, of_picture, origin, seeds_from
from ..server.kept import Kept
from ..session import Session
from ..sharing import Sharing

SIDE = 384  # pixels of this picture
UNNAMED = 12  # masks offered where none has a name
MAX_PAIRS, MAX_PIXELS, MAX_ARCHIVES = 256, 2**25, 8  # in a zip, in all its pictures; zips on this machine


class MasksTab(Panel):
    def __init__(self, pictures: Pictures, sharing: Sharing):
        super().__init__(pictures)
        self.sharing = sharing
        self.held = Kept(32)  # pictures, larger than what Pictures keeps

    def lay_out(self, page: Page) -> None:
        hint("Cut something out of the picture: choose what, and move the threshold until the outline fits.")
        page.tiles("Masks of this picture", self.tiles, self.choose, about=of_picture, elem_id="masks")
        offset = Slider(-REACH, REACH, 0, step=0.1, label="Threshold",
                        buttons=[], elem_id="mask-offset", interactive=True)  # fmt: skip
        shown, words = gr.HTML(elem_id="mask-view"), gr.HTML(elem_id="mask-words")
        with gr.Row(elem_classes="actions"):
            for kind, make in (("cut-out", self.save_cut_out), ("rest", self.save_rest), ("mask", self.save_mask)):
                words_of = "the rest" if kind == "rest" else kind
                button = gr.Button(f"Download {words_of}", size="sm", min_width=120, elem_id=f"save-{kind}")
                page.save(button.click, make)
            page.button("Edit what is cut out", self.edit_inside, min_width=120, elem_id="use-mask")
        with page.fold("On other pictures", elem_id="mask-others"):
            count = Slider(16, MAX_PAIRS, 32, step=16, label="Pictures in a zip, each with its mask", buttons=[],
                           elem_id="pairs", interactive=True)  # fmt: skip
            pack = gr.Button("Make the zip", size="sm", elem_id="pack")
            page.job(pack.click, self.pack_pairs, count)
            file = gr.DownloadButton("Download the zip", size="sm", visible=False, elem_id="save-zip")
            page.follow(count, lambda s: gr.Slider(maximum=self.max_pairs(s.recipe)))
            page.follow(file, self.archive)

        page.follow(shown, self.figures)
        page.follow(words, lambda s: sentence(self.status(s)))
        page.field(offset, lambda s: self.mask(s).offset, self.set_offset, queue=False)

    # ---- what is chosen ----

    def where(self, session: Session) -> tuple[int, str]:
        """(layer, factors id) of the finest grid with parts: outlines are best there."""
        layer = max(session.layers)
        return layer, session.layers[layer]

    def offered(self, session: Session) -> list[ConceptMask]:
        """Masks with a name, first of all but the background; the leading appearances' where none has a name."""
        factors, (background, sign) = self.factors(session), self.background(session)
        known = factors.info.appearance_names or range(min(UNNAMED, factors.appearances.shape[1]))
        others = [self.begin(session, j) for j in known if j != background]
        return [ConceptMask(background, sign, rest=True), *others]

    def factors(self, session: Session) -> Factors:
        return self.renderer.catalogue.factors(session.recipe.generator, self.where(session)[1])

    def background(self, session: Session) -> tuple[int, int]:
        return self.renderer.background(session.recipe, *self.where(session))

    def begin(self, session: Session, appearance: int) -> ConceptMask:
        """A mask of what an appearance marks, cut where this picture's cells fall apart best: few mark all that lies
        above their mean."""
        _, sign = self.meaning(session, appearance)
        mask = ConceptMask(appearance, sign)
        above = mask.above(self.renderer, session.recipe, *self.where(session))
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
        kept = session.aside("mask", about=self.where(session)[1])
        return kept or self.offered(session)[0]

    def put(self, session: Session, mask: ConceptMask) -> Session:
        return session.put_aside("mask", mask, self.where(session)[1])

    def tiles(self, session: Session) -> dict:
        """The value of Tiles: every mask, at the threshold that it begins with, on this picture."""
        chosen = self.mask(session)
        key = "masks", origin(session.recipe), session.recipe.edits, self.where(session)
        made = self.pictures.kept.get(key, lambda: [(m, self.tile(session, m)) for m in self.offered(session)])
        items = [
            {"image": image, "label": self.name(session, m), "on": m.appearance == chosen.appearance}
            for m, image in made
        ]
        return {"items": items, "note": "", "of": self.where(session)[1]}

    def tile(self, session: Session, mask: ConceptMask) -> str:
        picture = to_pil(resized(self.renderer.shown(session.recipe), TILE_SIDE))[0]
        return jpeg(on_checkerboard(picture, mask.of(self.smooth(session, mask, TILE_SIDE))))

    def choose(self, session: Session, evt: gr.EventData) -> Session | None:
        mask = clicked(evt, "mask", self.offered(session), self.where(session)[1])
        return mask and self.put(session, mask)

    def after_pick(self, session: Session, part: int, at: tuple[float, float] | None) -> Session:
        """Of the masks offered the smallest that keeps the place that was clicked."""
        if at is None:
            return session
        found = []
        for mask in self.offered(session):
            kept = mask.of(self.above(session, mask))
            h, w = kept.shape
            if kept[min(int(at[1] * h), h - 1), min(int(at[0] * w), w - 1)]:
                found.append((float(kept.float().mean()), mask))
        return self.put(session, min(found, key=lambda row: row[0])[1]) if found else session

    def set_offset(self, session: Session, offset: float) -> Session:
        return self.put(session, replace(self.mask(session), offset=offset))

    # ---- this picture ----

    def above(self, session: Session, mask: ConceptMask) -> Tensor:
        """How far every pixel is above the threshold, [h, w]."""
        layer, factors_id = self.where(session)
        cells = mask.above(self.renderer, session.recipe, layer, factors_id)
        return self.renderer.to_image_size(session.recipe, layer, cells)[0]

    def smooth(self, session: Session, mask: ConceptMask, side: int) -> Tensor:
        """The same of a picture `side` wide, [side, side], with a smooth outline."""
        grid = self.above(session, mask)[None, None]
        return F.interpolate(grid, (side, side), mode="bilinear", antialias=True)[0, 0]

    def figures(self, session: Session) -> str:
        """HTML: the cut-out on a checkerboard, and the rest."""
        recipe, mask = session.recipe, self.mask(session)
        key = "picture", origin(recipe), recipe.edits
        picture = self.held.get(key, lambda: to_pil(resized(self.renderer.shown(recipe), SIDE))[0])
        kept = mask.of(self.smooth(session, mask, SIDE))
        shown = {f"Cut-out: {self.name(session, mask)}": kept, "The rest": ~kept}
        return pair({caption: jpeg(on_checkerboard(picture, shape)) for caption, shape in shown.items()})

    def status(self, session: Session) -> str:
        """How much is kept, and what the mask does not know of."""
        mask = self.mask(session)
        said = [f"{float(mask.of(self.above(session, mask)).float().mean()):.0%} of the picture is kept."]
        if any(e.on and e.layer > self.where(session)[0] for e in session.recipe.edits):
            said.append("Edits of finer parts than these do not move the mask.")
        return " ".join(said)

    def edit_inside(self, session: Session) -> Session:
        """The mask becomes the painted area, for the next change or removal."""
        layer, factors_id = self.where(session)
        H, W = self.renderer.generator(session.recipe).layers[layer][1:]
        mask = self.mask(session)
        cells = mask.of(mask.above(self.renderer, session.recipe, layer, factors_id))
        grid = Mask.from_tensor(cells.float().reshape(H, W))
        if "," not in grid.rle:
            raise ValueError("Nothing is kept, so there is nowhere to edit; move the threshold first.")
        name = self.name(session, mask)
        words = f"What you choose in Edit or Remove now goes where the {name} is; a click chooses among small parts."
        gr.Info(words, title="Chosen")  # moves nothing
        return session.choose_layer(layer).restrict("painted", grid)

    def cut(self, session: Session, mask: ConceptMask) -> Image.Image:
        """As large as the page's PNG."""
        image = at_least(self.renderer.shown(session.recipe), FRAME_SIDE)
        return cut_out(image, mask.of(self.smooth(session, mask, image.shape[-1])))

    def save_cut_out(self, session: Session) -> str:
        return self.sharing.saved(session.recipe, self.cut(session, self.mask(session)), "-cut-out")

    def save_rest(self, session: Session) -> str:
        mask = self.mask(session)
        return self.sharing.saved(session.recipe, self.cut(session, replace(mask, rest=not mask.rest)), "-rest")

    def save_mask(self, session: Session) -> str:
        mask, side = self.mask(session), max(self.renderer.generator(session.recipe).resolution, FRAME_SIDE)
        return self.sharing.saved(session.recipe, mask_image(mask.of(self.smooth(session, mask, side))), "-mask")

    # ---- other pictures ----

    def max_pairs(self, recipe: Recipe) -> int:
        return min(MAX_PAIRS, max(16, MAX_PIXELS // self.renderer.generator(recipe).resolution ** 2))

    def pack_pairs(self, session: Session, count: int, report) -> str:
        """A zip of the pictures from this seed on and their masks; its path, where gradio serves and removes files."""
        recipe, most, root = session.recipe, self.max_pairs(session.recipe), Path(get_upload_folder())
        if not isinstance(count, int | float) or not 1 <= count <= most:
            raise ValueError(f"The number of pictures is {count!r:.20}; a zip holds 1 to {most} here.")
        for old in sorted(root.glob("panda-masks-*"), key=lambda p: p.stat().st_mtime)[: 1 - MAX_ARCHIVES]:
            shutil.rmtree(old, ignore_errors=True)
        root.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="panda-masks-", dir=root))
        path, where = folder / f"panda-{recipe.generator}-masks.zip", (recipe, *self.where(session))
        try:
            seeds = seeds_from(recipe.seed, int(count))
            write_pairs(path, self.mask(session), self.renderer, *where, seeds, report)
        except BaseException:
            shutil.rmtree(folder)
            raise
        return str(path)

    def archive(self, session: Session):
        path = Path(session.made(self.pack_pairs) or "")
        if not path.is_file():
            return gr.DownloadButton(visible=False)
        return gr.DownloadButton(f"Download the zip ({path.stat().st_size / 1e6:.1f} MB)", value=path, visible=True)
