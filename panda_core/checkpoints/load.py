"""Generators in files: our own safetensors, and published checkpoints turned into our tensors without running them."""

import hashlib
import json
import mmap
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..generators.registry import FAMILIES
from ..generators.split import SplitGenerator, weights_hash
from ..runtime.atomic_write import atomic_write
from .layouts import LAYOUTS, Converted, read_state
from .unpickler import LEGACY_MAGIC, NVIDIA_ADMITTED, WHERE_ELSE, Array, Module, load_torch, read_pickle

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
    with atomic_write(Path(path)) as part:
        save_file(tensors, part, {**(metadata or {}), **own})


def read_metadata(path: str | Path) -> dict[str, str]:
    """What one of our files says of itself: family, config, resolution, hash, licence, source.

    Raises: ValueError if the file is not one of ours.
    """
    with one_sentence(Path(path)), safe_open(path, "pt") as file:
        return own_metadata(file)


def load_generator(path: str | Path) -> SplitGenerator:
    """The generator in a file, on the CPU, in float32, in evaluation mode, without gradients.

    Reads our safetensors, genforce's and rosinality's torch files, NVIDIA's pickles of StyleGAN2-ADA and StyleGAN3, and
    BigGAN-deep with its config.json beside it. What the file is, is told by its content; nothing in it is run.

    Raises: ValueError, in one sentence, for anything that is not a complete and finite generator; OSError if the file
        cannot be read.
    """
    path = Path(path)
    with one_sentence(path):
        return build(*(read_own if is_safetensors(path) else read_foreign)(path))


@contextmanager
def one_sentence(path: Path) -> Iterator[None]:
    """Whatever goes wrong with a file's content becomes one ValueError that names the file."""
    try:
        yield
    except FOREIGN_ERRORS as error:
        reason = first_line(error) if isinstance(error, ValueError) else f"it is damaged ({type(error).__name__})"
        raise ValueError(f"{path.name[:80]} cannot be loaded: {reason}.") from error


# What the readers of damaged files raise: a wrong type, an index out of range; and torch's, zipfile's and others' own.
BUILTIN_ERRORS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError, MemoryError)
FOREIGN_ERRORS = (*BUILTIN_ERRORS, EOFError, SafetensorError, UnpicklingError, struct.error, zipfile.BadZipFile)


def is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size


def own_metadata(file: Any) -> dict[str, str]:
    metadata = file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise ValueError(f"it is safetensors without our format {FORMAT!r}; convert the file that it was made from")
    if metadata.get("family") not in FAMILIES:
        raise ValueError(f"it is of the family {metadata.get('family', '')[:60]!r}; known are {', '.join(FAMILIES)}")
    return metadata


def read_own(path: Path) -> Converted:
    with safe_open(path, "pt") as file:
        metadata = own_metadata(file)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return metadata["family"], json.loads(metadata["config"]), tensors


