"""Factors as files: saved with the names that were given, and opened again."""

from dataclasses import replace

import gradio as gr

from panda_core.factors import Factors
from panda_core.recipes import Recipe
from panda_core.studio.opening import MAX_PARTS, fit_layers
from panda_core.studio.room import Room
from panda_core.studio.session import Session

from ..binding import Page
from ..given import uploaded
from ..sharing import as_file, factors_file
from .factors import use


class FactorsFiles(Room):
    def lay_out(self, page: Page) -> None:
        with gr.Row(elem_classes="actions"):
            save = gr.Button("Download factors", size="sm", min_width=130, elem_id="save-factors")
            load = gr.UploadButton("Open factors", size="sm", min_width=130, file_types=[".safetensors"],
                                   type="filepath", elem_id="open-factors")  # fmt: skip
        page.save(save.click, self.save)
        page.on(load.upload, self.open_file, load)

    def save(self, session: Session) -> str:
        return as_file(*factors_file(self.pictures.factors(session)))

    def open_file(self, session: Session, path: str | None) -> Session:
        """What `save` wrote comes into use."""
        with uploaded(path) as file:
            return use(session, self.add_own(session.recipe, Factors.load(file)))

    def add_own(self, recipe: Recipe, factors: Factors) -> tuple[str, int, str]:
        """A stranger's factors, held to the same limits as a fit."""
        generator = self.renderer.generator(replace(recipe, weights=None))
        layers, R_S = fit_layers(generator), factors.parts.shape[1]
        if factors.info.layer not in layers or R_S > MAX_PARTS:
            raise ValueError(
                f"The factors have {R_S} parts at layer {factors.info.layer}; this page takes at most {MAX_PARTS}, "
                f"at {', '.join(map(str, layers))}."
            )
        A = factors.appearances
        if not factors.info.is_raw and float((A.t() @ A - A.new_ones(len(A.t())).diag()).abs().max()) > 0.01:
            raise ValueError("The appearances in the file are not orthonormal; it was not saved by this page.")
        return recipe.generator, factors.info.layer, self.renderer.catalogue.add_own(recipe.generator, factors)
