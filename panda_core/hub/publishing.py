"""What `publish` puts on the Hub: factors, or a converted generator, with a card that shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open

from .. import hub
from ..catalogue import Catalogue
from ..checkpoints.load import load_generator, read_metadata
from ..factors import Factors
from ..images import grid, overlay_parts, png_bytes, to_pil
from ..progress import Cancelled, Progress
from ..recipes import Recipe
from ..rendering import Renderer

# licences that let weights be passed on with no more than their name and source
FREE = ("mit", "apache-2.0", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0")
CARDS = Path(__file__).parent / "card_templates"
SIDE = 256  # pixels of a picture on a card, at most


@dataclass(frozen=True)
class Draft:
    """What goes to `repo`, as far as it can be made without asking the Hub. files: path there -> content."""

    repo: str
    files: dict[str, Path | bytes]
    licence: str
    text: str
    section: str

    def complete(self, token: str | None = None) -> dict[str, Path | bytes]:
        """All files to commit: also the card as it is there now, with this section. Raises: HubError."""
        card = hub.read_text(self.repo, "README.md", token)
        return {**self.files, "README.md": add_section(card, self.licence, self.text, self.section)}

    def publish(self, token: str, report: hub.Report) -> str:
        """Commit it for whoever's token this is, the repository made if there is none; the path of its first file.

        Raises: HubError; Cancelled, if the report returns False before the commit is sent: after that it is there.
        """
        files, path = self.complete(token), next(iter(self.files))
        if report(Progress("publishing", 0, 0)) is False:
            raise Cancelled("Nothing was published.")
        hub.upload(self.repo, files, f"Add {path.rpartition('/')[2]}", token=token, private=False)
        return path


def prepare(file: Path, repo: str, catalogue: Catalogue, report: hub.Report | None = None) -> dict[str, Path | bytes]:
    """What to commit to `repo` for a file that `fit` or `convert` wrote: path there -> content.

    Raises: ValueError if the file is neither, or its licence does not let it be passed on; HubError.
    """
    try:
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file.name} cannot be published: it must be a file that fit or convert wrote.") from error
    if "info" in metadata:
        return draft_factors(Factors.load(file), file, repo, catalogue, report).complete()
    return draft_generator(file, read_metadata(file), repo).complete()


def draft_factors(
    factors: Factors, content: Path | bytes, repo: str, catalogue: Catalogue, report: hub.Report | None = None
) -> Draft:
    """content: the file of these factors."""
    info, path = factors.info, factors.path(Path()).as_posix()
    spec, loaded = catalogue.spec(info.generator), catalogue.generator(info.generator, report)
    catalogue.add(info.generator, "local:published", factors)
    picture = path.replace(".safetensors", ".png")
    section = (CARDS / "factors.md").read_text("utf-8").format(
        info=info, path=path, picture=picture, repo=repo, licence=spec.licence, stem=factors.stem(),
        shape=" × ".join(map(str, loaded.generator.layers[info.layer])), ranks=factors.sigma.shape,
        names="; ".join(map(factors.part_name, range(factors.parts.shape[1]))),
        classes="all" if info.class_index is None else info.class_index,
        stable=f", least stable part {min(info.stability):.2f}" if info.stability else "",
    )  # fmt: skip
    text = "Parts and appearances (PandA, ICLR 2023) of image generators; each file holds those of one layer."
    return Draft(repo, {path: content, picture: draw_parts(catalogue, factors)}, "other", text, section)


def draft_generator(file: Path, metadata: Mapping[str, str], repo: str) -> Draft:
    known = {"licence": "unknown", "source": "unknown", "source_sha256": "unknown", **metadata}
    licence = known["licence"].partition(";")[0].strip().lower()
    if licence not in FREE:
        raise ValueError(
            f"{file.name} has the licence {known['licence'][:60]!r}; only {', '.join(FREE)} are passed on, which "
            "convert --licence notes in the file."
        )
    generator = load_generator(file)
    with torch.inference_mode():
        images = generator(generator.sample(range(16), 0.8, 0 if generator.n_classes else None))
    section = (CARDS / "generator.md").read_text("utf-8").format(name=file.name, repo=repo, **known)
    text = "An image generator that can be cut at any layer, for editing by parts and appearances (PandA, ICLR 2023)."
    return Draft(repo, {file.name: file, "samples.png": png_bytes(grid(images, 4))}, licence, text, section)


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


def add_section(card: str | None, licence: str, text: str, section: str) -> bytes:
    """The card with this section, new or in place of the one with the same heading."""
    head = f"license: {licence}" + ("\nlicense_name: as-the-generator" if licence == "other" else "")
    card = card or f"---\n{head}\ntags: [panda, gan, image-editing]\n---\n# Parts and appearances\n\n{text}\n"
    start, *others = card.split("\n## ")
    heading = section.partition("\n")[0]
    kept = [other for other in others if other.partition("\n")[0] != heading]
    return "\n## ".join([start.rstrip() + "\n", *kept, section]).encode()
