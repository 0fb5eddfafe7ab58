"""Click a part of a GAN's picture and change it: the public names. Importing does nothing else."""

from .catalogue import Catalogue
from .checkpoints.load import load_generator, save_generator
from .factors import Factors
from .fitting import fit_layer
from .images import to_pil
from .links import decode_link, encode_link
from .method.inversion import Space, invert
from .ops import OPS, Edit
from .origin import Origin
from .own_picture import OwnPicture
from .popular import popular
from .recipes import Recipe, parse_recipe
from .regions import Mask, Region
from .rendering import Renderer, apply_recipe
from .uploads import Crop, prepare_picture

__all__ = [
    "OPS",
    "Catalogue",
    "Crop",
    "Edit",
    "Factors",
    "Mask",
    "Origin",
    "OwnPicture",
    "Recipe",
    "Region",
    "Renderer",
    "Space",
    "apply_recipe",
    "decode_link",
    "encode_link",
    "fit_layer",
    "invert",
    "load_generator",
    "parse_recipe",
    "popular",
    "prepare_picture",
    "save_generator",
    "to_pil",
]
