"""Which generator makes the pictures: those that are here, and those that are downloaded first."""

from dataclasses import replace
from html import escape

import gradio as gr

from panda_core.generators.registry import GENERATORS, GeneratorSpec
from panda_core.recipes import parse_recipe

from ..binding import Page
from ..opening import Opening
from ..session import Session


class GeneratorsPanel:
    def __init__(self, opening: Opening):
        self.opening, self.renderer = opening, opening.renderer

    def lay_out(self, page: Page) -> None:
        own = self.renderer.catalogue.own
        generator = gr.Dropdown([], label="Generator", allow_custom_value=own, interactive=True, elem_id="generator",
                                info="Or type owner/name of one on the Hub" if own else None)  # fmt: skip
        about = gr.HTML(elem_id="about-generator")
        go = gr.Button("Open this generator", size="sm", elem_id="open-generator")
        page.follow(generator, lambda s: gr.Dropdown(choices=self.choices(), value=s.recipe.generator))
        page.follow(about, lambda s: self.words(s.recipe.generator))
        page.job(go.click, self.fetch, generator, done=self.use)
        generator.input(self.words, generator, about, show_progress="hidden", api_visibility="private")

    def choices(self) -> list[tuple[str, str]]:
        here = self.renderer.catalogue.here()
        return [(spec.title + ("" if here[name] else f" ({size(spec)} to download)"), name)
                for name, spec in GENERATORS.items()]  # fmt: skip

    def words(self, name: str | None) -> str:
        """A generator's size, licence, and whether anybody here has tried it; HTML."""
        if not isinstance(name, str) or name not in GENERATORS:
            return "<p>A generator of your own: it is downloaded, and parts are learned for it.</p>"
        spec = GENERATORS[name]
        tried = "" if spec.tried else " Nobody of us has downloaded it yet; if it does not load, nothing is lost."
        return f"<p>{spec.family}, {spec.resolution} pixels. Licence of the weights: {escape(spec.licence)}.{tried}</p>"

    def fetch(self, session: Session, name: str, report) -> str:
        """Download and load a generator, and find or learn its first parts; returns its name."""
        if not isinstance(name, str):
            raise ValueError("Choose a generator of the list.")
        name = parse_recipe({"v": 2, "generator": name}).generator
        self.renderer.catalogue.ensure(name, None, report)
        return name

    def use(self, session: Session, name: str) -> Session:
        if session.recipe.generator == name:
            return session
        return replace(self.opening.start(name).after(session), tab=session.tab)


def size(spec: GeneratorSpec) -> str:
    return "size unknown" if spec.mb is None else f"{spec.mb} MB"
