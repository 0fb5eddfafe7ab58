"""The families of generators that there are, and the table of generators that are offered: data, one row per entry.

Sources, sizes and licences were read from public pages and repositories. That a file is listed does not prove that it
can be had today: `tried` says whether anybody here has downloaded it. None of the repositories states a commit to pin;
what a hash is known of is held to it, and the Hub's own hash of every large file is checked in any case.
"""

from dataclasses import dataclass
from pathlib import Path

from .biggan import BigGAN
from .pggan import PGGAN
from .split import SplitGenerator
from .stylegan1 import StyleGAN1
from .stylegan2 import StyleGAN2
from .stylegan3 import StyleGAN3

FAMILIES: dict[str, type[SplitGenerator]] = {
    "pggan": PGGAN,
    "stylegan1": StyleGAN1,
    "stylegan2": StyleGAN2,
    "stylegan3": StyleGAN3,
    "biggan": BigGAN,
}

ASSETS = Path(__file__).parents[2] / "assets"


@dataclass(frozen=True)
class BundledFile:
    """A file that ships with the project: assets/<folder>/<name>."""

    folder: str
    name: str

    def path(self) -> Path:
        return ASSETS / self.folder / self.name


@dataclass(frozen=True)
class LocalFile:
    """A file of the user's own."""

    where: Path

    def path(self) -> Path:
        return self.where


@dataclass(frozen=True)
class HubFile:
    """A file of a repository on the Hub. mb: its size in the list; size (bytes), sha256: held to where known.

    beside: files of the same folder that belong to it.
    """

    repo: str
    filename: str
    mb: int | None = None
    revision: str = "main"
    repo_type: str = "model"
    size: int | None = None
    sha256: str | None = None
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class UrlFile:
    """A file at an address of its own; the other fields as in HubFile."""

    url: str
    mb: int | None = None
    size: int | None = None
    sha256: str | None = None
    beside: tuple[str, ...] = ()

    @property
    def filename(self) -> str:
        return self.url.rpartition("/")[2]


Source = BundledFile | LocalFile | HubFile | UrlFile


@dataclass(frozen=True)
class PublishedPair:
    """Factors as the papers' authors published them: P in one .npy file, A in another; strengths are raw α."""

    layer: int
    parts: HubFile
    appearances: HubFile

    @property
    def id(self) -> str:
        return f"hub:{self.parts.repo}@{self.parts.revision}/{self.parts.filename}"


@dataclass(frozen=True)
class NamedEdit:
    """A direction that somebody gave a name: (layer, part, appearance, raw α), for the row's published pair there."""

    name: str
    layer: int
    part: int
    appearance: int
    alpha: float


@dataclass(frozen=True)
class GeneratorSpec:
    """One generator: what to load, and how the page opens on it.

    resolution: pixels, square. sources: where its file is to be had, tried in order. licence: of the weights; up to a
    semicolon its short name. default_layer: None is the first one of 16 x 16 cells or more. tried: whether anybody here
    has had the file. pairs, edits: the authors' own factors and named edits. factors_repos: "owner/name@revision" on
    the Hub that hold factors under the path of `Factors.path`.
    """

    name: str
    title: str
    family: str
    resolution: int | None
    sources: tuple[Source, ...]
    licence: str
    default_layer: int | None = 5
    default_psi: float = 0.8
    tried: bool = False
    pairs: tuple[PublishedPair, ...] = ()
    edits: tuple[NamedEdit, ...] = ()
    factors_repos: tuple[str, ...] = ()

    @property
    def mb(self) -> int | None:
        """Megabytes to download, as far as known."""
        return next((source.mb for source in self.sources if isinstance(source, HubFile | UrlFile)), None)

    def folder(self) -> Path:
        """Where what ships with this generator lies."""
        return ASSETS / self.name.replace("/", "--")

    def factors_folder(self, weights: str) -> Path:
        """Where the factors that ship with these weights lie."""
        return self.folder() / "factors" / weights


NVIDIA = "NVIDIA-NC; NVIDIA Source Code License: research and evaluation, passed on only with its full text"
CC_BY = "CC-BY-4.0; Self-Distilled StyleGAN"
CC_NC = "CC-BY-NC-4.0; NVIDIA's, although the repository says Apache-2.0"
DEEPMIND = "unstated; DeepMind's weights, on TF-Hub under Apache-2.0 (unverified)"
UNSTATED = "unstated; the repository's card says Apache-2.0 of weights that it converted"

