"""Factors and recipes as files: factors saved and opened, the authors' .npy pairs, a recipe with factors of its own."""

import re
import tempfile
from dataclasses import replace
from pathlib import Path

import gradio as gr

from panda_core.checkpoints.authors_npy import SAMPLES, info_of_pair, read_pair
from panda_core.factors import Factors
from panda_core.fitting import batch_for, feature_source
from panda_core.recipes import Recipe, parse_recipe

from ..binding import Page
from ..opening import MAX_PARTS, Opening, fit_layers
from ..pictures import Pictures
from ..server.jobs import tell
from ..session import Session
from ..sharing import as_file, factors_file, read_together
from .factors import use

KINDS = [".safetensors", ".npy", ".zip"]


class FactorsFiles:
    def __init__(self, pictures: Pictures, opening: Opening):
        self.pictures, self.renderer, self.opening = pictures, pictures.renderer, opening

    def lay_out(self, page: Page) -> None:
        with gr.Row(elem_classes="actions"):
            save = gr.Button("Download factors", size="sm", min_width=130, elem_id="save-factors")
            load = gr.UploadButton("Open factors", size="sm", min_width=130, file_types=KINDS, file_count="multiple",
                                   type="filepath", elem_id="open-factors")  # fmt: skip
        page.job(load.upload, self.open_files, load, done=self.use_files)
        page.save(save.click, self.save)

    def save(self, session: Session) -> str:
        return as_file(*factors_file(self.pictures.factors(session)))

    def open_files(self, session: Session, paths: list[str] | None, report) -> dict:
        """Our file, an .npy pair, or recipe and factors: {"factors": [each for `use`], "recipe": text or None}."""
        given = paths if isinstance(paths, list) and all(isinstance(path, str) for path in paths) else []
        files, recipe = [Path(path) for path in given], session.recipe
        endings = sorted(file.suffix.lower() for file in files)
        if endings == [".safetensors"]:
            return {"factors": [self.add_own(recipe, Factors.load(files[0]))], "recipe": None}
        if endings == [".npy", ".npy"]:
            return {
                "factors": [self.add_own(recipe, self.read_npy(recipe, files, session.layer, report))],
                "recipe": None,
            }
        if endings == [".zip"]:
            with tempfile.TemporaryDirectory() as folder:
                text, found = read_together(files[0], Path(folder))
            given = parse_recipe(text)
            return {"factors": [self.add_own(given, factors) for factors in found], "recipe": text}
        raise ValueError(
            f"{len(files)} files were given ({', '.join(endings)[:60]}); open one .safetensors, one .zip or two .npy."
        )

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

    def read_npy(self, recipe: Recipe, files: list[Path], layer: int, report) -> Factors:
        """The authors' pair, named as theirs (Us-… holds the parts, Uc-… the appearances, -layer_5- the layer)."""
        parts = [file for file in files if re.match(r"us\b|us[-_]", file.name, re.IGNORECASE)]
        appearances = [file for file in files if re.match(r"uc\b|uc[-_]", file.name, re.IGNORECASE)]
        if len(parts) != 1 or len(appearances) != 1:
            raise ValueError("The names of the two .npy files must begin with Us (the parts) and Uc (the appearances).")
        said = re.search(r"layer[-_]?(\d{1,2})\b", parts[0].name.replace("_", "-"), re.IGNORECASE)
        layer, (generator, weights) = (
            int(said[1] if said else layer),
            self.renderer.catalogue.generator(recipe.generator),
        )
        if layer not in fit_layers(generator):
            raise ValueError(f"The files are for layer {layer}; this generator has {fit_layers(generator)}.")
        draw, (_, H, W) = feature_source(generator, layer, recipe.psi), generator.layers[layer]

        def telling(first: int, count: int):
            tell(report, "sampling", min(first + count, SAMPLES), SAMPLES)
            return draw(first, count)

        info = info_of_pair(recipe.generator, weights, layer, (H, W), recipe.psi)
        return read_pair(
            *parts, *appearances, telling, batch_for(generator.layers[layer]), generator.frame(layer), info
        )

    def use_files(self, session: Session, found: dict) -> Session:
        if found["recipe"] is not None:
            own = tuple(item[2] for item in found["factors"])
            session = self.opening.opened(parse_recipe(found["recipe"]), own).after(session)
        for item in found["factors"]:
            session = use(session, item)
        return session.take_up(len(session.recipe.edits) - 1) if found["recipe"] and session.recipe.edits else session
