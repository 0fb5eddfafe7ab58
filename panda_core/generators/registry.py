"""The families of generators that there are, and the table of generators that the page offers."""

import threading
from dataclasses import dataclass
from pathlib import Path

from .biggan import BigGAN
from .pggan import PGGAN
from .split import SplitGenerator, weights_hash
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
class GeneratorSpec:
    """One generator: what to load, and how the page opens on it.

    licence: of the weights. default_layer, default_psi: where the page opens.
    """

    title: str
    family: str
    weights: BundledFile
    licence: str
    default_layer: int
    default_psi: float = 0.8

    def factors_folder(self, weights: str) -> Path:
        """Where the factors that ship with these weights lie."""
        return self.weights.path().parent / "factors" / weights


GENERATORS: dict[str, GeneratorSpec] = {
    "portraits": GeneratorSpec(
        title="Portraits, drawn",
        family="stylegan2",
        weights=BundledFile("portraits", "generator.safetensors"),
        licence="MIT",
        default_layer=5,
    ),
}

_loaded: dict[str, tuple[SplitGenerator, str]] = {}
_lock = threading.Lock()  # two requests for one generator load it once


def find_spec(name: str) -> GeneratorSpec:
    if name not in GENERATORS:
        raise ValueError(f"generator is {name!r}; there are {', '.join(GENERATORS)}.")
    return GENERATORS[name]


def load(name: str) -> tuple[SplitGenerator, str]:
    """The generator of this name and the hash of its weights; loaded once per process.

    Raises: ValueError for a name that is not in the table, or a file that does not hold the generator.
    """
    from panda_core.checkpoints import load_generator  # the table can be read without the reader of its files

    spec = find_spec(name)
    with _lock:
        if name not in _loaded:
            generator = load_generator(spec.weights.path()).eval().requires_grad_(False)
            _loaded[name] = (generator, weights_hash(generator))
        return _loaded[name]
