"""The Factors panel: which parts and appearances are in use, learning others, and names for them."""

from contextlib import suppress
from dataclasses import replace

import gradio as gr

from panda_core.factors import MAX_NAME, Factors, region_key
from panda_core.fitting import fit_id, fit_layer
from panda_core.progress import Cancelled, Progress
from panda_core.recipes import Recipe
from panda_core.studio.opening import MAX_PARTS, MAX_SAMPLES, fit_layers, until
from panda_core.studio.pictures import Names, origin
from panda_core.studio.room import Room
from panda_core.studio.session import Session
from panda_core.studio.words import region_words

from ..binding import Page
from ..components.html import figure, heading
from ..components.plain import Slider
from ..given import number
from .refine import parts_picture

SAME = 0.9  # |cos| from which a part that other samples give is the same


class FactorsPanel(Room):
    def lay_out(self, page: Page) -> None:
        gr.HTML(heading("Names of parts, and other parts"))
        using = gr.Dropdown([], label="Parts in use", interactive=True, elem_id="using")
        page.field(using, lambda s: gr.Dropdown(choices=self.choices(s), value=s.factors_id), self.choose)
        page.follow(gr.HTML(elem_id="about-factors"), self.about)
        page.follow(gr.HTML(elem_id="parts-in-use"), self.map)
        name = gr.Textbox(label="Name of what is chosen", max_length=MAX_NAME, submit_btn="Rename", interactive=True,
                          elem_id="name-part")  # fmt: skip
        page.follow(name, self.show_name)
        page.on(name.submit, self.rename, name)
        with gr.Row(equal_height=False):
            layer = gr.Dropdown([], label="Grid of the parts", interactive=True, min_width=120, elem_id="fit-layer")
            parts = Slider(2, MAX_PARTS, 16, step=1, label="Parts", interactive=True, min_width=120, buttons=[])
            samples = gr.Number(
                label="Pictures to learn from (0: as needed)", precision=0, interactive=True, min_width=140
            )
        button = gr.Button("Learn parts", size="sm", elem_id="fit")
        page.job(button.click, self.learn, layer, parts, samples, done=use, picture=self.so_far)
        page.follow(layer, lambda s: gr.Dropdown(choices=self.layers(s), value=s.layer))

    def layers(self, session: Session) -> list[tuple[str, int]]:
        """Every layer to learn parts at, by its size."""
        generator = self.renderer.generator(session.recipe)
        sizes = {l: "{1} × {2}".format(*generator.layers[l]) for l in fit_layers(generator)}
        twice = len(set(sizes.values())) < len(sizes)
        return [(f"{size} (layer {layer})" if twice else size, layer) for layer, size in sizes.items()]

    def choices(self, session: Session) -> list[tuple[str, str]]:
        """(in words, id) of all factors at hand for this generator; those that ship come first."""
        name, found = session.recipe.generator, []
        known = [factors_id for generator, _, factors_id in session.factors if generator == name]
        for factors_id in dict.fromkeys((*self.renderer.catalogue.available(name).values(), *known)):
            with suppress(ValueError, Cancelled):  # what the disk has no more is not listed, rather than fitted again
                factors = self.renderer.catalogue.factors(name, factors_id, until(0.0))
                found.append((in_words(factors, factors_id), factors_id))
        return found

    def about(self, session: Session) -> str:
        """What the factors in use are worth, in words; HTML."""
        factors = self.pictures.factors(session)
        info, (R_C, R_S) = factors.info, factors.sigma.shape
        text = f"{R_S} parts and {R_C} appearances."
        if info.energy:
            text += f" Together they explain {info.energy:.0%} of what this layer holds; no {R_S} parts could explain more than {info.bound:.0%}."  # noqa: E501
        if info.stability:
            same = sum(cosine >= SAME for cosine in info.stability)
            text += f" {same} of {len(info.stability)} parts come out the same from other samples."
        return f"<p>{text}</p>"

    def choose(self, session: Session, factors_id: str) -> Session:
        if factors_id not in dict(self.choices(session)).values():
            raise ValueError(f"factors is {factors_id!r:.60}; choose one of the list.")
        layer = self.renderer.catalogue.factors(session.recipe.generator, factors_id).info.layer
        return session.use_factors(layer, factors_id)

    def map(self, session: Session) -> str:
        """The parts on this picture; HTML."""
        key = "parts", origin(session.recipe), session.factors_id
        parts = self.pictures.factors(session).parts

        def draw() -> str:
            return parts_picture(self.renderer, session.recipe, session.layer, parts)

        return figure(self.pictures.kept.get(key, draw), "The parts in use, on this picture without its edits")

    # ---- learning ----

    def learn(self, session: Session, layer, parts, samples, report) -> tuple:
        """Fit factors for this generator, of all its classes; returns what `Session.know_factors` takes."""
        recipe = replace(session.recipe, class_index=None)
        factors = self.fitted(recipe, layer, parts, None, samples, 0, report)
        return recipe.generator, factors.info.layer, fit_id(factors)

    def fitted(self, recipe: Recipe, layer, parts, appearances, samples, seed, report) -> Factors:
        """Factors of the recipe's generator, ψ and class, now in the catalogue. 0 or None: as many as it takes."""
        name, loaded = recipe.generator, self.renderer.catalogue.generator(recipe.generator)
        layers, n_classes = fit_layers(loaded.generator), loaded.generator.n_classes
        if layer not in layers:
            raise ValueError(f"layer is {layer!r:.20}; parts can be learned at {', '.join(map(str, layers))}.")
        C, H, W = loaded.generator.layers[int(layer)]
        class_index = recipe.class_index if n_classes else None
        if class_index is not None:
            class_index = number("class", class_index, 0, n_classes - 1, whole=True)
        R_C = number("appearances", appearances, 1, C, whole=True) if appearances else None
        R_S = number("parts", parts, 1, min(MAX_PARTS, H * W), whole=True)
        N = number("samples", samples, 2, MAX_SAMPLES, whole=True) if samples else None
        seed = number("seed", seed or 0, 0, 2**31 - 1, whole=True)
        factors = fit_layer(name, loaded, int(layer), R_C, R_S, N, seed, recipe.psi, class_index, report)
        self.renderer.catalogue.add_fit(name, factors)
        return factors

    def so_far(self, session: Session, layer, *others) -> str:
        """HTML of the parts as the fit has them, on the picture."""
        progress: Progress = others[-1]
        if progress.parts is None:
            return ""
        picture = parts_picture(self.renderer, session.recipe, int(layer), progress.parts, side=160)
        return figure(picture, "The parts so far")

    # ---- names ----

    def show_name(self, session: Session):
        region = session.region()
        if region is None or not region.parts:
            return gr.Textbox("", interactive=False, placeholder="choose a thing or a part first")
        return gr.Textbox(region_words(self.pictures.factors(session), region), interactive=True)

    def rename(self, session: Session, name: str) -> Session:
        """What is chosen gets a name, for this visit and in a file of these factors; edits mean what they meant."""
        if not session.parts:
            raise ValueError("Choose a thing or a part of the picture to give it a name.")
        factors = self.pictures.factors(session)
        name = str(name or "").strip()
        renamed = factors.rename("part", session.parts[0], name).info  # refuses what is no name
        if len(session.parts) == 1:
            names = Names(renamed.part_names, factors.info.thing_names)
        else:
            others = {key: old for key, old in factors.info.thing_names.items() if key != region_key(session.parts)}
            names = Names(factors.info.part_names, others | ({region_key(session.parts): name} if name else {}))
        return session.put_aside("names", names, session.factors_id)


def use(session: Session, found: tuple[str, int, str]) -> Session:
    """Newly found factors go into the list, and into use if their generator is still on the page."""
    generator, layer, factors_id = found
    ours = generator == session.recipe.generator
    return session.use_factors(layer, factors_id) if ours else session.know_factors(*found)


def in_words(factors: Factors, factors_id: str) -> str:
    info, scheme = factors.info, factors_id.partition(":")[0]
    learned = f"learned from {info.samples:,} pictures" + (f", seed {info.seed}" if info.seed else "")
    origin = {"bundled": "bundled", "fit": learned, "local": "your own"}.get(scheme, scheme)
    return f"{info.height} × {info.width}, layer {info.layer}: {factors.parts.shape[1]} parts, {origin}"
