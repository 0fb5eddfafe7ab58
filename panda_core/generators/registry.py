"""The families of generators that there are."""

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
