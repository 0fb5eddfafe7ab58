"""Generators in files: our own safetensors, and published checkpoints turned into our tensors without running them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .generators.registry import FAMILIES
from .generators.split import SplitGenerator, weights_hash

FORMAT = "panda-generator/1"


def save_generator(
    generator: SplitGenerator,
    path: str | Path,
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a generator as one safetensors file that `load_generator` rebuilds.

    Args:
        generator: of any family.
        path: the file; its folder must exist.
        metadata: what else to note (licence, source): text by name; the names that this function sets are taken.
        dtype: of the tensors on disk; float16 halves the file and costs 3 to 4 digits.
    Raises: ValueError if a weight does not fit into `dtype`, or a metadata name is taken.
    """
    tensors = {name: t.detach().to("cpu", dtype).contiguous() for name, t in generator.state_dict().items()}
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{name} holds values that {dtype} cannot hold; save in torch.float32.")
    own = {
        "format": FORMAT,
        "family": generator.family,
        "architecture": generator.family,
        "config": json.dumps(generator.config),
        "resolution": str(generator.resolution),
        "hash": weights_hash(tensors),
    }
    if taken := own.keys() & (metadata or {}).keys():
        raise ValueError(f"metadata has {', '.join(sorted(taken))}; these names are set from the generator itself.")
    save_file(tensors, path, {**(metadata or {}), **own})


def read_metadata(path: str | Path) -> dict[str, str]:
    """What one of our files says of itself: family, config, resolution, hash, licence, source.

    Raises: ValueError if the file is not one of ours.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{Path(path).name} is not a readable safetensors file: {error}.") from error
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{Path(path).name} is a safetensors file of format {metadata.get('format')}; this version reads {FORMAT}."
        )
    return metadata


def load_generator(path: str | Path) -> SplitGenerator:
    """The generator in a file, on the CPU, in float32, in evaluation mode, without gradients.

    Raises: ValueError, in one sentence, for anything that is not a complete and finite generator; OSError if the file
        cannot be read.
    """
    path = Path(path)
    metadata = read_metadata(path)
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    try:
        config = json.loads(metadata.get("config", ""))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} has a config that is not JSON.") from error
    if metadata.get("family") not in FAMILIES:
        raise ValueError(f"{path.name} is of family {metadata.get('family')!r}; known are {', '.join(FAMILIES)}.")
    return build(metadata["family"], config, tensors, path.name)


def build(family: str, config: dict[str, Any], tensors: Mapping[str, Tensor], source: str) -> SplitGenerator:
    """A generator of these weights, every one of them accounted for.

    The sizes in `config` come from a file: they are tried on the meta device, which holds no data, and only if every
    shape agrees with a tensor that is really there is memory taken.

    Raises: ValueError if the config is not accepted, or a tensor is missing, unknown, mis-shaped or not finite.
    """
    check_config(config, source)
    try:
        with torch.device("meta"):
            wanted = {name: tuple(t.shape) for name, t in FAMILIES[family](**config).state_dict().items()}
    except (TypeError, ValueError, RuntimeError, OverflowError, IndexError, KeyError, ZeroDivisionError) as error:
        raise ValueError(f"{source} describes no {family} that can be built ({first_line(error)}).") from error
    if missing := sorted(wanted.keys() - tensors.keys()):
        raise ValueError(f"{source} lacks {len(missing)} tensors of a {family} generator, first {missing[0]}.")
    if extra := sorted(tensors.keys() - wanted.keys()):
        raise ValueError(f"{source} has {len(extra)} tensors that a {family} has not, first {extra[0]!r:.90}.")
    for name, shape in wanted.items():
        if tuple(tensors[name].shape) != shape:
            raise ValueError(f"{name} in {source} has shape {tuple(tensors[name].shape)}; it must be {shape}.")
        if not tensors[name].is_floating_point() or not tensors[name].isfinite().all():
            raise ValueError(f"{name} in {source} holds values that are not finite floating-point numbers.")
    with torch.random.fork_rng(devices=[]):  # the constructor draws random weights, only to be replaced
        generator = FAMILIES[family](**config)
    generator.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=True)
    return generator.eval().requires_grad_(False)


def check_config(config: Any, source: str) -> None:
    """Keep numbers that would make a constructor loop or allocate without end away from it."""
    if not isinstance(config, dict):
        raise ValueError(f"{source} has a config that is not a table of names and values.")
    pending = list(config.values())
    for value in pending:  # grows as lists are opened
        if isinstance(value, list | tuple) and len(value) <= 64 and len(pending) < 4096:
            pending.extend(value)
        elif value is not None and not (isinstance(value, bool | int | float) and abs(value) <= 65536):
            raise ValueError(f"{source} has a config with the value {value!r:.60}, which no generator has.")


def first_line(error: BaseException) -> str:
    """The start of an error's text, fit to stand in brackets."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:200]
