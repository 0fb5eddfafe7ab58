"""What `publish` puts on the Hub: factors, or a converted generator, with pictures and a card that shows them."""

import shutil
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open

from .catalogue import Catalogue
from .checkpoints.load import load_generator, read_metadata
from .factors import Factors
from .hub.cards import write_card
from .hub.upload import check_name
from .images import grid, overlay_parts, png_bytes, to_pil
from .progress import Report
from .recipes import Recipe
from .rendering import Renderer

# licences that let weights be passed on with no more than their name and source
FREE = ("mit", "apache-2.0", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0")
SIDE = 256  # pixels of a picture on a card, at most


def prepare(file: Path, repo: str, folder: Path, catalogue: Catalogue, report: Report | None = None) -> None:
    """Write into an empty folder what to commit to `repo` for a file that `fit` or `convert` wrote.

    Raises: ValueError if the file is neither, or its licence does not let it be passed on; HubError.
    """
    check_name(repo)
    try:
        with safe_open(file, "pt") as opened:
            is_factors = "info" in (opened.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file.name} cannot be published: it must be a file that fit or convert wrote.") from error
    card = _add_factors(file, repo, folder, catalogue, report) if is_factors else _add_generator(file, repo, folder)
    (folder / "README.md").write_text(card, "utf-8")


def _add_factors(file: Path, repo: str, folder: Path, catalogue: Catalogue, report: Report | None) -> str:
    factors = Factors.load(file)
    info, path = factors.info, factors.path(folder)
    loaded = catalogue.generator(info.generator, report)
    catalogue.add(info.generator, "local:published", factors)
    path.parent.mkdir(parents=True)
    shutil.copy(file, path)
    picture = path.with_suffix(".png")
    picture.write_bytes(draw_parts(catalogue, factors))
    return write_card(
        repo, "factors.md", "other", info=info, stem=factors.stem(), appearances=len(factors.sigma),
        path=path.relative_to(folder).as_posix(), picture=picture.relative_to(folder).as_posix(),
        parts=list(map(factors.part_name, range(factors.parts.shape[1]))),
        shape=loaded.generator.layers[info.layer], terms=catalogue.spec(info.generator).licence,
    )  # fmt: skip


def _add_generator(file: Path, repo: str, folder: Path) -> str:
    metadata = {"licence": "unknown", **read_metadata(file)}
    licence = metadata["licence"].partition(";")[0].strip().lower()
    if licence not in FREE:
        raise ValueError(
            f"{file.name} has the licence {metadata['licence'][:60]!r}; only {', '.join(FREE)} are passed on, which "
            "convert --licence notes in the file."
        )
    generator = load_generator(file)
    with torch.inference_mode():
        images = generator(generator.sample(range(16), 0.8, 0 if generator.n_classes else None))
    shutil.copy(file, folder)
    (folder / "samples.png").write_bytes(png_bytes(grid(images, 4)))
    return write_card(repo, "generator.md", licence, name=file.name, metadata=metadata)


def draw_parts(catalogue: Catalogue, factors: Factors) -> bytes:
    """Pictures of the first seeds, and under each its parts in their colours: a PNG."""
    info, renderer = factors.info, Renderer(catalogue, cached=0)
    generator = catalogue.generator(info.generator).generator
    side = min(SIDE, generator.resolution)
    sheet = Image.new("RGB", (4 * side, 2 * side))
    for seed in range(4):
        recipe = Recipe(info.generator, None, (info.class_index or 0) if generator.n_classes else None, seed, info.psi)
        base, maps = renderer.base(recipe), renderer.part_maps(recipe, info.layer, "local:published")
        for row, picture in enumerate((to_pil(base)[0], overlay_parts(base, maps))):
            sheet.paste(picture.resize((side, side), Image.Resampling.LANCZOS), (seed * side, row * side))
    return png_bytes(sheet)
