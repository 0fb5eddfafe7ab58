"""safetensors files that appear whole, and of which equal ones are equal to the byte."""

import json
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor

from .atomic_write import atomic_write


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write one safetensors file, whole or not at all; its bytes follow from what is in it. Raises: OSError."""
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    with atomic_write(path) as part:
        safetensors.torch.save_file(tensors, part, dict(metadata))
        _sort_header(part)


def _sort_header(path: Path) -> None:
    """The names in the header in their order: the library writes metadata in another one each time."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        names = json.loads(file.read(size))
        header = json.dumps(names, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        if len(header) <= size:  # it is as long as it was, as both write JSON; spaces may follow it
            file.seek(8)
            file.write(header.ljust(size))
