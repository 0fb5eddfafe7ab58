"""A picture of the visitor's own: how it is brought, cropped and found, and what is said of it."""

import tempfile
from pathlib import Path

import gradio as gr

from panda_core.jpegs import large, resized
from panda_core.own_picture import OwnPicture
from panda_core.recipes import Recipe
from panda_core.studio.bringing import CROP, Bringing
from panda_core.studio.pictures import bare
from panda_core.studio.session import Session
from panda_core.uploads import Crop

from ..binding import Page
from ..components.html import figure, hint, pair
from ..components.plain import Slider
from ..given import uploaded
from ..server import gpu
from ..sharing import as_file
from ..visit import Visit

FAINT = 0.4  # of the guide over the crop
LIKENESS = (  # from so many dB on -> how like the picture the generator's is
    (32.0, "almost as it is"),
    (26.0, "closely"),
    (-100.0, "roughly, and so it will draw what you change"),
)
STRANGE = 15.0  # dB by latents alone: what is further away is no picture of this kind
PRIVACY = (
    "Your picture stays in this server's memory for this visit, and at most an hour after you close the page. Nobody "
    "else can open it: it is never in the gallery and never in a link. To keep it, download it as .panda, which opens "
    "it again here, with your edits."
)
LIMITS = (
    "What can be drawn is what the generator knows. The portraits that come with this page are drawn figures, and so "
    "is what they make of you; for photographs, open the photographic faces first, at the top of the page."
)


class Upload(gr.Image):
    """A file as it came: what is wrong with it is said by who reads it, not by gradio, which gives no sentence."""

    is_template = True

    def preprocess(self, payload):
        return payload and payload.path


class OwnPicturePanel(Bringing):
    def lay_out(self, page: Page) -> None:
        page.visit.delete_callback = self.leave
        with page.fold("Your own picture", elem_id="own-picture"):
            hint(PRIVACY)
            hint(LIMITS)
            given = Upload(sources=["upload", "clipboard", "webcam"], type="filepath", height=180, buttons=[],
                           label="Drop, paste or take a photo", elem_id="bring")  # fmt: skip
            page.follow(given, lambda s: None)  # what was brought is in the crop
            page.on(given.input, self.bring, given)
            page.follow(gr.HTML(elem_id="crop"), self.preview)
            for names in (("x", "y"), ("zoom", "turn")):
                with gr.Row():
                    for name in names:
                        self.lay_out_slider(page, name, *CROP[name])
            go = gr.Button("Find my picture", size="sm", variant="primary", elem_id="find-own")
            page.follow(go, lambda s: gr.Button(interactive=s.aside("brought") is not None))
            page.job(go.click, self.find, done=self.use, picture=self.so_far, enough=None if gpu.SHARED else self.end)
            with gr.Row(elem_classes="actions"):
                save = gr.Button("Download .panda", size="sm", min_width=130, elem_id="save-own")
                load = gr.UploadButton("Open .panda", size="sm", min_width=130, file_types=[".panda"], type="filepath",
                                       elem_id="open-own")  # fmt: skip
            page.follow(save, lambda s: gr.Button(interactive=s.recipe.source is not None))
            page.save(save.click, self.save)
            page.job(load.upload, self.open_file, load, done=self.use_edited)
            page.follow(gr.HTML(), self.about)
            bare = gr.Checkbox(label="Show it as the generator draws it", interactive=True, elem_id="as-drawn")
            page.field(bare, self.show_as_drawn, self.set_as_drawn)

    def lay_out_slider(self, page: Page, name: str, words: str, low: float, high: float) -> None:
        slider = Slider(low, high, getattr(Crop(), name), step=0.01 if high < 100 else 1, label=words, buttons=[],
                        min_width=130, interactive=True, elem_id=f"crop-{name}")  # fmt: skip

        def show(session: Session):
            brought = session.aside("brought")
            return gr.Slider(value=getattr(brought.crop if brought else Crop(), name), visible=brought is not None)

        page.field(slider, show, lambda session, value: self.cut(session, name, value))

    def bring(self, session: Session, path: str | None) -> Session | None:
        """The file is read and leaves the disk."""
        if path is None:  # taken away again
            return None
        with uploaded(path) as file:
            return self.take_in(session, file.read_bytes())

    def preview(self, session: Session) -> str:
        """HTML: the crop, and the generator's mean picture faintly over it, so that eyes and chin can be put there."""
        if session.aside("brought") is None:
            return ""
        picture, usual = self.picture(session), self.usual(session.recipe)
        over = (1 - FAINT) * picture + FAINT * resized(usual, picture.shape[-1])
        return pair({"What is looked for": large(picture), "Over the average picture: line them up": large(over)})

    def leave(self, visit: Visit) -> None:
        """A visit is over: its own pictures go from memory, unless another visit has them too."""
        mine, *others = (there.aside("mine", frozenset()) for there in (visit, *visit.others()))
        self.forget(mine.difference(*others))
        visit.end()

    def so_far(self, session: Session, progress) -> str:
        """What the generator draws by now; HTML."""
        if progress.images is None:
            return ""
        return figure(large(progress.images.clamp(-1, 1)), f"So far: {float(progress.psnr[0]):.0f} dB")

    def save(self, session: Session) -> str:
        own = self.renderer.own_picture(session.recipe)
        if own is None:
            raise ValueError("The picture in hand is the generator's; a .panda file holds one of your own.")
        with tempfile.TemporaryDirectory() as folder:
            own.save(Path(folder) / "own.panda", session.recipe)
            return as_file(f"panda-{own.generator}-own.panda", (Path(folder) / "own.panda").read_bytes())

    def open_file(self, session: Session, path: str | None, report) -> Recipe:
        """A .panda file comes back, with its edits."""
        with uploaded(path) as file:
            own, recipe = OwnPicture.load_edited(file)
        self.opening.check_here(own.generator)
        self.renderer.add_own_picture(own)
        return recipe

    def about(self, session: Session) -> str:
        """HTML: how near the generator comes to the picture in hand."""
        own = self.renderer.own_picture(session.recipe)
        if own is None:
            return ""
        reached = max(own.psnr.values())
        if own.psnr.get("styles", reached) < STRANGE:
            return "<p>The generator knows nothing like this picture: edits of it will look out of place.</p>"
        words = next(words for least, words in LIKENESS if reached >= least)
        return (
            f"<p>The generator draws it {words} ({reached:.0f} dB). Where no edit changes anything, you see your own "
            "picture to the last pixel.</p>"
        )

    def show_as_drawn(self, session: Session):
        return gr.Checkbox(value=bare(session), visible=session.recipe.source is not None)

    def set_as_drawn(self, session: Session, wanted: bool) -> Session:
        return session.put_aside("as drawn", wanted is True)
