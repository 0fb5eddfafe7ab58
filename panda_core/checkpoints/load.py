"""Generators in files: our own safetensors, and published checkpoints turned into our tensors without running them."""

import hashlib
import json
import mmap
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..generators.registry import FAMILIES
from ..generators.split import SplitGenerator, weights_hash
from ..runtime.tensor_files import write_tensors
from .layouts import LAYOUTS, Converted, read_state
from .openvino import find_programs, read_openvino
from .storages import KNOWN, LEGACY_MAGIC, Leaf, read_legacy, read_zip
from .tables import find_table, load_leaf, load_state
from .unpickler import WHERE_ELSE, read_pickle

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
        path: the file; it appears whole or not at all.
        metadata: what else to note (licence, source): text by name; the names that this function sets are taken.
        dtype: of the tensors on disk; float16 halves the file and costs 3 to 4 digits.
    Raises: ValueError if a weight does not fit into `dtype`, or a metadata name is taken.
    """
    tensors = {name: t.detach().to("cpu", dtype) for name, t in generator.state_dict().items()}
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
    write_tensors(Path(path), tensors, {**(metadata or {}), **own})


def read_metadata(path: str | Path) -> dict[str, str]:
    """What one of our files says of itself: family, config, resolution, hash, licence, source.

    Raises: ValueError if the file is not one of ours.
    """
    with one_sentence(Path(path)), safe_open(path, "pt") as file:
        return own_metadata(file)


def load_generator(path: str | Path) -> SplitGenerator:
    """The generator in a file, on the CPU, in float32, in evaluation mode, without gradients.

    Reads our safetensors; genforce's, rosinality's and NVIDIA's networks in torch files, pickles and safetensors;
    BigGAN-deep with its config.json beside it; and MobileStyleGAN in a wheel. What the file is, is told by its content;
    nothing in it is run.

    Raises: ValueError, in one sentence, for anything that is not a complete and finite generator; OSError if the file
        cannot be read.
    """
    path = Path(path)
    with one_sentence(path):
        return build(*(read_own if is_own(path) else read_foreign)(path))


@contextmanager
def one_sentence(path: Path) -> Iterator[None]:
    """Whatever goes wrong with a file's content becomes one ValueError that names the file."""
    try:
        yield
    except FOREIGN_ERRORS as error:
        damaged = f"it is damaged or was cut short ({type(error).__name__}), so get it again"
        reason = first_line(error) if isinstance(error, ValueError) else damaged
        raise ValueError(f"{path.name[:80]} cannot be loaded: {reason}.") from error


# What the readers of damaged files raise: a wrong type, an index out of range; and torch's, zipfile's and others' own.
BUILTIN_ERRORS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError, MemoryError)
FOREIGN_ERRORS = (*BUILTIN_ERRORS, EOFError, SafetensorError, UnpicklingError, struct.error, zipfile.BadZipFile)


def is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size


def is_own(path: Path) -> bool:
    if not is_safetensors(path):
        return False
    with safe_open(path, "pt") as file:
        return (file.metadata() or {}).get("format", "").startswith(FORMAT.partition("/")[0])


def own_metadata(file: Any) -> dict[str, str]:
    metadata = file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise ValueError(f"it is not of the format {FORMAT!r}; convert the file that it was made from again")
    if metadata.get("family") not in FAMILIES:
        raise ValueError(f"it is of the family {metadata.get('family', '')[:60]!r}; known are {', '.join(FAMILIES)}")
    return metadata


def read_own(path: Path) -> Converted:
    with safe_open(path, "pt") as file:
        metadata = own_metadata(file)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    try:
        return metadata["family"], json.loads(metadata.get("config", "")), tensors
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its settings are not JSON ({first_line(error)})") from error


def read_foreign(path: Path) -> Converted:
    """Family, config and tensors of a published file."""
    if is_safetensors(path):
        with safe_open(path, "pt") as tensors:
            return read_value({name: tensors.get_tensor(name) for name in tensors.keys()}, path)  # noqa: SIM118
    with path.open("rb") as file:
        start = file.read(512)
        for known_by, sentence in NOT_CHECKPOINTS:
            if known_by.match(start):
                raise ValueError(sentence)
        file.seek(0)
        if start.startswith(b"PK\x03\x04"):
            with suppress(zipfile.BadZipFile), zipfile.ZipFile(file) as archive:  # what is cut short is told of below
                if find_programs(archive.namelist()):
                    return read_openvino(archive)
            return read_value(read_zip(file, path.stat().st_size), path)
        if start.startswith(b"\x80"):
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                is_torch = LEGACY_MAGIC.to_bytes(10, "little") in start[:32]  # in the first of five pickles
                return read_value(read_legacy(view) if is_torch else read_pickle(view, KNOWN), path)
    raise ValueError("it is neither safetensors, a torch file nor an NVIDIA pickle")


