"""Published state dicts, by their own names and conventions, turned into the config and tensors of our generators."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .generators.ops import pixel_norm
from .generators.stylegan3 import plan_bands

Converted = tuple[str, dict[str, Any], dict[str, Tensor]]  # family, config, tensors


class Published:
    """A published state dict, of which every entry must be taken exactly once."""

    def __init__(self, state: Mapping[str, Tensor]):
        self.left = dict(state)

    def __contains__(self, name: str) -> bool:
        return name in self.left

    def count(self, pattern: str) -> int:
        """How many of pattern.format(0), pattern.format(1), ... are there."""
        n = 0
        while pattern.format(n) in self.left:
            n += 1
        return n

    def shape(self, name: str) -> tuple[int, ...]:
        if name not in self.left:
            raise ValueError(f"it lacks {name}")
        return tuple(self.left[name].shape)

    def take(self, name: str) -> Tensor:
        self.shape(name)
        tensor = self.left.pop(name)
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise ValueError(f"{name} holds values that are not finite floating-point numbers")
        return tensor.detach().float()

    def take_inner(self, name: str, ones: int) -> Tensor:
        """Take a tensor without its first `ones` dimensions, which must be of size 1."""
        if self.shape(name)[:ones] != (1,) * ones:
            raise ValueError(f"{name} has the shape {self.shape(name)}, which must start with {ones} of size 1")
        return self.take(name)[(0,) * ones]

    def take_matrix(self, name: str, ones: int = 0) -> Tensor:
        """Take the weight [out, in] of a 1 x 1 convolution, stored as [1, ..., out, in, 1, 1]."""
        if len(self.shape(name)) != ones + 4 or self.shape(name)[-2:] != (1, 1):
            raise ValueError(f"{name} has the shape {self.shape(name)}, which must end in the 1 x 1 of a convolution")
        return self.take_inner(name, ones)[..., 0, 0]

    def expect(self, name: str, value: Tensor, leading: tuple[int, ...] = ()) -> None:
        """Take a stored constant that our code has built in, and make sure that it is the same."""
        stored = self.take(name)
        if stored.shape != (*leading, *value.shape) or not torch.allclose(stored, value.expand_as(stored), atol=1e-6):
            raise ValueError(f"{name} is not what it is in all published networks")

    def drop(self, name: str, *shape: int) -> None:
        """Take what the picture does not depend on; it must be sound all the same."""
        if self.take(name).shape != shape:
            raise ValueError(f"{name} has not the shape {shape}")

    def finish(self) -> None:
        if self.left:
            raise ValueError(f"it has {len(self.left)} tensors that are not known here, first {min(self.left)!r:.90}")


def read_state(state: Mapping[str, Tensor], options: Mapping[str, Any] | None = None) -> Converted:
    """Recognise a published state dict by its names and convert it.

    Args:
        state: names and tensors as published.
        options: what the tensors do not say: a BigGAN's config.json; NVIDIA's resolved constructor arguments;
            rosinality's latent_avg, where the file has one.
    Returns: family, config, tensors; sizes are taken from the tensors' shapes.
    Raises: ValueError if the layout is unknown, or an entry is missing, unknown or not as it must be.
    """
    for signature, convert in LAYOUTS.items():
        if signature in state:
            published = Published(state)
            try:
                converted = convert(published, options)
                published.finish()
            except (IndexError, KeyError, TypeError, RuntimeError, OverflowError, ZeroDivisionError) as error:
                raise ValueError(f"its tensors or options do not fit together ({type(error).__name__})") from error
            return converted
    raise ValueError("it holds none of the generators known here (ProgressiveGAN, StyleGAN1 to 3, BigGAN-deep)")


def dense(published: Published, ours: str, theirs: str, bias: float = 0.0) -> dict[str, Tensor]:
    """The weight and bias of a fully connected layer; `bias` is what our bias holds and theirs does not."""
    return {
        f"{ours}.weight": published.take(f"{theirs}.weight"),
        f"{ours}.bias": published.take(f"{theirs}.bias") + bias,
    }


def take_mapping(
    published: Published, theirs: str, embed: str | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and tensors of a mapping network whose layers are theirs.format(0), ...; embed: name of the embedding."""
    n = published.count(theirs + ".weight")
    width, n_in = published.shape(theirs.format(0) + ".weight")
    w_dim = published.shape(theirs.format(n - 1) + ".weight")[0]
    config = {"z_dim": n_in, "w_dim": w_dim, "mapping_layers": n, "mapping_width": width}
    tensors: dict[str, Tensor] = {}
    for i in range(n):
        tensors |= dense(published, f"mapping.layers.{i}", theirs.format(i))
    if embed is not None and f"{embed}.weight" in published:
        tensors |= dense(published, "mapping.embed", embed)
        embed_dim, n_classes = tensors["mapping.embed.weight"].shape
        config |= {"z_dim": n_in - embed_dim, "n_classes": n_classes, "embed_dim": embed_dim}
    return config, tensors


