"""The Factors panel: parts and appearances learned on demand, named, saved and opened again."""

import re
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import gradio as gr

from panda_core.checkpoints.authors_npy import SAMPLES, info_of_pair, read_pair
from panda_core.factors import LONGEST_NAME, Factors
from panda_core.fitting import batch_for, feature_source, fit_id, fit_layer
from panda_core.progress import Cancelled, Progress
from panda_core.recipes import Recipe, parse_recipe

from . import bundle, view
from .further import parts_picture
from .jobs import tell
from .page import Page, figure, number, plainly, read_recipe
from .session import Session
from .widgets import Slider

SAME = 0.9  # |cos| from which a part that other samples give is the same
LONGEST_FIT = 120.0  # seconds that a program may ask for


def factors_panel(page: Page) -> None:
    using = gr.Dropdown([], label="Parts and looks in use", interactive=True, elem_id="using")
    page.field(using, lambda s: gr.Dropdown(choices=choices(s), value=s.factors_id), choose)
    page.follow(gr.HTML(elem_id="about-factors"), about)
    with gr.Row():
        for kind, what, change in (("part", "part", rename_part), ("appearance", "look", rename_appearance)):
            name = gr.Textbox(label=f"Name of the chosen {what}", max_length=LONGEST_NAME, submit_btn="Rename",
                              interactive=True, min_width=200, elem_id=f"name-{kind}")  # fmt: skip
            page.follow(name, lambda s, kind=kind: show_name(s, kind))
            page.on(name.submit, change, name)
    with gr.Row(equal_height=False):
        layer = gr.Dropdown([], label="Grid of the parts", interactive=True, min_width=120, elem_id="fit-layer")
        parts = Slider(2, view.MOST_PARTS, 16, step=1, label="Parts", interactive=True, min_width=120, buttons=[])
    with gr.Accordion("How they are learned", open=False), gr.Row():
        empty = {"precision": 0, "interactive": True, "value": None, "min_width": 140}
        appearances = gr.Number(label="Looks (0: as many as there are)", **empty)
        samples = gr.Number(label="Pictures to learn from (0: as needed)", **empty)
        seed = gr.Number(label="Seed of the samples", **empty | {"value": 0})
        class_index = gr.Number(label="Class", placeholder="all of them", visible=False, **empty)
    learn_button = gr.Button("Learn parts", size="sm", elem_id="fit")
    page.job(learn_button.click, learn, layer, parts, appearances, samples, seed, class_index, done=use, picture=so_far)
    with gr.Row(elem_classes="actions"):
        save = gr.Button("Download factors", size="sm", min_width=130, elem_id="save-factors")
        kinds = [".safetensors", ".npy", ".zip"]
        load = gr.UploadButton("Open factors", size="sm", min_width=130, file_types=kinds, file_count="multiple",
                               type="filepath", elem_id="open-factors")  # fmt: skip
    page.job(load.upload, open_files, load, layer, done=use_files)
    page.save(save.click, lambda s: view.as_file(*bundle.factors_file(view.factors_of(s))))

    page.follow(layer, lambda s: gr.Dropdown(choices=fit_layers(s), value=s.layer))
    page.follow(class_index, lambda s: gr.Number(visible=view.renderer.generator(s.recipe).n_classes > 0))


def fit_layers(session: Session) -> list[tuple[str, int]]:
    """Every layer to learn parts at, by its size."""
    generator = view.renderer.generator(session.recipe)
    sizes = {l: "{1} × {2}".format(*generator.layers[l]) for l in view.fit_layers(generator)}
    twice = len(set(sizes.values())) < len(sizes)
    return [(f"{size} (layer {layer})" if twice else size, layer) for layer, size in sizes.items()]


# ---- which are in use ----


def choices(session: Session) -> list[tuple[str, str]]:
    """(in words, id) of all factors at hand for this generator; those that ship come first."""
    name, found = session.recipe.generator, []
    known = [factors_id for generator, _, factors_id in session.factors if generator == name]
    for factors_id in dict.fromkeys((*view.available(session.recipe).values(), *known)):
        with suppress(ValueError, Cancelled):  # what the disk has no more is not listed, rather than fitted again
            factors = view.renderer.catalogue.factors(name, factors_id, view.until(0.0))
            found.append((in_words(factors, factors_id), factors_id))
    return found


def in_words(factors: Factors, factors_id: str) -> str:
    info, scheme = factors.info, factors_id.partition(":")[0]
    learned = f"learned from {info.samples:,} pictures" + (f", seed {info.seed}" if info.seed else "")
    origin = {"bundled": "bundled", "fit": learned, "local": "your own"}.get(scheme, scheme)
    return f"{info.height} × {info.width}, layer {info.layer}: {factors.parts.shape[1]} parts, {origin}"


