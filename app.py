"""The page: click something in a picture, change it, share the link. Layout and wiring; run it with `python app.py`."""

from ui.server import gpu  # first: on ZeroGPU before torch

# isort: split
import html
import logging
import os

import gradio as gr
import PIL.Image
from starlette.middleware import Middleware

from panda_core.rendering import MAX_OWN, Renderer
from panda_core.runtime.allocator import keep_freed_memory
from panda_core.runtime.kept import Kept
from panda_core.studio.opening import Opening
from panda_core.studio.pictures import of_picture, of_place
from panda_core.studio.session import Session
from panda_core.studio.words import made_by, moment_words
from panda_core.uploads import MAX_BYTES, MAX_PIXELS
from ui.api import Api
from ui.binding import Page
from ui.components.html import sentence
from ui.components.plain import Picture, read, style
from ui.dragging import Dragging
from ui.edit_list import Edits
from ui.languages import I18N, script, translate
from ui.panels.examples import ExamplesPanel
from ui.panels.factors import FactorsPanel
from ui.panels.gallery import GalleryPanel, enabled
from ui.panels.generators import GeneratorsPanel
from ui.panels.own_picture import OwnPicturePanel
from ui.panels.refine import RefinePanel
from ui.panels.trying import TryingPanel
from ui.pictures import PagePictures
from ui.region import Choosing
from ui.seeds import Seeds
from ui.server.events import BUDGETS
from ui.server.limits import Limits, device, log, memory_mb
from ui.server.preview import TITLE, LinkPreview, Preview
from ui.sharing import SPACE, Sharing
from ui.tabs.edit import EditTab
from ui.tabs.masks import MasksTab
from ui.tabs.rank import RankTab
from ui.tabs.remove import RemoveTab
from ui.tabs.rewrite import RewriteTab

PIL.Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # a visitor's picture; Pillow refuses twice as many
# after every event gradio would sum up its last 10,000 in a table of pandas, for a dashboard that is off here
os.environ |= {"GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000", "GRADIO_ANALYTICS_MAX_EVENTS": "1"}

renderer = Renderer(cached=48, own=Kept(MAX_OWN))
gpu.when_full.append(renderer.leave_gpu)
pictures, opening = PagePictures(renderer), Opening(renderer)
sharing, seeds = Sharing(pictures, opening), Seeds(pictures)
edit_tab, rank_tab = EditTab(pictures), RankTab(pictures)
remove_tab = RemoveTab(edit_tab)
masks_tab, rewrite_tab = MasksTab(pictures, sharing), RewriteTab(pictures)
factors_panel, generators_panel = FactorsPanel(pictures), GeneratorsPanel(pictures, opening)
own_picture_panel = OwnPicturePanel(pictures, opening)
gallery_panel, api = GalleryPanel(pictures, opening), Api(opening, factors_panel, rank_tab, own_picture_panel)
choosing = Choosing(edit_tab, after={"Remove": remove_tab.after_pick, "Masks": masks_tab.after_pick})


def open_page(session: Session, request: gr.Request) -> Session:
    """The page as it opens: the recipe of its link, or the start page, with a sentence if the link was no good."""
    return opening.open_link(request.query_params.get("r"))


def status() -> dict:
    """What /status says: what this runs on, and how busy it is."""
    visitors = len(BUDGETS)
    return {"device": device(), "memory_mb": memory_mb(), "queue": len(demo._queue), "visitors": visitors}


def notice(session: Session) -> str:
    return f'<p role="alert">{html.escape(session.notice)}</p>' if session.notice else ""


def left(page: Page) -> None:
    """The picture, which one it is, and how it is made."""
    dragging = Dragging(pictures)
    picture = Picture(elem_id="picture", server_functions=[page.answering("move", dragging.move)])
    page.follow(picture, lambda s: {"scene": pictures.scene(s), "frame": pictures.frame(s),
                                    "shown": [of_picture(s), of_place(s)]})  # fmt: skip
    page.follow(
        gr.HTML(elem_id="words"),
        lambda s: sentence(moment_words(s, pictures.edits_words(s)) or pictures.frame(s)["words"]),
    )
    page.on(picture.pulled, dragging.pulled)
    choosing.lay_out(page, picture)
    seeds.lay_out(page)
    generators_panel.lay_out_beside(page)
    own_picture_panel.lay_out(page)
    with gr.Accordion("Picture settings", open=False, elem_id="settings"):
        seeds.lay_out_settings(page)
        generators_panel.lay_out(page)
    page.follow(gr.HTML(elem_id="made-by"), lambda s: sentence(made_by(renderer.catalogue.spec(s.recipe.generator))))


def right(page: Page) -> None:
    """The tabs, the list of edits under those that make edits, and what folds away."""
    tabs = {"Edit": edit_tab, "Remove": remove_tab, "Masks": masks_tab, "Rewrite": rewrite_tab, "Rank": rank_tab}
    with gr.Tabs(elem_id="tabs"):
        for name, tab in tabs.items():
            with page.tab(name):
                tab.lay_out(page)
    with page.beside("Edit", "Remove", "Rewrite"):
        Edits(pictures).lay_out(page, between=sharing.lay_out)
    with page.beside("Edit"):
        edit_tab.lay_out_others(page)
        with page.fold("Explore", elem_id="explore"):
            TryingPanel(pictures).lay_out(page)
            edit_tab.lay_out_papers(page)
            RefinePanel(pictures).lay_out(page)
            factors_panel.lay_out(page)


with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 7200)) as demo:
    page = Page(opening.start)
    with gr.Row(elem_id="head"):
        gr.HTML(read("header.html"), elem_id="header")
        generators_panel.lay_out_worlds(page)
    page.follow(gr.HTML(visible=False, elem_id="notice"), lambda s: gr.HTML(notice(s), visible=bool(s.notice)))
    with gr.Row(equal_height=False, elem_id="columns"):
        with gr.Column(scale=6, min_width=320):
            left(page)
        with gr.Column(scale=6, min_width=320):
            right(page)
    ExamplesPanel(pictures, opening).lay_out(page)
    if enabled():
        gallery_panel.lay_out(page)
    gr.HTML(read("about.html"), elem_id="about")
    api.lay_out()
    page.wire(demo, open_page)
translate(demo)
gpu.start(lambda: [renderer.catalogue.generator(name) for name in opening.offered().values()])
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
LAUNCH = {"theme": THEME, "css": style(), "js": script(read("page.js")), "i18n": I18N, "ssr_mode": False,
          "run_history": False,
          "max_file_size": MAX_BYTES, "footer_links": ["api"], "state_session_capacity": 500,
          "enable_monitoring": False, "pwa": False, "mcp_server": True,
          "app_kwargs": {"middleware": [Middleware(Limits, budgets=BUDGETS, status=status),
                                        Middleware(Preview, links=LinkPreview(pictures, opening))]}}  # fmt: skip

if __name__ == "__main__":
    if SPACE or os.environ.get("PANDA_LOG") == "1":
        logging.basicConfig(format="%(message)s")
        log.setLevel(logging.INFO)
    keep_freed_memory()
    start = opening.start()
    if not gpu.SHARED:
        page.show_all(start)  # the first visitor waits for none of it
    demo.launch(**LAUNCH)
