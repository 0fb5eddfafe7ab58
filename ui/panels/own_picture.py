"""A picture of the visitor's own: brought, cropped, found in the generator; then every tab works on it."""

import secrets
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr
import torch
from torch import Tensor

from panda_core.jpegs import large, resized
from panda_core.method.inversion import STEPS, Space, invert
from panda_core.own_picture import OwnPicture
from panda_core.recipes import Recipe
from panda_core.runtime.kept import Kept
from panda_core.studio.opening import Opening
from panda_core.studio.pictures import bare
from panda_core.studio.room import Room
from panda_core.studio.session import Session
from panda_core.uploads import Crop, lighter, prepare_picture

from ..binding import Page
from ..components.html import figure, hint, pair
from ..components.plain import Slider
from ..given import number, uploaded
from ..pictures import PagePictures
from ..server import gpu
from ..sharing import as_file
from ..visit import Visit

SEEDS = range(32)  # whose mean picture is the guide
FAINT = 0.4  # of the guide over the crop
SLIDERS = {  # of the crop -> what it is called, and its ends
    "x": ("Across", 0.0, 1.0),
    "y": ("Down", 0.0, 1.0),
    "zoom": ("Zoom", 0.5, 8.0),
    "turn": ("Turn", -180.0, 180.0),
}
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


@dataclass(frozen=True)
class Brought:
    """A file of a picture, and what is to be taken of it. ticket: by which its search is told to end early."""

    data: bytes
    crop: Crop
    ticket: str


class OwnPicturePanel(Room):
    def __init__(self, pictures: PagePictures, opening: Opening):
        super().__init__(pictures, opening)
        self.spaces, self._enough = Kept(4), set()

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
                        self.lay_out_slider(page, name, *SLIDERS[name])
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

    # ---- bringing and cropping ----

    def bring(self, session: Session, path: str | None) -> Session | None:
        """The file is read and leaves the disk; the session holds it."""
        if path is None:  # taken away again
            return None
        with uploaded(path) as file:
            data = file.read_bytes()
        prepare_picture(data, self.renderer.generator(session.recipe).resolution)
        return session.put_aside("brought", Brought(lighter(data), Crop(), secrets.token_hex(16)))

    def cut(self, session: Session, name: str, value: float) -> Session:
        brought, (words, low, high) = self.brought(session), SLIDERS[name]
        crop = replace(brought.crop, **{name: number(words, value, low, high)})
        return session.put_aside("brought", replace(brought, crop=crop))

    def brought(self, session: Session) -> Brought:
        brought = session.aside("brought")
        if brought is None:
            raise ValueError("There is no picture of yours yet; drop, paste or take one first.")
        return brought

    def picture(self, session: Session) -> Tensor:
        """The crop at the generator's size, [1, 3, h, w]."""
        brought = self.brought(session)
        return prepare_picture(brought.data, self.renderer.generator(session.recipe).resolution, brought.crop)

    def preview(self, session: Session) -> str:
        """HTML: the crop, and the generator's mean picture faintly over it, so that eyes and chin can be put there."""
        if session.aside("brought") is None:
            return ""
        picture, usual = self.picture(session), self.usual(session.recipe)
        over = (1 - FAINT) * picture + FAINT * resized(usual, picture.shape[-1])
        return pair({"What is looked for": large(picture), "Over the average picture: line them up": large(over)})

    def usual(self, recipe: Recipe) -> Tensor:
        """The mean of some seeds' pictures, [1, 3, h', w']."""
        plain = replace(recipe, edits=(), source=None)
        key = "usual", plain.generator, plain.class_index
        return self.pictures.kept.get(
            key, lambda: self.renderer.small_pictures(plain, SEEDS).clamp(-1, 1).mean(dim=0, keepdim=True)
        )

    def leave(self, visit: Visit) -> None:
        """A visit is over: its own pictures go from memory, unless another visit has them too."""
        mine, *others = (there.aside("mine", frozenset()) for there in (visit, *visit.others()))
        for source in mine.difference(*others):
            self.renderer.forget_own_picture(source)
            self.pictures.kept.discard(lambda key, source=source: source in repr(key))
        visit.end()

    # ---- finding ----

    def find(self, session: Session, report) -> str:
        """Search for the crop in the generator, at the layer in hand; the id of what was found."""
        picture, ticket = self.picture(session), self.brought(session).ticket
        return self.renderer.add_own_picture(self.search(session.recipe, session.layer, picture, report, ticket))

    def search(self, recipe: Recipe, layer: int, picture: Tensor, report, ticket: str = "") -> OwnPicture:
        space = self.space(recipe, report)
        generator, weights = self.renderer.catalogue.generator(recipe.generator)
        self._enough.discard(ticket)

        def told(progress) -> bool:
            return report(progress) is not False and ticket not in self._enough

        found = invert(generator, space, picture, layer, STEPS, told)
        self._enough.discard(ticket)
        return OwnPicture.of(found, 0, picture, space, recipe.generator, weights)

    def space(self, recipe: Recipe, report) -> Space:
        """What is known of a generator, read or measured once."""
        name, kind, catalogue = recipe.generator, recipe.class_index, self.renderer.catalogue
        key = catalogue.generator(name).weights, kind
        return self.spaces.get(key, lambda: catalogue.space(name, kind, report=report).to(torch.device("cpu")))

    def end(self, session: Session) -> None:
        """The search in hand ends with what there is."""
        if brought := session.aside("brought"):
            self._enough.add(brought.ticket)

    def so_far(self, session: Session, progress) -> str:
        """What the generator draws by now; HTML."""
        if progress.images is None:
            return ""
        return figure(large(progress.images.clamp(-1, 1)), f"So far: {float(progress.psnr[0]):.0f} dB")

    def use(self, session: Session, found: str) -> Session:
        """This own picture is the picture in hand, without edits; the old one can be had back."""
        plain = self.renderer.known_picture(found).recipe()
        return self.use_edited(session, replace(plain, psi=session.recipe.psi))

    def use_edited(self, session: Session, recipe: Recipe) -> Session:
        """A recipe of an own picture is in hand; without its edits, and a sentence says why, where they do not work."""
        self.renderer.own_picture(recipe)  # refuses one that has gone meanwhile
        # nothing but what this visit has found or brought opens a recipe of an own picture
        mine = session.aside("mine", frozenset()) | {recipe.source}
        recipe = replace(recipe, weights=None)
        if recipe.generator == session.recipe.generator and not recipe.edits:
            return replace(session.change(recipe), active=None).put_aside("mine", mine)
        known = (*mine, *(factors_id for *_, factors_id in session.factors))
        try:
            opened = self.opening.opened(recipe, known)
        except ValueError as error:
            if not recipe.edits:
                raise
            plain = self.use_edited(session, replace(recipe, edits=()))
            return replace(plain, notice=f"Your picture is here without its edits: {error}")
        return opened.after(session).put_aside("mine", mine)

    # ---- keeping ----

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

    # ---- showing ----

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