_LAI, _ADA = "ZeqiangLai/StyleGAN2", "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained"
_NGC, _S3 = "https://api.ngc.nvidia.com/v2/models/nvidia/research", "https://s3.amazonaws.com/models.huggingface.co"
_DRAG, _DISTILLED = "DragGan/DragGan-Models", "https://storage.googleapis.com/self-distilled-stylegan"
_PANDA = "james-oldfield/PandA"
_FFHQ_PKL = {"mb": 382, "size": 381_624_121,
             "sha256": "a205a346e86a9ddaae702e118097d014b7b8bd719491396a162cca438f2f524c"}  # fmt: skip


def _authors(name: str, layer: int, R_S: int) -> PublishedPair:
    def file(which: str, rank: int) -> HubFile:
        return HubFile(_PANDA, f"checkpoints/{which}-name_{name}-layer_{layer}-rank_{rank}.npy", repo_type="space")

    return PublishedPair(layer, file("Us", R_S), file("Uc", 512))


def _distilled(what: str, resolution: int, title: str) -> GeneratorSpec:
    file = f"{what}_{resolution}"
    sources = HubFile(_LAI, f"self_distill/{file}.pt"), UrlFile(f"{_DISTILLED}/{file}_pytorch.pkl")
    return GeneratorSpec(f"distilled-{what}", title, "stylegan2", resolution, sources, CC_BY)


def _biggan(resolution: int, mb: int, *first: HubFile) -> GeneratorSpec:
    url = f"{_S3}/biggan/biggan-deep-{resolution}-pytorch_model.bin"
    sources = (*first, UrlFile(url, mb, beside=(f"biggan-deep-{resolution}-config.json",)))
    return GeneratorSpec(
        f"biggan-{resolution}", f"ImageNet {resolution} (BigGAN-deep)", "biggan", resolution, sources, DEEPMIND
    )


def _stylegan3(what: str, resolution: int, title: str, **known) -> GeneratorSpec:
    source = UrlFile(f"{_NGC}/stylegan3/versions/1/files/stylegan3-t-{what}-{resolution}x{resolution}.pkl", **known)
    return GeneratorSpec(f"stylegan3-{what}", title, "stylegan3", resolution, (source,), NVIDIA, default_layer=3)