def take_genforce_mapping(published: Published) -> tuple[dict[str, Any], dict[str, Tensor]]:
    config, tensors = take_mapping(published, "mapping.dense{}")
    if "mapping.label_weight" in published:
        labels = published.take("mapping.label_weight")  # [n_classes, z_dim], a plain matrix without gain or bias
        n_classes, z_dim = labels.shape
        tensors["mapping.embed.weight"] = labels.t() * math.sqrt(n_classes)
        tensors["mapping.embed.bias"] = torch.zeros(z_dim)
        config |= {"z_dim": config["z_dim"] - z_dim, "n_classes": n_classes, "embed_dim": z_dim}
    tensors["w_avg"] = published.take("truncation.w_avg")
    return config, tensors


def square_of(taps: list[float], gain: float = 1.0) -> Tensor:
    """outer(taps, taps), scaled to the sum `gain`."""
    row = torch.tensor(taps) / sum(taps)
    return torch.outer(row, row) * gain


def convert_pggan(published: Published, options: Mapping[str, Any] | None) -> Converted:
    published.expect("lod", torch.zeros(()))  # any other value mixes in lower resolutions
    n = published.count("output{}.weight")
    channels = [published.shape(f"layer{2 * k + 1}.weight")[0] for k in range(n)]
    config = {"channels": channels, "z_dim": published.shape("layer0.weight")[1]}
    tensors: dict[str, Tensor] = {}
    for i in range(2 * n):
        tensors |= dense(published, f"convs.{i}", f"layer{i}")
    for k in range(n - 1):
        published.drop(f"output{k}.weight", 3, channels[k], 1, 1)
        published.drop(f"output{k}.bias", 3)
    tensors["rgb_weight"] = published.take_matrix(f"output{n - 1}.weight")
    tensors["rgb_bias"] = published.take(f"output{n - 1}.bias")
    return "pggan", config, tensors


