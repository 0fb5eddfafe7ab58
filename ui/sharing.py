"""Taking a picture away and bringing it back: the link, the PNG, Python lines, files of factors."""

import base64
import json
import os
import tempfile
from pathlib import Path

import gradio as gr
from PIL import Image

from panda_core.factors import Factors
from panda_core.images import png_bytes, read_recipe_json, to_pil
from panda_core.jpegs import resized
from panda_core.links import encode_link
from panda_core.recipes import Recipe, parse_recipe
from panda_core.studio.room import Room
from panda_core.studio.session import Session

from .binding import QUIET, Page
from .visit import reading

SIDES = [256, 512, 1024]  # pixels of a download
SPACE = os.environ.get("SPACE_ID", "")
INSTALL = f"pip install git+https://huggingface.co/spaces/{SPACE}" if SPACE else "pip install . (in this repository)"
COPY = "window.copy({}, '{}');"
SHARE_JS = f"""(r) => {{ const u = new URL(window.location); u.search = ''; u.hash = ''; u.searchParams.set('r', r);
  history.replaceState(null, '', u); {COPY.format("u.toString()", "#copy-link")} return u.toString(); }}"""
ADDRESS_JS = """(r) => { const u = new URL(window.location);
  if (r) u.searchParams.set('r', r); else u.searchParams.delete('r');
  history.replaceState(null, '', u); }"""
COPY_JS = f"(text) => {{ {COPY.format('text', '#copy-python')} return text; }}"


class Sharing(Room):
    """What leaves the page, and comes back."""

    def lay_out(self, page: Page) -> None:
        with gr.Row(elem_classes="share"):
            link = gr.Button("Copy link", variant="primary", min_width=90, size="sm", elem_id="copy-link")
            png = gr.Button("Download", min_width=90, size="sm", elem_id="download")
            side = gr.Dropdown([(f"{n} px", n) for n in SIDES], value=512, show_label=False, label="Size",
                               container=False, min_width=92, interactive=True, elem_id="download-side")  # fmt: skip
            code = gr.Button("Copy as Python", min_width=110, size="sm", elem_id="copy-python")
            file = gr.UploadButton(
                "Open a PNG", file_types=[".png"], type="binary", min_width=90, size="sm", elem_id="open-png"
            )
        given = gr.Textbox(visible="hidden", elem_id="given")
        shown = gr.Textbox(label="Copy it from here", visible=False, lines=1, max_lines=12,
                           buttons=["copy"], interactive=False, elem_id="copied")  # fmt: skip
        address = gr.Textbox(visible="hidden", elem_id="address")
        page.follow(address, self.address)
        page.follow(shown, lambda s: gr.Textbox(visible=False))  # it holds what the page was when it was copied
        address.change(None, address, None, js=ADDRESS_JS)

        def offer(button: gr.Button, make, js: str) -> None:
            done = button.click(reading(make), page.visit, given, **QUIET).success(None, given, shown, js=js)
            done.success(lambda: gr.Textbox(visible=True), None, shown, **QUIET)

        offer(link, self.link, SHARE_JS)
        offer(code, self.python_lines, COPY_JS)
        page.save(png.click, self.picture_file, side)
        page.on(file.upload, self.open_file, file)

    # ---- out ----

    def link(self, session: Session) -> str:
        if session.recipe.sources():
            raise ValueError("No link can hold a picture of your own; “Download .panda” keeps it with its edits.")
        return encode_link(self.renderer.pin(session.recipe))

    def address(self, session: Session) -> str:
        """What the page's address says after ?r=, so that a reload loses nothing; nothing on the start page."""
        try:
            return "" if session.recipe == self.opening.start().recipe else self.link(session)
        except ValueError:  # with factors of one's own there is no link
            return ""

    def python_lines(self, session: Session) -> str:
        """Lines that make the same picture, with its recipe in the file, anywhere."""
        return "\n".join([
            f"# {INSTALL}",
            "from panda_core.images import png_bytes, to_pil",
            "from panda_core.links import decode_link",
            "from panda_core.rendering import apply_recipe",
            f'recipe = decode_link("{self.link(session)}")',
            'data = png_bytes(to_pil(apply_recipe(recipe))[0], recipe.to_json())',
            'open("picture.png", "wb").write(data)',
        ])  # fmt: skip

    def picture_file(self, session: Session, side: int = 512) -> str:
        """The PNG with its recipe inside, `side` pixels wide, or as it was made."""
        if side not in SIDES:
            raise ValueError(f"size is {side!r:.20}; it must be one of {', '.join(map(str, SIDES))}.")
        image = self.renderer.shown(session.recipe)
        return self.saved(session.recipe, to_pil(image if image.shape[-1] == side else resized(image, side))[0])

    def saved(self, recipe: Recipe, image: Image.Image, kind: str = "") -> str:
        """A PNG of what a recipe makes, for the browser to save: JSON for the page's script."""
        data = png_bytes(image, self.renderer.pin(recipe).to_json())
        return as_file(f"{file_stem(recipe)}{kind}.png", data)

    # ---- in ----

    def open_file(self, session: Session, data: bytes | None) -> Session:
        """A picture of ours, dropped or chosen: its recipe is opened, and can be undone."""
        if not data or not isinstance(data, bytes):
            raise ValueError("The file is empty; PNG files downloaded here can be opened.")
        own = (*session.aside("mine", frozenset()), *(factors_id for *_, factors_id in session.factors))
        return self.opening.opened(parse_recipe(read_recipe_json(data)), own).after(session)


def file_stem(recipe: Recipe) -> str:
    """What files of a picture are called."""
    return f"panda-{recipe.generator}-{'own' if recipe.source else recipe.seed}"


def as_file(name: str, data: bytes) -> str:
    """A file for the browser to save: JSON for the page's script."""
    return json.dumps({"name": name, "data": base64.b64encode(data).decode()})


def factors_file(factors: Factors) -> tuple[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        factors.save(Path(folder) / "factors.safetensors")
        data = (Path(folder) / "factors.safetensors").read_bytes()
    return f"panda-{factors.info.generator}-{factors.stem()}.safetensors", data
