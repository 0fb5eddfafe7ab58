"""Pictures found in tiny generators, for the tests of what is done with them."""

import functools

import torch

from panda_core.generators.registry import FAMILIES
from panda_core.generators.split import weights_hash
from panda_core.method.inversion import Inversion, Space, invert
from panda_core.own_picture import OwnPicture

TINY = {family: cls.tiny(0) for family, cls in FAMILIES.items()}


def class_of(name):
    return 1 if TINY[name].n_classes else None


@functools.cache
def space_of(name):
    return Space.measure(TINY[name], class_index=class_of(name), seeds=48)


def layer_of(name):
    return TINY[name].editable_layers[0]


@torch.no_grad()
def pictures_of(name, seeds):
    return TINY[name](TINY[name].sample(seeds, 1.0, class_of(name))).clamp(-1, 1)


@functools.cache
def own_picture(name="stylegan2", seed=1000, steps=(3, 2, 4)) -> tuple[OwnPicture, Inversion]:
    pictures = pictures_of(name, [seed])
    found = invert(TINY[name], space_of(name), pictures, layer_of(name), steps)
    return OwnPicture.of(found, 0, pictures, space_of(name), "tiny", weights_hash(TINY[name])), found
