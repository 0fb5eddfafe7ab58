"""The Factors panel: which parts and appearances are in use, learning others, names for them, and files of them."""

import gradio as gr

from panda_core.factors import MAX_NAME, Factors
from panda_core.jpegs import jpeg
from panda_core.progress import Progress
from panda_core.studio.learning import Learning, use
from panda_core.studio.opening import MAX_PARTS, fit_layers
from panda_core.studio.pictures import origin
from panda_core.studio.session import Session
from panda_core.studio.words import region_words

from ..binding import Page
from ..components.html import figure, heading
from ..components.plain import Slider
from ..given import uploaded
from ..sharing import as_file, factors_file

SAME = 0.9  # |cos| from which a part that other samples give is the same


class FactorsPanel(Learning):
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
        with gr.Row(elem_classes="actions"):
            save = gr.Button("Download factors", size="sm", min_width=130, elem_id="save-factors")
            load = gr.UploadButton("Open factors", size="sm", min_width=130, file_types=[".safetensors"],
                                   type="filepath", elem_id="open-factors")  # fmt: skip
        page.save(save.click, self.save)
        page.on(load.upload, self.open_file, load)

    def layers(self, session: Session) -> list[tuple[str, int]]:
        """Every layer to learn parts at, by its size."""
        generator = self.renderer.generator(session.recipe)
        sizes = {l: "{1} × {2}".format(*generator.layers[l]) for l in fit_layers(generator)}
        twice = len(set(sizes.values())) < len(sizes)
        return [(f"{size} (layer {layer})" if twice else size, layer) for layer, size in sizes.items()]

    def choices(self, session: Session) -> list[tuple[str, str]]:
        return [(in_words(factors, factors_id), factors_id) for factors_id, factors in self.known(session).items()]

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

    def map(self, session: Session) -> str:
        """The parts on this picture; HTML."""
        key = "parts", origin(session.recipe), session.factors_id
        where = session.recipe, session.layer, self.pictures.factors(session).parts
        shown = self.pictures.kept.get(key, lambda: jpeg(self.pictures.with_parts(*where)))
        return figure(shown, "The parts in use, on this picture without its edits")

    def so_far(self, session: Session, layer, *others) -> str:
        """HTML of the parts as the fit has them, on the picture."""
        progress: Progress = others[-1]
        if progress.parts is None:
            return ""
        picture = self.pictures.with_parts(session.recipe, int(layer), progress.parts, side=160)
        return figure(jpeg(picture), "The parts so far")

    def show_name(self, session: Session):
        region = session.region()
        if region is None or not region.parts:
            return gr.Textbox("", interactive=False, placeholder="choose a thing or a part first")
        return gr.Textbox(region_words(self.pictures.factors(session), region), interactive=True)

    def save(self, session: Session) -> str:
        return as_file(*factors_file(self.pictures.factors(session)))

    def open_file(self, session: Session, path: str | None) -> Session:
        """What `save` wrote comes into use."""
        with uploaded(path) as file:
            return use(session, self.add_own(session.recipe, Factors.load(file)))


def in_words(factors: Factors, factors_id: str) -> str:
    info, scheme = factors.info, factors_id.partition(":")[0]
    learned = f"learned from {info.samples:,} pictures" + (f", seed {info.seed}" if info.seed else "")
    origin = {"bundled": "bundled", "fit": learned, "local": "your own"}.get(scheme, scheme)
    return f"{info.height} × {info.width}, layer {info.layer}: {factors.parts.shape[1]} parts, {origin}"