def about(session: Session) -> str:
    """What the factors in use are worth, in words; HTML."""
    factors = view.factors_of(session)
    info, (R_C, R_S) = factors.info, factors.sigma.shape
    text = f"{R_S} parts and {R_C} looks."
    if info.energy:
        text += f" Together they explain {info.energy:.0%} of what this layer holds; no {R_S} parts could explain more than {info.bound:.0%}."  # noqa: E501
    if info.stability:
        same = sum(cosine >= SAME for cosine in info.stability)
        text += f" {same} of {len(info.stability)} parts come out the same from other samples."
    return f"<p>{text}</p>"


def choose(session: Session, factors_id: str) -> Session:
    if factors_id not in dict(choices(session)).values():
        raise ValueError(f"factors is {factors_id!r:.60}; choose one of the list.")
    layer = view.renderer.catalogue.factors(session.recipe.generator, factors_id).info.layer
    return session.use_factors(layer, factors_id)


# ---- learning ----


def learn(session: Session, layer, parts, appearances, samples, seed, class_index, report) -> tuple:
    """Fit factors for this generator; returns what `Session.know_factors` takes."""
    recipe = replace(session.recipe, class_index=class_index)
    factors = fitted(recipe, layer, parts, appearances, samples, seed, report)
    return recipe.generator, factors.info.layer, fit_id(factors)


def fitted(recipe: Recipe, layer, parts, appearances, samples, seed, report) -> Factors:
    """Factors of the recipe's generator, ψ and class, now in the catalogue. 0 or None: as many as it takes."""
    name, loaded = recipe.generator, view.renderer.catalogue.generator(recipe.generator)
    layers, n_classes = view.fit_layers(loaded.generator), loaded.generator.n_classes
    if layer not in layers:
        raise ValueError(f"layer is {layer!r:.20}; parts can be learned at {', '.join(map(str, layers))}.")
    C, H, W = loaded.generator.layers[int(layer)]
    class_index = recipe.class_index if n_classes else None
    if class_index is not None:
        class_index = number("class", class_index, 0, n_classes - 1, whole=True)
    R_C = number("looks", appearances, 1, C, whole=True) if appearances else None
    R_S = number("parts", parts, 1, min(view.MOST_PARTS, H * W), whole=True)
    N = number("samples", samples, 2, view.MOST_SAMPLES, whole=True) if samples else None
    seed = number("seed", seed or 0, 0, 2**31 - 1, whole=True)
    factors = fit_layer(name, loaded, int(layer), R_C, R_S, N, seed, recipe.psi, class_index, report)
    view.renderer.catalogue.add_fit(name, factors)
    return factors


def so_far(session: Session, layer, *others) -> str:
    """HTML of the parts as the fit has them, on the picture."""
    progress: Progress = others[-1]
    if progress.parts is None:
        return ""
    picture = parts_picture(session.recipe, int(layer), progress.parts, side=160)
    return figure(picture, "The parts so far")


def use(session: Session, found: tuple[str, int, str]) -> Session:
    """Newly found factors go into the list, and into use if their generator is still on the page."""
    generator, layer, factors_id = found
    ours = generator == session.recipe.generator
    return session.use_factors(layer, factors_id) if ours else session.know_factors(*found)


# ---- names ----


def named(session: Session, kind: str) -> int | None:
    """Number of the part or appearance that a name would go to."""
    if kind == "part":
        return session.parts[0] if session.parts else None
    edit = session.edit
    return edit.appearance if edit and (edit.layer, edit.factors) == (session.layer, session.factors_id) else None


def show_name(session: Session, kind: str):
    number, info = named(session, kind), view.factors_of(session).info
    names = info.part_names if kind == "part" else info.appearance_names
    value = "" if number is None else names.get(number, "")
    hint = "choose a part first" if kind == "part" else "choose a look first"
    return gr.Textbox(value, interactive=number is not None, placeholder=hint if number is None else "no name yet")


def rename_part(session: Session, name: str) -> Session:
    return rename(session, "part", name)


def rename_appearance(session: Session, name: str) -> Session:
    return rename(session, "appearance", name)


def rename(session: Session, kind: str, name: str) -> Session:
    """The factors in use with another name, as the visitor's own; edits made with them come along."""
    number, factors, before = named(session, kind), view.factors_of(session), session.factors_id
    if number is None:
        raise ValueError("Choose a part of the picture, or a look, to give it a name.")
    renamed = factors.rename(kind, number, str(name or ""))
    if renamed.info == factors.info:
        return session
    factors_id = view.renderer.catalogue.add_own(session.recipe.generator, renamed)
    edits = tuple(replace(e, factors=factors_id) if e.factors == before else e for e in session.recipe.edits)
    kept = tuple(known for known in session.factors if known[2] != before or not before.startswith("local:"))
    changed = replace(session, factors=kept).change(replace(session.recipe, edits=edits))
    return changed.know_factors(session.recipe.generator, session.layer, factors_id)


# ---- opening files ----


