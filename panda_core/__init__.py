"""Click a part of a GAN's picture and change it: the public names. Importing does nothing else."""

from .catalogue import Catalogue
from .checkpoints.load import load_generator, save_generator
from .factors import Factors
from .fitting import fit_layer
from .images import to_pil
from .links import decode_link, encode_link
from .ops import OPS, Edit
from .origin import Origin
from .popular import popular
from .recipes import Recipe, parse_recipe
from .regions import Mask, Region
from .rendering import Renderer, apply_recipe

__all__ = [
    "OPS",
    "Catalogue",
    "Edit",
    "Factors",
    "Mask",
    "Origin",
    "Recipe",
    "Region",
    "Renderer",
    "apply_recipe",
    "decode_link",
    "encode_link",
    "fit_layer",
    "load_generator",
    "parse_recipe",
    "popular",
    "save_generator",
    "to_pil",
]
