"""The Masks tab: what an appearance marks in this picture, and what that cuts out; of others too, in a zip."""

from dataclasses import replace
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import Image

from panda_core.images import cut_out, mask_image, on_checkerboard, to_pil
from panda_core.jpegs import FRAME_SIDE, TILE_SIDE, at_least, jpeg, resized
from panda_core.masks import REACH, ConceptMask
from panda_core.runtime.kept import Kept
from panda_core.studio.masking import MAX_PAIRS, Masking
from panda_core.studio.pictures import of_picture, origin
from panda_core.studio.session import Session

from ..binding import Page
from ..components.html import hint, pair, sentence
from ..components.plain import Slider
from ..given import clicked
from ..pictures import PagePictures
from ..sharing import Sharing

SIDE = 384  # pixels of this picture


class MasksTab(Masking):
    def __init__(self, pictures: PagePictures, sharing: Sharing):
        super().__init__(pictures)
        self.sharing = sharing
        self.held = Kept(32)  # pictures, larger than what `pictures` keeps

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

    def tiles(self, session: Session) -> dict:
        """The value of Tiles: every mask, at the threshold that it begins with, on this picture."""
        chosen = self.mask(session)
        key = "masks", origin(session.recipe), session.recipe.edits, session.finest
        made = self.pictures.kept.get(key, lambda: [(m, self.tile(session, m)) for m in self.offered(session)])
        items = [
            {"image": image, "label": self.name(session, m), "on": m.appearance == chosen.appearance}
            for m, image in made
        ]
        return {"items": items, "note": "", "of": session.finest[1]}

    def tile(self, session: Session, mask: ConceptMask) -> str:
        picture = to_pil(resized(self.renderer.shown(session.recipe), TILE_SIDE))[0]
        return jpeg(on_checkerboard(picture, self.smooth(session, mask, TILE_SIDE)))

    def choose(self, session: Session, evt: gr.EventData) -> Session | None:
        mask = clicked(evt, "mask", self.offered(session), session.finest[1])
        return mask and self.put(session, mask)

    def after_pick(self, session: Session, part: int, at: tuple[float, float] | None) -> Session:
        return session if at is None else self.put_at(session, at)

    def set_offset(self, session: Session, offset: float) -> Session:
        return self.put(session, replace(self.mask(session), offset=offset))

    def figures(self, session: Session) -> str:
        """HTML: the cut-out on a checkerboard, and the rest."""
        recipe, mask = session.recipe, self.mask(session)
        key = "picture", origin(recipe), recipe.edits
        picture = self.held.get(key, lambda: to_pil(resized(self.renderer.shown(recipe), SIDE))[0])
        kept = self.smooth(session, mask, SIDE)
        shown = {f"Cut-out: {self.name(session, mask)}": kept, "The rest": ~kept}
        return pair({caption: jpeg(on_checkerboard(picture, shape)) for caption, shape in shown.items()})

    def status(self, session: Session) -> str:
        """How much is kept, and what the mask does not know of."""
        behind = " Edits of finer parts than these do not move the mask." if self.is_behind(session) else ""
        return f"{self.share(session):.0%} of the picture is kept.{behind}"

    def edit_inside(self, session: Session) -> Session:
        painted, name = self.to_paint(session), self.name(session, self.mask(session))
        words = f"What you choose in Edit or Remove now goes where the {name} is; a click chooses among small parts."
        gr.Info(words, title="Chosen")  # moves nothing
        return painted

    def cut(self, session: Session, mask: ConceptMask) -> Image.Image:
        """As large as the page's PNG."""
        image = at_least(self.renderer.shown(session.recipe), FRAME_SIDE)
        return cut_out(image, self.smooth(session, mask, image.shape[-1]))

    def save_cut_out(self, session: Session) -> str:
        return self.sharing.saved(session.recipe, self.cut(session, self.mask(session)), "-cut-out")

    def save_rest(self, session: Session) -> str:
        mask = self.mask(session)
        return self.sharing.saved(session.recipe, self.cut(session, replace(mask, rest=not mask.rest)), "-rest")

    def save_mask(self, session: Session) -> str:
        side = max(self.renderer.generator(session.recipe).resolution, FRAME_SIDE)
        shape = mask_image(self.smooth(session, self.mask(session), side))
        return self.sharing.saved(session.recipe, shape, "-mask")

    def pack_pairs(self, session: Session, count: int, report) -> str:
        """The path of the zip, where gradio serves and removes files."""
        return str(self.pack(session, count, Path(get_upload_folder()), report))

    def archive(self, session: Session):
        path = Path(session.made(self.pack_pairs) or "")
        if not path.is_file():
            return gr.DownloadButton(visible=False)
        return gr.DownloadButton(f"Download the zip ({path.stat().st_size / 1e6:.1f} MB)", value=path, visible=True)