def open_files(session: Session, paths: list[str] | None, layer: int, report) -> dict:
    """Our file, an .npy pair, or recipe and factors; returns {"factors": [each for `use`], "recipe": text or None}."""
    given = paths if isinstance(paths, list) and all(isinstance(path, str) for path in paths) else []
    files, recipe = [Path(path) for path in given], session.recipe
    endings = sorted(file.suffix.lower() for file in files)
    if endings == [".safetensors"]:
        return {"factors": [add_own(recipe, Factors.load(files[0]))], "recipe": None}
    if endings == [".npy", ".npy"]:
        return {"factors": [add_own(recipe, read_npy(recipe, files, layer, report))], "recipe": None}
    if endings == [".zip"]:
        with tempfile.TemporaryDirectory() as folder:
            text, found = bundle.read_together(files[0], Path(folder))
        given = parse_recipe(text)
        return {"factors": [add_own(given, factors) for factors in found], "recipe": text}
    raise ValueError(
        f"{len(files)} files were given ({', '.join(endings)[:60]}); open one .safetensors, one .zip or two .npy files."
    )


def add_own(recipe: Recipe, factors: Factors) -> tuple[str, int, str]:
    """A stranger's factors, held to the same limits as a fit."""
    generator = view.renderer.generator(replace(recipe, weights=None))
    layers, R_S = view.fit_layers(generator), factors.parts.shape[1]
    if factors.info.layer not in layers or R_S > view.MOST_PARTS:
        raise ValueError(
            f"The factors have {R_S} parts at layer {factors.info.layer}; this page takes at most {view.MOST_PARTS}, "
            f"at {', '.join(map(str, layers))}."
        )
    A = factors.appearances
    if not factors.info.is_raw and float((A.t() @ A - A.new_ones(len(A.t())).diag()).abs().max()) > 0.01:
        raise ValueError("The looks in the file are not orthonormal; it was not saved by this page.")
    return recipe.generator, factors.info.layer, view.renderer.catalogue.add_own(recipe.generator, factors)


def read_npy(recipe: Recipe, files: list[Path], layer: int, report) -> Factors:
    """The authors' pair, named as theirs (Us-… holds the parts, Uc-… the appearances, -layer_5- the layer)."""
    parts = [file for file in files if re.match(r"us\b|us[-_]", file.name, re.IGNORECASE)]
    appearances = [file for file in files if re.match(r"uc\b|uc[-_]", file.name, re.IGNORECASE)]
    if len(parts) != 1 or len(appearances) != 1:
        raise ValueError("The names of the two .npy files must begin with Us (the parts) and Uc (the looks).")
    said = re.search(r"layer[-_]?(\d{1,2})\b", parts[0].name.replace("_", "-"), re.IGNORECASE)
    layer, (generator, weights) = int(said[1] if said else layer), view.renderer.catalogue.generator(recipe.generator)
    if layer not in view.fit_layers(generator):
        raise ValueError(f"The files are for layer {layer}; this generator has {view.fit_layers(generator)}.")
    draw, (_, H, W) = feature_source(generator, layer, recipe.psi), generator.layers[layer]

    def telling(first: int, count: int):
        tell(report, "sampling", min(first + count, SAMPLES), SAMPLES)
        return draw(first, count)

    info = info_of_pair(recipe.generator, weights, layer, (H, W), recipe.psi)
    return read_pair(*parts, *appearances, telling, batch_for(generator.layers[layer]), generator.frame(layer), info)


def use_files(session: Session, found: dict) -> Session:
    if found["recipe"] is not None:
        own = tuple(item[2] for item in found["factors"])
        session = view.opened(parse_recipe(found["recipe"]), own).after(session)
    for item in found["factors"]:
        session = use(session, item)
    return session.take_up(len(session.recipe.edits) - 1) if found["recipe"] and session.recipe.edits else session


# ---- for programs ----


@plainly
def fit(
    recipe: str, layer: float, parts: float = 8, appearances: float = 0, samples: float = 0, seed: float = 0
) -> tuple[str, dict]:
    """Learn parts and appearances of one layer of a recipe's generator, at the recipe's ψ and class.

    recipe: JSON text. parts: 1 to 64. appearances, samples: 0 is as many as there are, and as many as needed (at most
    4,096). Returns the factors id for the edits of a recipe, and what was measured: samples, energy (the share
    explained), bound (what no P of this rank exceeds), stability (|cos| of every part with that of other samples).
    """
    made = read_recipe(recipe)
    try:
        factors = fitted(made, layer, parts, appearances, samples, seed, view.until(LONGEST_FIT))
    except Cancelled as error:
        raise ValueError(
            f"The fit took more than {LONGEST_FIT:.0f} seconds; ask for fewer parts or samples."
        ) from error
    info = factors.info
    measured = {"layer": info.layer, "samples": info.samples, "loss": info.loss, "energy": info.energy}
    return fit_id(factors), measured | {"bound": info.bound, "stability": list(info.stability)}