_ROWS = [
    GeneratorSpec("portraits", "Portraits, drawn", "stylegan2", 64,
        (BundledFile("portraits", "generator.safetensors"),), "MIT", tried=True),
    GeneratorSpec("panda-ffhq", "Faces, the authors' own file (FFHQ)", "stylegan2", 1024,
        (HubFile(_PANDA, "models/stylegan2_ffhq1024.pth", 381, repo_type="space"),), NVIDIA,
        pairs=(_authors("stylegan2_ffhq1024", 5, 8), _authors("stylegan2_ffhq1024", 6, 16),
               _authors("stylegan2_ffhq1024", 7, 16)),
        edits=(
            NamedEdit("big eyes", 5, 7, 6, 30), NamedEdit("long nose", 5, 5, 82, 30),
            NamedEdit("smile", 5, 4, 46, -30), NamedEdit("open mouth", 5, 4, 39, 30),
            NamedEdit("big eyeballs", 6, 8, 27, 100), NamedEdit("wide nose", 6, 15, 13, 100),
            NamedEdit("glance left", 6, 8, 281, 50), NamedEdit("glance right", 6, 8, 281, -70),
            NamedEdit("bald forehead", 6, 3, 25, 100), NamedEdit("light eyebrows", 7, 8, 4, 30),
            NamedEdit("dark eyebrows", 7, 8, 9, 30), NamedEdit("no eyebrows", 7, 8, 4, 50),
            NamedEdit("dark eyes", 7, 11, 176, 50), NamedEdit("red eyes", 7, 11, 109, 60),
            NamedEdit("short eyes", 7, 11, 262, 70), NamedEdit("eyes open", 7, 11, 28, 50),
            NamedEdit("eyes closed", 7, 11, 398, 80), NamedEdit("no eyes", 7, 11, 0, -200),
        )),
    GeneratorSpec("stylegan2-ffhq", "Faces (FFHQ)", "stylegan2", 1024,
        (HubFile(_LAI, "stylegan2-ffhq-config-f.pt", 133), HubFile(_DRAG, "stylegan2-ffhq1024x1024.pkl", **_FFHQ_PKL),
         UrlFile(f"{_ADA}/ffhq.pkl", **_FFHQ_PKL)), NVIDIA),
    GeneratorSpec("stylegan2-afhq-cat", "Cats, close up (AFHQ)", "stylegan2", 512,
        (HubFile(_LAI, "ada/afhqcat.pt", 124), UrlFile(f"{_ADA}/afhqcat.pkl")), NVIDIA),
    # the pair was fitted on genforce's copy of these weights; that ours are the same nobody here has seen
    GeneratorSpec("stylegan2-afhq-dog", "Dogs, close up (AFHQ)", "stylegan2", 512,
        (HubFile(_LAI, "ada/afhqdog.pt", 124), UrlFile(f"{_ADA}/afhqdog.pkl")), NVIDIA,
        pairs=(_authors("stylegan2_afhqdog512", 8, 8),)),
    GeneratorSpec("stylegan2-afhq-wild", "Wild animals, close up (AFHQ)", "stylegan2", 512,
        (HubFile(_LAI, "ada/afhqwild.pt", 124), UrlFile(f"{_ADA}/afhqwild.pkl")), NVIDIA),
    GeneratorSpec("stylegan2-metfaces", "Painted faces (MetFaces)", "stylegan2", 1024,
        (HubFile(_LAI, "ada/metfaces.pt", 133), UrlFile(f"{_ADA}/metfaces.pkl")), NVIDIA),
    GeneratorSpec("stylegan2-church", "Churches (LSUN)", "stylegan2", 256,
        (HubFile(_LAI, "stylegan2-church-config-f.pt", 121),), NVIDIA),
    GeneratorSpec("stylegan2-car", "Cars (LSUN)", "stylegan2", 512,
        (HubFile(_LAI, "stylegan2-car-config-f.pt", 124), HubFile(_DRAG, "stylegan2-car-config-f.pkl")), NVIDIA),
    GeneratorSpec("stylegan2-cat", "Cats (LSUN)", "stylegan2", 256,
        (HubFile(_LAI, "stylegan2-cat-config-f.pt", 121), HubFile(_DRAG, "stylegan2-cat-config-f.pkl")), NVIDIA),
    GeneratorSpec("stylegan2-horse", "Horses (LSUN)", "stylegan2", 256,
        (HubFile(_LAI, "stylegan2-horse-config-f.pt", 121),), NVIDIA),
    _distilled("bicycles", 256, "Bicycles"),
    _distilled("horses", 256, "Horses"),
    _distilled("elephants", 512, "Elephants"),
    _distilled("giraffes", 512, "Giraffes"),
    _distilled("lions", 512, "Lions"),
    _distilled("parrots", 512, "Parrots"),
    _distilled("dogs", 1024, "Dogs"),
    GeneratorSpec("pggan-celebahq", "Famous faces (CelebA-HQ)", "pggan", 1024,
        (HubFile("huggan/pggan-celebahq-1024", "pytorch_model.bin", 92),), CC_NC),
    GeneratorSpec("stylegan1-cat", "Cats (LSUN, StyleGAN1)", "stylegan1", 256,
        (HubFile("huggan/stylegan_cat256", "pytorch_model.bin", 105),), CC_NC),
    GeneratorSpec("stylegan1-anime", "Anime faces", "stylegan1", 512,
        (HubFile("huggan/stylegan_animeface512", "pytorch_model.bin", 108),), UNSTATED),
    GeneratorSpec("stylegan1-car", "Cars (LSUN, StyleGAN1)", "stylegan1", 512,
        (HubFile("huggan/stylegan_car512", "pytorch_model.bin"),), CC_NC),
    _biggan(128, 201, HubFile("osanseviero/BigGAN-deep-128", "pytorch_model.bin", 211, beside=("config.json",))),
    _biggan(256, 224),
    _biggan(512, 225),
    _stylegan3("ffhq", 1024, "Faces (FFHQ, StyleGAN3)", mb=295, size=294_775_112,
               sha256="efd9fa1f967a11b5390399a8ed512dc32e341c245fa2d4dafa6d94e96222085b"),
    _stylegan3("afhqv2", 512, "Animals, close up (AFHQv2, StyleGAN3)"),
    _stylegan3("metfaces", 1024, "Painted faces (MetFaces, StyleGAN3)"),
]  # fmt: skip
GENERATORS: dict[str, GeneratorSpec] = {spec.name: spec for spec in _ROWS}


def find_spec(name: str) -> GeneratorSpec:
    """The row of this name; for generators of the user's own see `loading.find_spec`."""
    if name not in GENERATORS:
        first, *others = GENERATORS
        raise ValueError(
            f"generator is {name[:100]!r}; there are {first} and {len(others)} more, which python -m panda_core list "
            "shows."
        )
    return GENERATORS[name]
