"""Published state dicts, by their own names and conventions, turned into the config and tensors of our generators.

Which name is which of ours is said in layouts.toml; here stands what names alone do not say.
"""

import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..generators.ops import pixel_norm
from ..generators.stylegan3 import plan_bands

Converted = tuple[str, dict[str, Any], dict[str, Tensor]]  # family, config, tensors
Options = Mapping[str, Any] | None


def read_state(state: Mapping[str, Tensor], options: Options = None) -> Converted:
    """Recognise a published state dict by its names and convert it.

    Args:
        state: names and tensors as published.
        options: what the tensors do not say: a BigGAN's config.json; NVIDIA's resolved constructor arguments;
            rosinality's latent_avg, where the file has one.
    Returns: family, config, tensors; sizes are taken from the tensors' shapes. That no tensor is missing and each has
        the shape that the config wants is for `checkpoints.build` to see.
    Raises: ValueError if the layout is unknown, or an entry is unknown or not as it must be.
    """
    for name, layout in LAYOUTS.items():
        if layout["signature"] in state:
            try:
                return layout["family"], *convert(name, state, options)
            except (IndexError, KeyError, TypeError, RuntimeError, OverflowError, ZeroDivisionError) as error:
                raise ValueError(f"its tensors or options do not fit together ({type(error).__name__})") from error
    raise ValueError("it holds none of the generators known here (ProgressiveGAN, StyleGAN1 to 3, BigGAN-deep)")


def convert(name: str, state: Mapping[str, Tensor], options: Options) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and tensors of a state dict in the layout of this name; every entry is used, once."""
    layout = LAYOUTS[name]
    if options is None and "needs" in layout:
        raise ValueError(layout["needs"])
    tensors: dict[str, Tensor] = {}
    constants = 0
    for theirs, tensor in read_numbers(state).items():
        ours, how = find_row(theirs, layout["names"])
        for word in how:
            tensor = HOW[word](tensor) if word in HOW else check_constant(theirs, tensor, CONSTANTS[word])
        if ours in tensors:
            raise ValueError(f"it has {ours} under two names")
        if ours:
            tensors[ours] = tensor
        constants += not ours
    options = options or {}
    stated = {ours: options[theirs] for ours, theirs in layout.get("options", {}).items() if theirs in options}
    config = CONFIGS[name](tensors, options) | layout.get("settings", {}) | stated
    check_bands(config, options.get("bands"))
    a, b = layout.get("constants", (0, 0))
    if constants != a * len(config.get("channels", ())) + b:
        raise ValueError("it lacks a constant that is in all published networks, or has one too many")
    return config, tensors


def read_numbers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict in float32, every value known to be finite; a weight beside its spectral norm is divided by it."""
    numbers = {}
    for name, tensor in state.items():
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise ValueError(f"{name} holds values that are not finite floating-point numbers")
        numbers[name] = tensor.detach().float()
    for name in [name for name in numbers if name.endswith(".weight_orig")]:
        u, v = (numbers.pop(name.removesuffix("orig") + vector) for vector in "uv")
        norm = torch.dot(u, numbers[name].flatten(1) @ v)  # estimated as the published code does
        numbers[name] = numbers[name] / norm
    return numbers


def find_row(name: str, rows: list[tuple[re.Pattern, str, list[str]]]) -> tuple[str, list[str]]:
    """Our name for a published one (empty: it is a constant) and what is done to its tensor."""
    for theirs, ours, how in rows:
        if match := theirs.fullmatch(name):
            return re.sub(r"(\d*)([#%*])([+-]\d+)?", partial(fill, found=iter(match.groups())), ours), how
    raise ValueError(f"it has the tensor {name!r:.90}, which is not known here")


def fill(token: re.Match, found: Iterator[str]) -> str:
    factor, kind, shift = token.groups()
    if kind == "*":
        return next(found)
    number = int(next(found)) if kind == "#" else int(next(found)).bit_length() - 3  # of 4, 8, 16, ...
    return str(int(factor or 1) * number + int(shift or 0))


def check_constant(name: str, stored: Tensor, value: Tensor) -> Tensor:
    if stored.shape != value.shape or not torch.allclose(stored, value, atol=1e-6):
        raise ValueError(f"{name} is not what it is in all published networks")
    return stored


def square_of(taps: list[float], gain: float = 1.0) -> Tensor:
    """outer(taps, taps), scaled to the sum `gain`."""
    row = torch.tensor(taps) / sum(taps)
    return torch.outer(row, row) * gain


