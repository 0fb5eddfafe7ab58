"""The families of generators that there are."""

from .split import SplitGenerator
from .stylegan2 import StyleGAN2

FAMILIES: dict[str, type[SplitGenerator]] = {
    "stylegan2": StyleGAN2,
}
