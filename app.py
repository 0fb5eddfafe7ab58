"""The page: click on a part of a picture, change it, share the link. Layout and wiring; run it with `python app.py`."""

import ui.gpu  # first: on ZeroGPU before torch

# isort: split
import html
import logging
import os
import random

import gradio as gr
import PIL.Image
from starlette.middleware import Middleware

from panda_core.door import Door, device, log, memory_mb
from panda_core.images import read_recipe_json
from panda_core.recipes import Edit, Region, parse_recipe
from panda_core.runtime.allocator import keep_freed_memory
from ui import bundle, view
from ui.edit import edit_tab
from ui.edits import edits_panel
from ui.examples import examples_panel
from ui.factors import factors_panel, fit
from ui.further import others_panel, refine, refine_panel, sweep_panel
from ui.gallery import enabled, gallery_panel, unpublish
from ui.generators import generators_panel
from ui.masks import RESULTS, masks_tab, saliency
from ui.named import named
from ui.page import (
    BUDGETS,
    JOBS,
    QUIET,
    Page,
    answer,
    answer_with,
    go_to_seed,
    number,
    open_seed,
    plainly,
    read_recipe,
    reading,
    sentence,
    whole,
)  # fmt: skip
from ui.preview import TITLE, Preview
from ui.rank import rank, rank_tab
from ui.region import region_panel
from ui.remove import remove, remove_tab
from ui.rewrite import rewrite, rewrite_tab
from ui.session import Session
from ui.widgets import Picture, Slider, read

PIL.Image.MAX_IMAGE_PIXELS = 4_000_000  # a visitor's picture; Pillow refuses twice as many

COPY = "navigator.clipboard?.writeText({}).catch(() => {{}});"
SHARE_JS = f"""(r) => {{ const u = new URL(window.location); u.search = ''; u.hash = ''; u.searchParams.set('r', r);
  history.replaceState(null, '', u); {COPY.format("u.toString()")} return u.toString(); }}"""
ADDRESS_JS = """(r) => { const u = new URL(window.location);
  if (r) u.searchParams.set('r', r); else u.searchParams.delete('r');
  history.replaceState(null, '', u); }"""
COPY_JS = f"(text) => {{ {COPY.format('text')} return text; }}"
SPACE = os.environ.get("SPACE_ID", "")
# after every event gradio would sum up its last 10,000 in a table of pandas, for a dashboard that is off here
os.environ |= {"GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000", "GRADIO_ANALYTICS_MAX_EVENTS": "1"}


def picture_panel(page: Page) -> tuple[Picture, gr.HTML]:
    picture = Picture(elem_id="picture")
    words = gr.HTML(elem_id="words")
    region_panel(page, picture)
    with gr.Row(elem_classes="seeds", equal_height=True):
        dice = gr.Button("New picture", variant="primary", min_width=110, elem_id="dice")
        seed = gr.Number(label="Seed", precision=0, min_width=120, interactive=True, elem_id="seed")
    page.tiles("Pictures visited", view.history, open_seed, elem_id="visited")
    with gr.Accordion("Picture settings", open=False, elem_id="settings"):
        layer = gr.Radio([], label="Size of the parts", elem_id="layer", interactive=True)
        psi = Slider(0, 1, 0.8, step=0.05, label="Variety (ψ)", elem_id="psi", interactive=True, buttons=[])
        generators_panel(page)

    def show_psi(session: Session):
        limits = view.renderer.generator(session.recipe).psi_range
        if limits is None:
            return gr.Slider(visible=False)
        return gr.Slider(minimum=limits[0], maximum=max(limits[1], session.recipe.psi), value=session.recipe.psi)

    page.follow(picture, lambda s: {"scene": view.scene(s), "frame": view.frame(s)})
    page.follow(words, lambda s: sentence(words_of(s)))
    page.follow(seed, lambda s: s.recipe.seed)
    page.field(layer, lambda s: gr.Radio(choices=view.layer_words(s), value=s.layer), set_layer)
    page.field(psi, show_psi, set_psi)
    page.on(dice.click, roll, trigger_mode="multiple")
    page.on(seed.submit, go_to_seed, seed)
    page.on(seed.blur, go_to_seed, seed)
    return picture, words