def convert_stylegan1(published: Published, options: Mapping[str, Any] | None) -> Converted:
    published.expect("synthesis.lod", torch.zeros(()))
    config, tensors = take_genforce_mapping(published)
    n = published.count("synthesis.output{}.weight")
    config["channels"] = [published.shape(f"synthesis.layer{2 * k}.bias")[0] for k in range(n)]
    tensors["const"] = published.take_inner("synthesis.layer0.const", 1)
    for i in range(2 * n):
        ours, theirs = f"convs.{i}", f"synthesis.layer{i}"
        if i:
            tensors[f"{ours}.weight"] = published.take(f"{theirs}.weight")
        if i and i % 2 == 0:
            published.expect(f"{theirs}.blur.kernel", square_of([1.0, 2.0, 1.0]), (config["channels"][i // 2], 1))
            if 4 * 2 ** (i // 2) >= 128:  # there genforce fuses upsampling and convolution, with the kernel flipped
                tensors[f"{ours}.weight"] = tensors[f"{ours}.weight"].flip(2, 3)
        tensors[f"{ours}.bias"] = published.take(f"{theirs}.bias")
        tensors[f"{ours}.noise_strength"] = published.take(f"{theirs}.apply_noise.weight")
        tensors[f"{ours}.noise"] = published.take_inner(f"{theirs}.apply_noise.noise", 2)
        tensors |= dense(published, f"{ours}.affine", f"{theirs}.style")
    for k in range(n - 1):
        published.drop(f"synthesis.output{k}.weight", 3, config["channels"][k], 1, 1)
        published.drop(f"synthesis.output{k}.bias", 3)
    tensors["rgb_weight"] = published.take_matrix(f"synthesis.output{n - 1}.weight")
    tensors["rgb_bias"] = published.take(f"synthesis.output{n - 1}.bias")
    return "stylegan1", config, tensors


def convert_genforce_stylegan2(published: Published, options: Mapping[str, Any] | None) -> Converted:
    config, tensors = take_genforce_mapping(published)
    n = published.count("synthesis.output{}.weight")
    config |= {"joint_norm": True, "extrapolates": False, "conv_clamp": None}
    config["channels"] = [published.shape(f"synthesis.output{k}.weight")[1] for k in range(n)]
    tensors["const"] = published.take_inner("synthesis.early_layer.const", 1)
    kernel = square_of([1.0, 3.0, 3.0, 1.0], gain=4.0)
    published.expect("synthesis.upsample.kernel", kernel, (1, 1))
    for i in range(2 * n - 1):
        ours, theirs = f"convs.{i}", f"synthesis.layer{i}"
        tensors[f"{ours}.weight"] = published.take(f"{theirs}.weight")
        if i % 2:
            published.expect(f"{theirs}.filter.kernel", kernel, (1, 1))
            tensors[f"{ours}.weight"] = tensors[f"{ours}.weight"].flip(2, 3)  # TensorFlow's orientation
        tensors[f"{ours}.bias"] = published.take(f"{theirs}.bias")
        tensors[f"{ours}.noise_strength"] = published.take(f"{theirs}.noise_strength")
        tensors[f"{ours}.noise"] = published.take_inner(f"{theirs}.noise", 2)
        tensors |= dense(published, f"{ours}.affine", f"{theirs}.style", bias=1.0)
    for k in range(n):
        ours, theirs = f"to_rgb.{k}", f"synthesis.output{k}"
        tensors[f"{ours}.weight"] = published.take_matrix(f"{theirs}.weight")
        tensors[f"{ours}.bias"] = published.take(f"{theirs}.bias")
        tensors |= dense(published, f"{ours}.affine", f"{theirs}.style", bias=1.0)
    return "stylegan2", config, tensors


def convert_nvidia_stylegan2(published: Published, options: Mapping[str, Any] | None) -> Converted:
    options = need_options(options)
    config, tensors = take_mapping(published, "mapping.fc{}", "mapping.embed")
    tensors["w_avg"] = published.take("mapping.w_avg")
    sizes = []
    while f"synthesis.b{4 * 2 ** len(sizes)}.conv1.weight" in published:
        sizes.append(4 * 2 ** len(sizes))
    config["conv_clamp"] = options["conv_clamp"]
    config["channels"] = [published.shape(f"synthesis.b{size}.conv1.weight")[0] for size in sizes]
    tensors["const"] = published.take("synthesis.b4.const")
    kernel = square_of([1.0, 3.0, 3.0, 1.0])
    convs = [f"b{size}.conv{j}" for size in sizes for j in (0, 1) if (size, j) != (4, 0)]
    for i, name in enumerate(convs):
        ours, theirs = f"convs.{i}", f"synthesis.{name}"
        tensors |= dense(published, ours, theirs)
        tensors |= dense(published, f"{ours}.affine", f"{theirs}.affine")
        tensors[f"{ours}.noise_strength"] = published.take(f"{theirs}.noise_strength")
        tensors[f"{ours}.noise"] = published.take(f"{theirs}.noise_const")
        published.expect(f"{theirs}.resample_filter", kernel)
    for k, size in enumerate(sizes):
        if f"synthesis.b{size}.torgb.weight" not in published or f"synthesis.b{size}.skip.weight" in published:
            raise ValueError("it is a StyleGAN2 of architecture 'orig' or 'resnet'; only 'skip' is read")
        ours, theirs = f"to_rgb.{k}", f"synthesis.b{size}.torgb"
        tensors[f"{ours}.weight"] = published.take_matrix(f"{theirs}.weight")
        tensors[f"{ours}.bias"] = published.take(f"{theirs}.bias")
        tensors |= dense(published, f"{ours}.affine", f"{theirs}.affine")
        published.expect(f"synthesis.b{size}.resample_filter", kernel)
    return "stylegan2", config, tensors


def convert_rosinality(published: Published, options: Mapping[str, Any] | None) -> Converted:
    published.left = {shift_style(name): tensor for name, tensor in published.left.items()}
    config, tensors = take_mapping(published, "style.{}")
    config |= {"conv_clamp": None, "extrapolates": False}
    latent_avg = (options or {}).get("latent_avg")
    tensors["w_avg"] = measure_mean(tensors) if latent_avg is None else latent_avg.float().flatten()
    tensors["const"] = published.take_inner("input.input", 1)
    convs = ["conv1"] + [f"convs.{i}" for i in range(published.count("convs.{}.conv.weight"))]
    kernel = square_of([1.0, 3.0, 3.0, 1.0], gain=4.0)
    for i, theirs in enumerate(convs):
        ours = f"convs.{i}"
        tensors[f"{ours}.weight"] = published.take_inner(f"{theirs}.conv.weight", 1)
        tensors |= dense(published, f"{ours}.affine", f"{theirs}.conv.modulation")
        tensors[f"{ours}.noise_strength"] = published.take_inner(f"{theirs}.noise.weight", 1)
        tensors[f"{ours}.noise"] = published.take_inner(f"noises.noise_{i}", 2)
        tensors[f"{ours}.bias"] = published.take(f"{theirs}.activate.bias")
        if i % 2:
            published.expect(f"{theirs}.conv.blur.kernel", kernel)
    to_rgb = ["to_rgb1"] + [f"to_rgbs.{i}" for i in range(published.count("to_rgbs.{}.conv.weight"))]
    for k, theirs in enumerate(to_rgb):
        ours = f"to_rgb.{k}"
        tensors[f"{ours}.weight"] = published.take_matrix(f"{theirs}.conv.weight", 1)
        tensors |= dense(published, f"{ours}.affine", f"{theirs}.conv.modulation")
        tensors[f"{ours}.bias"] = published.take_inner(f"{theirs}.bias", 1)[:, 0, 0]
        if k:
            published.expect(f"{theirs}.upsample.kernel", kernel)
    config["channels"] = [tensors[f"to_rgb.{k}.weight"].shape[1] for k in range(len(to_rgb))]
    return "stylegan2", config, tensors


def measure_mean(mapping: Mapping[str, Tensor]) -> Tensor:
    """The mean style of 4096 latents of a fixed seed, [w_dim]: rosinality's training checkpoints hold none.

    In float64, so that the rounded result, and with it the generator's hash, is the same on every machine.
    """
    n_in = mapping["mapping.layers.0.weight"].shape[1]
    x = pixel_norm(torch.from_numpy(np.random.RandomState(0).randn(4096, n_in)))
    for i in range(len(mapping) // 2):
        weight, bias = mapping[f"mapping.layers.{i}.weight"].double(), mapping[f"mapping.layers.{i}.bias"].double()
        x = F.leaky_relu(x @ weight.t() * (0.01 / math.sqrt(x.shape[1])) + 0.01 * bias, 0.2) * math.sqrt(2.0)
    return x.mean(dim=0).float()


def shift_style(name: str) -> str:
    """rosinality counts the pixel norm before the mapping as style.0: count the layers from 0 instead."""
    match = re.fullmatch(r"style\.(\d{1,3})\.(weight|bias)", name)
    return f"style.{int(match[1]) - 1}.{match[2]}" if match else name


def convert_stylegan3(published: Published, options: Mapping[str, Any] | None) -> Converted:
    options = need_options(options)
    if options.get("lrelu_upsampling", 2) != 2:
        raise ValueError("it is a StyleGAN3 with another lrelu_upsampling than 2, which no published one has")
    names = {}
    for name in published.left:
        if match := re.fullmatch(r"synthesis\.(L(\d{1,3})_(\d{1,5})_\d{1,5})\.weight", name):
            names[int(match[2])] = (f"synthesis.{match[1]}", int(match[3]))
    entries = [names[i][0] for i in range(len(names))]
    config, tensors = take_mapping(published, "mapping.fc{}", "mapping.embed")
    del config["mapping_width"]  # always w_dim, and the embedding too
    config.pop("embed_dim", None)
    kernel = published.shape(f"{entries[0]}.weight")[2]
    config |= {
        "resolution": names[len(names) - 1][1],
        "channels": [published.shape(f"{name}.weight")[0] for name in entries[:-1]]
        + [published.shape(f"{entries[-1]}.weight")[1]],
        "kernel": kernel,
        "is_radial": len(published.shape(f"{entries[0]}.down_filter")) == 2,
        "filter_size": published.shape(f"{entries[0]}.up_filter")[0] // 2,
        "conv_clamp": options["conv_clamp"],
    }
    for ours, theirs in STYLEGAN3_OPTIONS.items():
        if theirs in options:
            config[ours] = options[theirs]
    check_bands(config, options.get("bands"))
    tensors["w_avg"] = published.take("mapping.w_avg")
    for name in ("weight", "transform", "freqs", "phases"):
        tensors[f"input.{name}"] = published.take(f"synthesis.input.{name}")
    tensors |= dense(published, "input.affine", "synthesis.input.affine")
    for i, theirs in enumerate(entries):
        ours = f"entries.{i}"
        tensors |= dense(published, ours, theirs)
        tensors |= dense(published, f"{ours}.affine", f"{theirs}.affine")
        for name in ("magnitude_ema", "up_filter", "down_filter")[: 1 if theirs == entries[-1] else 3]:
            tensors[f"{ours}.{name}"] = published.take(f"{theirs}.{name}")
    return "stylegan3", config, tensors


def check_bands(config: Mapping[str, Any], stored: list[list[float]] | None) -> None:
    """Raise a ValueError unless the geometry that a pickle's layers keep is what our code makes of the options."""
    geometry = ("n_critical", "first_cutoff", "first_stopband", "last_stopband_rel", "margin")
    options = {name: config[name] for name in geometry if name in config}
    bands = plan_bands(config["resolution"], len(config["channels"]) - 1, **options)
    for ours, theirs in zip(bands, stored or [], strict=bool(stored)):
        pairs = zip((ours.cutoff, ours.half_width, ours.rate, ours.size), theirs)
        if not all(math.isclose(a, b, rel_tol=1e-6) for a, b in pairs):
            raise ValueError("its layers have a geometry that its settings do not lead to")


STYLEGAN3_OPTIONS = {
    "n_critical": "num_critical",
    "first_cutoff": "first_cutoff",
    "first_stopband": "first_stopband",
    "last_stopband_rel": "last_stopband_rel",
    "margin": "margin_size",
    "output_scale": "output_scale",
}


def convert_biggan(published: Published, options: Mapping[str, Any] | None) -> Converted:
    if options is None:
        raise ValueError("it is a BigGAN-deep, which needs its config.json beside it in the same folder")
    config = {
        "blocks": [[bool(upsamples), int(n_in), int(n_out)] for upsamples, n_in, n_out in options["layers"]],
        "attention_at": options["attention_layer_position"],
        "width": options["channel_width"],
        "z_dim": options["z_dim"],
        "n_classes": options["num_classes"],
        "n_stats": options["n_stats"],
        "eps": options["eps"],
    }
    resolution = 4 * 2 ** sum(upsamples for upsamples, _, _ in config["blocks"])
    if options["output_dim"] != resolution:
        raise ValueError(f"its config says {options['output_dim']} pixels, but its blocks make {resolution}")

    def unscaled(name: str, is_1x1: bool = False) -> Tensor:
        """A weight divided by its spectral norm, estimated with the stored vectors, as the published code does."""
        weight = published.take_matrix(f"{name}.weight_orig") if is_1x1 else published.take(f"{name}.weight_orig")
        u, v = published.take(f"{name}.weight_u"), published.take(f"{name}.weight_v")
        return weight / torch.dot(u, weight.flatten(1) @ v)

    tensors = {"embedding": published.take("embeddings.weight")}
    tensors["project.weight"] = unscaled("generator.gen_z")
    tensors["project.bias"] = published.take("generator.gen_z.bias")
    n_entries = len(config["blocks"]) + (config["attention_at"] in range(len(config["blocks"])))
    for j in range(n_entries):
        ours, theirs = f"entries.{j}", f"generator.layers.{j}"
        if j == config["attention_at"]:
            for name in ("theta", "phi", "g", "o"):
                conv = "o_conv" if name == "o" else name
                tensors[f"{ours}.{name}"] = unscaled(f"{theirs}.snconv1x1_{conv}", is_1x1=True)
            tensors[f"{ours}.gamma"] = published.take(f"{theirs}.gamma")
            continue
        for i in range(4):
            tensors |= take_statistics(published, f"{ours}.norms.{i}", f"{theirs}.bn_{i}")
            tensors[f"{ours}.norms.{i}.scale"] = unscaled(f"{theirs}.bn_{i}.scale")
            tensors[f"{ours}.norms.{i}.offset"] = unscaled(f"{theirs}.bn_{i}.offset")
            tensors[f"{ours}.convs.{i}.weight"] = unscaled(f"{theirs}.conv_{i}")
            tensors[f"{ours}.convs.{i}.bias"] = published.take(f"{theirs}.conv_{i}.bias")
    tensors |= take_statistics(published, "norm", "generator.bn")
    tensors["norm_weight"] = published.take("generator.bn.weight")
    tensors["norm_bias"] = published.take("generator.bn.bias")
    weight, bias = unscaled("generator.conv_to_rgb"), published.take("generator.conv_to_rgb.bias")
    if bias.shape != weight.shape[:1]:
        raise ValueError("generator.conv_to_rgb.bias is not one number per channel")
    tensors |= {"to_rgb.weight": weight[:3], "to_rgb.bias": bias[:3]}  # more are made, three are shown
    return "biggan", config, tensors


def take_statistics(published: Published, ours: str, theirs: str) -> dict[str, Tensor]:
    return {
        f"{ours}.means": published.take(f"{theirs}.running_means"),
        f"{ours}.variances": published.take(f"{theirs}.running_vars"),
    }


def need_options(options: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if options is None:
        raise ValueError("it is NVIDIA's state dict without its configuration; use the .pkl that it was taken from")
    return options


# The entry that only this layout has. Each converter takes sizes from shapes, and every entry of the state dict.
LAYOUTS: dict[str, Callable[[Published, Mapping[str, Any] | None], Converted]] = {
    "generator.gen_z.weight_orig": convert_biggan,
    "synthesis.input.freqs": convert_stylegan3,
    "synthesis.b4.const": convert_nvidia_stylegan2,
    "synthesis.early_layer.const": convert_genforce_stylegan2,
    "synthesis.layer0.const": convert_stylegan1,
    "input.input": convert_rosinality,
    "output0.weight": convert_pggan,
}
