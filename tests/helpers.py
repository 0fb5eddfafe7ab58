"""What several test files need: a tiny generator behind a catalogue, and factors for it."""

import torch

from panda_core.catalogue import Catalogue, Loaded
from panda_core.fitting import fit_layer
from panda_core.generators.split import weights_hash
from panda_core.generators.stylegan2 import StyleGAN2
from panda_core.ops import Edit
from panda_core.recipes import Recipe
from panda_core.regions import Region

GENERATOR = StyleGAN2.tiny(0)
LOADED = Loaded(GENERATOR, weights_hash(GENERATOR))


def load_tiny(name: str) -> Loaded:
    if name != "tiny":
        raise ValueError(f"generator is {name!r}; there is tiny.")
    return LOADED


def fit_tiny(layer: int, R_C: int | None = None, R_S: int = 4):
    return fit_layer("tiny", LOADED, layer, R_C, R_S, samples=32, psi=1.0)


def tiny_catalogue() -> Catalogue:
    """Factors "bundled:three" at layer 3 (12 x 8 x 8) and "bundled:five" at layer 5 (10 x 16 x 16)."""
    catalogue = Catalogue(load=load_tiny)
    catalogue.add("tiny", "bundled:three", fit_tiny(3))
    catalogue.add("tiny", "bundled:five", fit_tiny(5, R_C=6))
    return catalogue


def add_edit(layer: int = 3, strength: float = 2.0, appearance: int = 1, region: Region | None = None, **more) -> Edit:
    name = {3: "bundled:three", 5: "bundled:five"}[layer]
    region = Region(parts=(1,)) if region is None else region
    return Edit("add", layer, name, region, appearance=appearance, strength=strength, **more)


def tiny_recipe(*edits: Edit, seed: int = 7) -> Recipe:
    return Recipe("tiny", LOADED.weights, None, seed, 0.9, edits)


def random_features(N: int, C: int, H: int, W: int, seed: int, dtype=torch.float64) -> torch.Tensor:
    """Features with some structure (a few fibres, a few regions) and noise, of either sign and any scale."""
    g = torch.Generator().manual_seed(seed)
    spots = torch.rand(4, H * W, generator=g, dtype=dtype).pow(4)
    fibres = torch.randn(C, 4, generator=g, dtype=dtype)
    amounts = torch.randn(N, 1, 4, generator=g, dtype=dtype) + 1
    Z = (fibres * amounts) @ spots + 0.3 * torch.randn(N, C, H * W, generator=g, dtype=dtype)
    return (Z * 10 ** float(torch.randint(-3, 4, (), generator=g))).reshape(N, C, H, W)