NOT_CHECKPOINTS = [(re.compile(start, re.DOTALL | re.IGNORECASE), sentence) for start, sentence in (
    (rb"\Z", "it is empty: nothing was downloaded or copied, so get it again"),
    (rb"\s*<(!doctype|html|\?xml)|\s*<!--", "it is a web page, saved under this name; open the link in a browser "
     "and download the file itself"),
    (rb"version https://git-lfs", "it is a pointer of Git LFS, not the file; fetch that with git lfs pull"),
    (rb"\x89HDF\r\n", f"it is an HDF5 file, of TensorFlow or JAX, which is not read; {WHERE_ELSE}"),
    (rb".{,40}(tfutil|dnnlib\.tflib)", f"it is a TensorFlow pickle, which is not read; {WHERE_ELSE}"),
    (rb"\x00\x00.{1,6}\x08\x01\x1a\x02|.{,64}model_checkpoint_path", "it is part of a TensorFlow checkpoint, which is "
     f"not read; {WHERE_ELSE}"),
    (rb".{3}\x00{5}\{", "it is a safetensors file without its end: it was cut short, so get it again"),
    (rb"\x93NUMPY", "it is a NumPy array, not a network"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP", "it is a picture, not a network"),
    (rb"\x08[\x01-\x0f]\x12.{,20}", "it is an ONNX program, which is not read; use the weights that it was made from"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!|.{257}ustar", "it is a packed archive; unpack it first"),
)]  # fmt: skip


def read_value(value: Any, path: Path) -> Converted:
    """Family, config and tensors of the generator in what a file holds."""
    table = find_table(value)
    state, mean = load_state(table, path.stat().st_size), table.latent_avg
    if mean is not None and not isinstance(mean, Leaf):
        raise ValueError("its latent_avg is not a tensor")
    options = None if mean is None else {"latent_avg": load_leaf(mean)}
    if LAYOUTS["biggan"]["signature"] in state:
        options = read_config_beside(path)
    return read_state(state, options, table.objects)


def read_config_beside(path: Path) -> dict[str, Any]:
    """The config.json of a BigGAN-deep, in its folder: also <name>config.json beside <name>pytorch_model.bin."""
    own_name = path.with_name(path.name.replace("pytorch_model.bin", "config.json"))
    for candidate in (own_name, path.with_name("config.json")):
        if candidate != path and candidate.is_file():
            if candidate.stat().st_size > 65536:
                raise ValueError(f"{candidate.name} is too long to be a BigGAN-deep's")
            try:
                config = json.loads(candidate.read_text("utf-8-sig"))
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{candidate.name} beside it is not JSON ({first_line(error)})") from error
            if not isinstance(config, dict):
                raise ValueError(f"{candidate.name} beside it holds no table of settings")
            return config
    raise ValueError("it is a BigGAN-deep, which needs its config.json beside it in the same folder")


def convert(source: str | Path, target: str | Path, licence: str = "unknown") -> dict[str, str]:
    """Turn any file that `load_generator` reads into one of ours; what the command line calls.

    Args:
        source: the published file; target: where to write the safetensors.
        licence: of the weights; files do not state it, so it is "unknown" unless said.
    Returns: the metadata written, which names the source and its SHA-256.
    Raises: as `load_generator`; ValueError if source and target are the same file.
    """
    source, target = Path(source), Path(target)
    if target.is_dir():
        raise ValueError(
            f"{target} is a folder; name the file to write, {target / source.stem}.safetensors for example."
        )
    if target.exists() and target.samefile(source):
        raise ValueError(f"{target.name} is the source itself; give the converted file another name.")
    generator = load_generator(source)
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    save_generator(generator, target, {"source": source.name, "source_sha256": digest, "licence": licence})
    return read_metadata(target)


def build(family: str, config: dict[str, Any], tensors: Mapping[str, Tensor]) -> SplitGenerator:
    """A generator of these weights, every one of them accounted for.

    The sizes in `config` come from a file: they are tried on the meta device, which holds no data, and only if every
    shape agrees with a tensor that is really there is memory taken.

    Raises: ValueError if the config is not accepted, or a tensor is missing, unknown, mis-shaped or not finite.
    """
    check_config(config)
    try:
        with torch.device("meta"):
            wanted = {name: tuple(t.shape) for name, t in FAMILIES[family](**config).state_dict().items()}
    except FOREIGN_ERRORS as error:
        raise ValueError(f"its settings describe no {family} that can be built ({first_line(error)})") from error
    if missing := sorted(wanted.keys() - tensors.keys()):
        raise ValueError(f"it lacks {len(missing)} tensors of a {family}, first {missing[0]}")
    if extra := sorted(tensors.keys() - wanted.keys()):
        raise ValueError(f"it has {len(extra)} tensors that a {family} has not, first {extra[0][:90]!r}")
    for name, shape in wanted.items():
        if tuple(tensors[name].shape) != shape:
            raise ValueError(
                f"{name} has the shape {tuple(tensors[name].shape)}, but by its settings it must be {shape}"
            )
        if not tensors[name].is_floating_point() or not tensors[name].isfinite().all():
            raise ValueError(f"{name} holds values that are not finite floating-point numbers")
    with torch.random.fork_rng(devices=[]):  # the constructor draws random weights, only to be replaced
        generator = FAMILIES[family](**config)
    generator.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=True)
    return generator.eval().requires_grad_(False)


def check_config(config: Any) -> None:
    """Keep numbers that would make a constructor loop or allocate without end away from it."""
    if not isinstance(config, dict):
        raise ValueError("its settings are not a table of names and values")
    pending = list(config.values())
    for value in pending:  # grows as lists are opened
        if isinstance(value, list | tuple) and len(value) <= 64 and len(pending) < 4096:
            pending.extend(value)
        elif value is not None and not (isinstance(value, bool | int | float) and abs(value) <= 65536):
            raise ValueError("its settings hold a value that is neither a number up to 65536 nor a short list of such")


def first_line(error: BaseException) -> str:
    """The start of an error's text, fit to stand inside a sentence."""
    return " ".join((str(error).strip() or type(error).__name__).splitlines()[0].split()).rstrip(".")[:560]