def share_panel(page: Page) -> None:
    with gr.Row(elem_classes="share"):
        link = gr.Button("Copy link", min_width=100, size="md", elem_id="copy-link")
        png = gr.Button("Download PNG", min_width=100, size="md", elem_id="download")
        code = gr.Button("Copy as Python", min_width=100, size="md", elem_id="copy-python")
        file = gr.UploadButton(
            "Open a PNG", file_types=[".png"], type="binary", min_width=100, size="md", elem_id="open-png"
        )
    both = gr.Button("Download recipe and factors together", visible=False, size="md", elem_id="together")
    page.follow(both, lambda s: gr.Button(visible=bool(bundle.own_ids(s))))
    page.save(both.click, lambda s: view.as_file(*bundle.together(s)))
    given = gr.Textbox(visible="hidden", elem_id="given")
    shown = gr.Textbox(label="Copied (or copy it from here)", visible=False, lines=1, max_lines=12, buttons=["copy"],
                       interactive=False, elem_id="copied")  # fmt: skip

    address = gr.Textbox(visible="hidden", elem_id="address")
    page.follow(address, view.address)
    page.follow(shown, lambda s: gr.Textbox(visible=False))  # it holds what the page was when it was copied
    address.change(None, address, None, js=ADDRESS_JS)

    def offer(button: gr.Button, make, js: str) -> None:
        done = button.click(reading(make), page.visit, given, **QUIET).success(None, given, shown, js=js)
        done.success(lambda: gr.Textbox(visible=True), None, shown, **QUIET)

    offer(link, view.link, SHARE_JS)
    offer(code, view.python_lines, COPY_JS)
    page.save(png.click, view.picture_file)
    page.on(file.upload, open_file, file)


def words_of(session: Session) -> str:
    """What the edits did; of the start page's, that they are an example."""
    if session.recipe.edits and session.recipe == view.start().recipe and not session.past:
        return f"An example to begin with: {view.edits_words(session)}. Change it, or press Reset."
    return view.frame(session)["words"]


def roll(session: Session) -> Session:
    return session.go_to(random.randrange(100_000))  # short enough to say aloud; any other can be typed


def set_psi(session: Session, psi: float) -> Session:
    limits = view.renderer.generator(session.recipe).psi_range or (0.0, 2.0)
    return session.set_psi(number("ψ", psi, *limits))


def set_layer(session: Session, layer: int) -> Session:
    if type(layer) is not int or layer not in session.layers:
        raise ValueError(f"layer is {layer!r:.20}; this page edits {', '.join(map(str, session.layers))}.")
    return session.choose_layer(layer)


def open_file(session: Session, data: bytes | None) -> Session:
    """A picture of ours, dropped or chosen: its recipe is opened, and can be undone."""
    if not data or not isinstance(data, bytes):
        raise ValueError("The file is empty; PNG files downloaded here can be opened.")
    opened = view.opened(parse_recipe(read_recipe_json(data)))
    return opened.after(session)


@plainly
def generate(recipe: str) -> tuple[PIL.Image.Image, str]:
    """The picture of a recipe: JSON text such as {"v": 1, "generator": "portraits", "seed": 7}, and perhaps "edits".

    Returns the picture and the recipe with its weights.
    """
    return answer(read_recipe(recipe))


@plainly
def edit(recipe: str, part: float, appearance: float, strength: float) -> tuple[PIL.Image.Image, str]:
    """The recipe (JSON text) with one more edit: an appearance at a part of its generator's default layer.

    Both are numbers from 0; strength is about -4 to 4. Returns the picture and the new recipe.
    """
    made, numbers = parse_recipe(recipe), {"appearance": whole(appearance), "strength": strength}
    return answer_with(made, Edit("add", *view.default(made), Region((whole(part),)), **numbers))


def endpoints() -> None:
    """What programs call; nothing of it is seen on the page."""
    recipe, image = gr.Textbox(visible=False, label="recipe"), gr.Image(visible=False, format="png", type="pil")
    part, appearance, strength = (gr.Number(visible=False, label=name) for name in ("part", "appearance", "strength"))
    button = gr.Button(visible=False)
    button.click(generate, recipe, [image, recipe], api_name="generate")
    name, token = gr.Textbox(visible=False, label="name"), gr.Textbox(visible=False, label="token")
    button.click(unpublish, [name, token], name, api_name="unpublish", api_visibility="undocumented")
    times = gr.Number(1, visible=False, label="strength")
    button.click(named, [recipe, name, times], [image, recipe], api_name="named")
    button.click(edit, [recipe, part, appearance, strength], [image, recipe], api_name="edit")
    button.click(remove, [recipe, part], [image, recipe], api_name="remove")
    source, target = (gr.Number(visible=False, label=name) for name in ("source", "target"))
    button.click(rewrite, [recipe, source, target, strength], [image, recipe], api_name="rewrite")
    names = {"layer": None, "parts": 8, "appearances": 0, "samples": 0, "seed": 0}
    numbers = {name: gr.Number(value, visible=False, label=name) for name, value in names.items()}
    factors, measured = gr.Textbox(visible=False, label="factors"), gr.JSON(visible=False, label="measured")
    one = {"concurrency_id": "fit", "concurrency_limit": 1}
    button.click(fit, [recipe, *numbers.values()], [factors, measured], api_name="fit", **one)
    method, k = gr.Textbox(visible=False, label="method"), gr.Number(32, visible=False, label="k")
    button.click(refine, [recipe, numbers["layer"], method, k], [image, recipe], api_name="refine")
    threshold = gr.Number(0, visible=False, label="threshold")
    sign = gr.Radio(["more", "less"], value="more", visible=False, label="sign")
    result = gr.Radio(RESULTS, value="cut-out", visible=False, label="result")
    inputs = [recipe, appearance, threshold, sign, result]
    button.click(saliency, inputs, [image, recipe], api_name="saliency")
    count, ends = gr.Number(visible=False, label="count"), gr.JSON(visible=False, label="seeds")
    button.click(rank, [recipe, appearance, part, count], ends, api_name="rank", **JOBS)


