"""MobileStyleGAN as it is passed on: two OpenVINO programs, each an .xml of layers and a .bin of numbers, in a wheel.

Only the constants of the programs are read; that they are those of a MobileStyleGAN is told by their names and shapes.
"""

import math
import re
import zipfile
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch
from torch import Tensor

from ..generators.mobile_stylegan import MobileStyleGAN
from .layouts import Converted

MAX_XML, MAX_BIN = 4 * 2**20, 256 * 2**20
MEAN_OF = 16_384  # latents that the mean w is taken over; the file holds none


def find_programs(names: list[str]) -> list[str]:
    """The mapping's and the synthesis network's .xml among an archive's names; none if they are not there."""
    found = {name.rpartition("/")[2]: name for name in names}
    wanted = ("MappingNetwork.xml", "SynthesisNetwork.xml")
    return [found[name] for name in wanted] if all(name in found for name in wanted) else []


def read_openvino(archive: zipfile.ZipFile) -> Converted:
    """Family, config and tensors of the two programs that `find_programs` finds.

    Raises: ValueError if they are not a MobileStyleGAN's, or larger than such can be.
    """
    mapping, synthesis = (list(constants(archive, name)) for name in find_programs(archive.namelist()))
    tensors = read_mapping(mapping) | read_synthesis(dict(synthesis), list(pointwise(synthesis)))
    config = {
        "channels": [tensors["const"].shape[0]] + [
            tensors[f"convs.{i}.weight"].shape[0] for i in range(2, 64, 2) if f"convs.{i}.weight" in tensors
        ],
        "z_dim": tensors["mapping.layers.0.weight"].shape[1],
        "w_dim": tensors["image_affine.weight"].shape[1],
        "mapping_layers": sum(re.fullmatch(r"mapping.layers.\d+.weight", name) is not None for name in tensors),
    }  # fmt: skip
    return "mobile_stylegan", config, tensors | {"w_avg": mean_style(config, tensors)}


def constants(archive: zipfile.ZipFile, name: str) -> Iterator[tuple[str, Tensor]]:
    """(name, float32 tensor) of every constant of a program, in the order of its layers."""
    program = read_member(archive, name, MAX_XML)
    numbers = read_member(archive, name.removesuffix("xml") + "bin", MAX_BIN)
    if b"<!ENTITY" in program:
        raise ValueError("its program defines entities, which no OpenVINO program does")
    try:
        layers = ElementTree.fromstring(program).iter("layer")
    except ElementTree.ParseError as error:
        raise ValueError(f"its program is not XML ({error})") from error
    for layer in layers:
        data = layer.find("data")
        if layer.get("type") == "Const" and data is not None and data.get("element_type") == "f32":
            shape = [int(n) for n in (data.get("shape") or "").split(",") if n.strip()]
            offset, count = int(data.get("offset", -1)), math.prod(shape)
            if offset < 0 or min(shape, default=1) < 1 or offset + 4 * count > len(numbers):
                raise ValueError(f"its constant {layer.get('name', '')[:60]!r} is not within its numbers")
            values = np.frombuffer(numbers, "<f4", count, offset)
            yield layer.get("name", ""), torch.from_numpy(values.astype(np.float32)).reshape(shape)


def read_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    with archive.open(name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"{name.rpartition('/')[2][:60]} in it is larger than any MobileStyleGAN's")
    return data


def unscaled(weight: Tensor, lr_multiplier: float = 1.0) -> Tensor:
    """What `Dense` stores of a weight that is used as it is, [out, in]."""
    return weight * math.sqrt(weight.shape[1]) / lr_multiplier


def read_mapping(program: list[tuple[str, Tensor]]) -> dict[str, Tensor]:
    weights = [tensor for _, tensor in program if tensor.ndim == 2 and tensor.numel() > 1]
    biases = [tensor for _, tensor in program if tensor.ndim == 1 and tensor.numel() > 1]
    return {f"mapping.layers.{i}.weight": unscaled(tensor, 0.01) for i, tensor in enumerate(weights)} | {
        f"mapping.layers.{i}.bias": tensor / 0.01 for i, tensor in enumerate(biases)
    }


def pointwise(program: list[tuple[str, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """(weight, noise) of every convolution, which have no names of their own: the two stand one after the other."""
    weight = None
    for _, tensor in program:
        if tensor.ndim == 4 and min(tensor.shape[:2]) > 1 and tensor.shape[2] in (1, 3):
            weight = tensor
        elif weight is not None and tensor.shape[:2] == (1, 1) and tensor.numel() > 1:
            yield weight, tensor[0, 0]
            weight = None


def read_synthesis(named: dict[str, Tensor], convs: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    names = ["m.conv1"] + [f"m.layers.{(i - 1) // 2}.conv{1 + (i - 1) % 2}" for i in range(1, len(convs))]
    last = f"m.layers.{(len(convs) - 1) // 2 - 1}.to_img"
    found = {"const": named["m.input.input"][0], "to_image": named[f"{last}.conv.weight"],
             "image_bias": named[f"{last}.bias"].flatten()}  # fmt: skip

    def affine(ours: str, theirs: str, scale: float) -> None:
        found[f"{ours}.weight"] = unscaled(named[f"{theirs}.modulation.weight"]) * scale
        found[f"{ours}.bias"] = named[f"{theirs}.modulation.bias"].flatten() * scale

    affine("image_affine", f"{last}.conv", found["to_image"].shape[1] ** -0.5)
    for i, ((weight, noise), name) in enumerate(zip(convs, names)):
        found |= {f"convs.{i}.weight": weight, f"convs.{i}.noise": noise}
        found[f"convs.{i}.bias"] = named[f"{name}.bias"].flatten()
        if i:
            found[f"convs.{i}.depthwise"] = named[f"{name}.conv.weight_dw"].flatten(1, 2)
        affine(f"convs.{i}.affine", f"{name}.conv", weight.shape[1] ** -0.5 / 3)  # the gain of 3 x 3 kernels, for all
        if i % 2:
            affine(f"ups.{i // 2}", f"{name.rpartition('.')[0]}.up", 1.0)
    return found


@torch.inference_mode()
def mean_style(config: dict[str, Any], tensors: dict[str, Tensor]) -> Tensor:
    """w_avg [w_dim]: the mean w of latents drawn with seed 0."""
    with torch.device("meta"):
        mapping = MobileStyleGAN((4,), config["z_dim"], config["w_dim"], config["mapping_layers"]).mapping
    prefix = "mapping."
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    mapping.load_state_dict(own, assign=True)
    z = np.random.RandomState(0).randn(MEAN_OF, config["z_dim"]).astype(np.float32)
    return mapping(torch.from_numpy(z)).mean(dim=0)
