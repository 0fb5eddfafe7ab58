"""Which generator makes the pictures: those that are here, and those that are downloaded first."""

from dataclasses import replace
from html import escape

import gradio as gr

from panda_core.generators.registry import GENERATORS, GeneratorSpec
from panda_core.recipes import parse_recipe

from . import view
from .page import Page
from .session import Session


def generators_panel(page: Page) -> None:
    own = view.renderer.catalogue.own
    generator = gr.Dropdown([], label="Generator", allow_custom_value=own, interactive=True, elem_id="generator",
                            info="Or type owner/name of one on the Hub" if own else None)  # fmt: skip
    about = gr.HTML(elem_id="about-generator")
    go = gr.Button("Open this generator", size="sm", elem_id="open-generator")
    page.follow(generator, lambda s: gr.Dropdown(choices=choices(), value=s.recipe.generator))
    page.follow(about, lambda s: words(s.recipe.generator))
    page.job(go.click, fetch, generator, done=use)
    generator.input(words, generator, about, show_progress="hidden", api_visibility="private")


def choices() -> list[tuple[str, str]]:
    here = view.renderer.catalogue.here()
    return [(spec.title + ("" if here[name] else f" ({size(spec)} to download)"), name)
            for name, spec in GENERATORS.items()]  # fmt: skip


def size(spec: GeneratorSpec) -> str:
    return "size unknown" if spec.mb is None else f"{spec.mb} MB"


def words(name: str | None) -> str:
    """A generator's size, licence, and whether anybody here has tried it; HTML."""
    if not isinstance(name, str) or name not in GENERATORS:
        return "<p>A generator of your own: it is downloaded, and parts are learned for it.</p>"
    spec = GENERATORS[name]
    tried = "" if spec.tried else " Nobody of us has downloaded it yet; if it does not load, nothing is lost."
    return f"<p>{spec.family}, {spec.resolution} pixels. Licence of the weights: {escape(spec.licence)}.{tried}</p>"


def fetch(session: Session, name: str, report) -> str:
    """Download and load a generator, and find or learn its first parts; returns its name."""
    if not isinstance(name, str):
        raise ValueError("Choose a generator of the list.")
    name = parse_recipe({"v": 1, "generator": name}).generator
    view.renderer.catalogue.ensure(name, None, report)
    return name


def use(session: Session, name: str) -> Session:
    return session if session.recipe.generator == name else replace(view.start(name).after(session), tab=session.tab)