def read_table(path: Path) -> dict[str, dict[str, Any]]:
    """The layouts by name, every row's published name as a pattern."""
    layouts = tomllib.loads(path.read_text("utf-8"))
    for layout in layouts.values():
        layout["names"] = [
            (re.compile(re.sub(r"[.#?%*]", lambda token: TOKENS[token[0]], theirs)), ours, " ".join(how).split())
            for theirs, ours, *how in layout["names"]
        ]
    return layouts


SIZES = "|".join(str(2**k) for k in range(2, 12))
TOKENS = {".": r"\.", "#": r"(\d{1,5})", "?": r"\d{1,5}", "%": f"({SIZES})", "*": "(weight|bias)(?:_orig)?"}
HOW: dict[str, Callable[[Tensor], Tensor]] = {
    "first": lambda tensor: tensor.squeeze(0),  # a first dimension of size 1 goes
    "last": lambda tensor: tensor.squeeze(-1),
    "plus1": lambda tensor: tensor + 1,  # our bias holds what theirs adds later
    "labels": lambda tensor: tensor.t() * math.sqrt(len(tensor)),  # [n_classes, z_dim], without gain
}
CONSTANTS = {
    "zero": torch.zeros(()),
    "fir": square_of([1.0, 3.0, 3.0, 1.0]),
    "fir4": square_of([1.0, 3.0, 3.0, 1.0], gain=4.0),
}
LAYOUTS = read_table(Path(__file__).with_name("layouts.toml"))


# ---- what names alone do not say: from the tensors, which are put right in place, the config


def configure_mapping(tensors: dict[str, Tensor]) -> dict[str, Any]:
    n = count(tensors, "mapping.layers.{}.weight")
    first, last = tensors["mapping.layers.0.weight"], tensors[f"mapping.layers.{n - 1}.weight"]
    width, n_in = first.shape
    config = {"z_dim": n_in, "w_dim": len(last), "mapping_layers": n, "mapping_width": width}
    if "mapping.embed.weight" in tensors:
        embed_dim, n_classes = tensors["mapping.embed.weight"].shape
        config |= {"z_dim": n_in - embed_dim, "n_classes": n_classes, "embed_dim": embed_dim}
    return config


def configure_genforce_mapping(tensors: dict[str, Tensor]) -> dict[str, Any]:
    config = configure_mapping(tensors)
    if "embed_dim" in config:
        tensors["mapping.embed.bias"] = torch.zeros(config["embed_dim"])
    return config


def keep_last_rgb(tensors: dict[str, Tensor]) -> list[int]:
    """The channels at every resolution. Only the last RGB layer is looked through; the others must be sound as well."""
    channels = [len(tensors[f"convs.{2 * k}.bias"]) for k in range(count(tensors, "rgb.{}.weight"))]
    for k, n in enumerate(channels):
        tensors["rgb_weight"], tensors["rgb_bias"] = (tensors.pop(f"rgb.{k}.{name}") for name in ("weight", "bias"))
        if tensors["rgb_weight"].shape != (3, n) or tensors["rgb_bias"].shape != (3,):
            raise ValueError(f"its RGB layer {k} is not one of {n} channels")
    return channels