def status() -> dict:
    """What /status says: what this runs on, and how busy it is."""
    visitors = len(BUDGETS)
    return {"device": device(), "memory_mb": memory_mb(), "queue": len(demo._queue), "visitors": visitors}


def status_line(session: Session) -> str:
    now = status()
    return f"<p>{html.escape(now['device'])}, {now['memory_mb']} MB in use, {now['queue']} waiting</p>"


def notice(session: Session) -> str:
    return f'<p role="alert">{html.escape(session.notice)}</p>' if session.notice else ""


with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 7200)) as demo:
    page = Page()
    gr.HTML(read("header.html"), elem_id="header")
    page.follow(gr.HTML(visible=False, elem_id="notice"), lambda s: gr.HTML(notice(s), visible=bool(s.notice)))
    with gr.Row(equal_height=False, elem_id="columns"):
        with gr.Column(scale=6, min_width=320):
            picture, words = picture_panel(page)
        with gr.Column(scale=5, min_width=320):
            with gr.Tabs():
                with page.tab("Edit"):
                    edit_tab(page)
                with page.tab("Remove"):
                    remove_tab(page)
                with page.tab("Masks"):
                    masks_tab(page)
                with page.tab("Rewrite"):
                    rewrite_tab(page)
                with page.tab("Rank"):
                    rank_tab(page)
            edits_panel(page, picture, words)
            share_panel(page)
            others_panel(page)
            sweep_panel(page)
            refine_panel(page)
            with page.fold("Factors", elem_id="factors"):
                factors_panel(page)
    examples_panel(page)
    if enabled():
        gallery_panel(page)
    gr.HTML(read("about.html"), elem_id="about")
    page.follow(gr.HTML(elem_id="status"), status_line, later=True)
    endpoints()
    page.wire(demo)
ui.gpu.start()
demo.queue(max_size=64, default_concurrency_limit=4, api_open=False)

THEME = gr.themes.Base(
    primary_hue="indigo",
    neutral_hue="slate",
    radius_size="lg",
    font=[gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "ui-sans-serif", "sans-serif"],
    font_mono=[gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700)), "monospace"],
).set(  # contrast of at least 4.5 : 1 in both modes
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    button_large_text_weight="400",
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    button_primary_background_fill_dark="*primary_600",
    button_primary_background_fill_hover_dark="*primary_700",
    button_secondary_background_fill="*neutral_100",
    button_secondary_background_fill_hover="*neutral_200",
    block_label_text_color="*neutral_700",
    block_title_text_color="*neutral_700",
    checkbox_label_background_fill="*neutral_100",
    checkbox_label_background_fill_selected="*primary_100",
)
LAUNCH = {"theme": THEME, "css": read("page.css"), "js": read("page.js"), "ssr_mode": False, "run_history": False,
          "max_file_size": "8mb", "footer_links": ["api"], "state_session_capacity": 500,
          "enable_monitoring": False, "pwa": False, "mcp_server": True,
          "app_kwargs": {"middleware": [Middleware(Door, budgets=BUDGETS, status=status),
                                        Middleware(Preview)]}}  # fmt: skip

if __name__ == "__main__":
    if SPACE or os.environ.get("PANDA_LOG") == "1":
        logging.basicConfig(format="%(message)s")
        log.setLevel(logging.INFO)
    keep_freed_memory()
    view.start()  # the generator is read before the first visitor comes
    demo.launch(**LAUNCH)