def read_foreign(path: Path) -> Converted:
    """Family, config and tensors of a published file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(32)
        file.seek(0)
        if start.startswith(b"\x89HDF\r\n"):
            raise ValueError(f"it is an HDF5 file, of TensorFlow or JAX, which is not read; {WHERE_ELSE}")
        if start.startswith(b"PK\x03\x04") or LEGACY_START in start:
            state, options = pick_torch_state(load_torch(file, size))
        elif start.startswith(b"\x80"):
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                state, options = read_nvidia(read_pickle(view, NVIDIA_ADMITTED), size)
        else:
            raise ValueError("it is neither safetensors, a torch file nor an NVIDIA pickle")
    if not all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()):
        raise ValueError("its state dict holds something else than tensors")
    if sum(tensor.numel() * tensor.element_size() for tensor in state.values()) > size:
        raise ValueError("its tensors claim more data than it holds")  # views of the same numbers, over and over
    if "generator.gen_z.weight_orig" in state:
        options = read_config_beside(path)
    return read_state(state, options)


LEGACY_START = LEGACY_MAGIC.to_bytes(10, "little")  # in the first of the five pickles


def pick_torch_state(value: Any) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """The state dict of the generator to use in what torch.load returns, and options beside it.

    A moving average of the weights comes before the weights; genforce's training checkpoints have them under "models".
    """
    if not isinstance(value, dict):
        raise ValueError("it holds no table of tensors")
    models = value["models"] if isinstance(value.get("models"), dict) else value
    for name in ("generator_smooth", "g_ema", "generator", "g"):
        if isinstance(models.get(name), dict):
            return models[name], {"latent_avg": value.get("latent_avg")}
    return models, None


def read_nvidia(value: Any, size: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State dict and resolved options of the G_ema in one of NVIDIA's pickles, of which `size` bytes are there.

    A missing argument means different things in the two repositories that write these files, so what counts is what the
    layers themselves keep.
    """
    if not isinstance(value, dict) or not isinstance(value.get("G_ema"), Module):
        raise ValueError("it is a pickle without the entry G_ema of NVIDIA's StyleGAN2-ADA and StyleGAN3")
    generator, state, layers, left = value["G_ema"], {}, [], size
    pending = [("", generator)]
    for prefix, module in pending:  # grows as modules are opened
        if len(pending) > 2000 or len(prefix) > 200 or not isinstance(module, Module):
            raise ValueError("its networks are nested in a way that no generator's are")
        for part in ("_parameters", "_buffers"):
            for name, tensor in module.state[part].items():
                if tensor is None:
                    continue
                left -= len(tensor.data)
                if left < 0:
                    raise ValueError("its tensors claim more data than it holds")
                state[f"{prefix}{name[:200]}"] = tensor.load()
        for name, child in module.state["_modules"].items():
            if child is not None:
                pending.append((f"{prefix}{name[:200]}.", child))
        if "affine" in module.state["_modules"] and "conv_clamp" in module.state:
            layers.append(module.state)
    synthesis = generator.state["_modules"]["synthesis"].state
    clamps = {None if layer["conv_clamp"] is None else float(layer["conv_clamp"]) for layer in layers}
    if len(clamps) != 1 or int(synthesis["img_channels"]) != 3:
        raise ValueError("its layers differ in conv_clamp, or its pictures have not three channels")
    if any(layer.get("activation", "lrelu") not in ("lrelu", "linear") for layer in layers):
        raise ValueError("its layers have an activation other than lrelu")
    given = {**synthesis.get("_init_kwargs", {}), **synthesis}
    wanted = {*LAYOUTS["stylegan3-nvidia"]["options"].values(), "lrelu_upsampling"} & given.keys() - {"conv_clamp"}
    options = {key: plain_number(given[key]) for key in wanted}
    options["bands"] = [
        [plain_number(layer[key]) for key in ("out_cutoff", "out_half_width", "out_sampling_rate", "out_size")]
        for layer in layers
        if "out_cutoff" in layer
    ]
    return state, options | {"conv_clamp": clamps.pop()}


def plain_number(value: Any) -> float:
    """A number that NVIDIA's code keeps as such, or as an array of [height, width]."""
    value = value.value if isinstance(value, Array) else value
    value = value[0] if isinstance(value, list) else value
    if not isinstance(value, int | float):
        raise ValueError("it has a setting that is not a number")
    return value


def read_config_beside(path: Path) -> dict[str, Any]:
    """The config.json of a BigGAN-deep, in its folder: also <name>config.json beside <name>pytorch_model.bin."""
    own_name = path.with_name(path.name.replace("pytorch_model.bin", "config.json"))
    for candidate in (own_name, path.with_name("config.json")):
        if candidate != path and candidate.is_file():
            if candidate.stat().st_size > 65536:
                raise ValueError(f"{candidate.name} is too long to be a BigGAN-deep's")
            return json.loads(candidate.read_text("utf-8"))
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
    return " ".join((str(error).strip() or type(error).__name__).splitlines()[0].split()).rstrip(".")[:400]