def configure_pggan(tensors: dict[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
    return {"channels": keep_last_rgb(tensors), "z_dim": tensors["convs.0.weight"].shape[1]}


def configure_stylegan1(tensors: dict[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
    config = {"channels": keep_last_rgb(tensors)} | configure_genforce_mapping(tensors)
    for k, n in list(enumerate(config["channels"]))[1:]:
        blur = square_of([1.0, 2.0, 1.0]).expand(n, 1, 3, 3)
        check_constant(f"the blur of layer {2 * k}", tensors.pop(f"convs.{2 * k}.blur"), blur)
        if 4 * 2**k >= 128:  # there genforce fuses upsampling and convolution, with the kernel flipped
            tensors[f"convs.{2 * k}.weight"] = tensors[f"convs.{2 * k}.weight"].flip(2, 3)
    return config


def configure_stylegan2(tensors: dict[str, Tensor]) -> dict[str, Any]:
    shapes = [tensors[f"to_rgb.{k}.weight"].shape for k in range(count(tensors, "to_rgb.{}.weight"))]
    return {"channels": [n for _, n in shapes]}


def configure_genforce(tensors: dict[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
    config = configure_stylegan2(tensors) | configure_genforce_mapping(tensors)
    for i in range(1, 2 * len(config["channels"]) - 1, 2):
        tensors[f"convs.{i}.weight"] = tensors[f"convs.{i}.weight"].flip(2, 3)  # TensorFlow's orientation
    return config


def configure_nvidia(tensors: dict[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
    if "to_rgb.0.weight" not in tensors:
        raise ValueError("it is a StyleGAN2 of architecture 'orig' or 'resnet'; only 'skip' is read")
    return configure_stylegan2(tensors) | configure_mapping(tensors)


def configure_rosinality(tensors: dict[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
    latent_avg = options.get("latent_avg")
    tensors["w_avg"] = measure_mean(tensors) if latent_avg is None else latent_avg.float().flatten()
    return configure_stylegan2(tensors) | configure_mapping(tensors)


def measure_mean(tensors: Mapping[str, Tensor]) -> Tensor:
    """The mean style of 4096 latents of a fixed seed, [w_dim]: rosinality's training checkpoints hold none.

    In float64, so that the rounded result, and with it the generator's hash, is the same on every machine.
    """
    n_in = tensors["mapping.layers.0.weight"].shape[1]
    x = pixel_norm(torch.from_numpy(np.random.RandomState(0).randn(4096, n_in)))
    for i in range(count(tensors, "mapping.layers.{}.weight")):
        weight, bias = (tensors[f"mapping.layers.{i}.{name}"].double() for name in ("weight", "bias"))
        x = F.leaky_relu(x @ weight.t() * (0.01 / math.sqrt(x.shape[1])) + 0.01 * bias, 0.2) * math.sqrt(2.0)
    return x.mean(dim=0).float()


def configure_stylegan3(tensors: dict[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
    if options.get("lrelu_upsampling", 2) != 2:
        raise ValueError("it is a StyleGAN3 with another lrelu_upsampling than 2, which no published one has")
    config = configure_mapping(tensors)
    del config["mapping_width"]  # always w_dim, and the embedding too
    config.pop("embed_dim", None)
    weights = [tensors[f"entries.{i}.weight"] for i in range(count(tensors, "entries.{}.weight"))]
    return config | {
        "channels": [len(weight) for weight in weights[:-1]] + [weights[-1].shape[1]],
        "kernel": weights[0].shape[2],
        "is_radial": tensors["entries.0.down_filter"].ndim == 2,
        "filter_size": len(tensors["entries.0.up_filter"]) // 2,
    }


def check_bands(config: Mapping[str, Any], stored: list[list[float]] | None) -> None:
    """Raise a ValueError unless the geometry that a pickle's layers keep is what our code makes of the options."""
    if not stored:
        return
    geometry = ("n_critical", "first_cutoff", "first_stopband", "last_stopband_rel", "margin")
    options = {name: config[name] for name in geometry if name in config}
    bands = plan_bands(config["resolution"], len(config["channels"]) - 1, **options)
    for ours, theirs in zip(bands, stored, strict=True):
        pairs = zip((ours.cutoff, ours.half_width, ours.rate, ours.size), theirs)
        if not all(math.isclose(a, b, rel_tol=1e-6) for a, b in pairs):
            raise ValueError("its layers have a geometry that its settings do not lead to")


def configure_biggan(tensors: dict[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
    blocks = [[bool(upsamples), int(n_in), int(n_out)] for upsamples, n_in, n_out in options["layers"]]
    resolution = 4 * 2 ** sum(upsamples for upsamples, _, _ in blocks)
    if options["output_dim"] != resolution:
        raise ValueError(f"its config says {options['output_dim']} pixels, but its blocks make {resolution}")
    if len(tensors["to_rgb.bias"]) != len(tensors["to_rgb.weight"]):
        raise ValueError("generator.conv_to_rgb.bias is not one number per channel")
    for name in ("to_rgb.weight", "to_rgb.bias"):
        tensors[name] = tensors[name][:3]  # more are made, three are shown
    return {"blocks": blocks}


def count(tensors: Mapping[str, Tensor], pattern: str) -> int:
    """How many of pattern.format(0), pattern.format(1), ... are there."""
    n = 0
    while pattern.format(n) in tensors:
        n += 1
    return n


CONFIGS: dict[str, Callable[[dict[str, Tensor], Mapping[str, Any]], dict[str, Any]]] = {
    "biggan": configure_biggan,
    "stylegan3-nvidia": configure_stylegan3,
    "stylegan2-nvidia": configure_nvidia,
    "stylegan2-genforce": configure_genforce,
    "stylegan1-genforce": configure_stylegan1,
    "stylegan2-rosinality": configure_rosinality,
    "pggan-genforce": configure_pggan,
}
