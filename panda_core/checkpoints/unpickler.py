"""Pickles read as data, by a small interpreter that builds plain values and imports and calls nothing of theirs.

Errors are ValueErrors whose text is a clause about the file ("it ends too early"); `checkpoints` makes the sentence.
"""

import mmap
import re
import zipfile
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pickletools import genops
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

MAX_OPERATIONS = 1_000_000  # a large published file has 100,000; each can cost some 100 bytes of memory
MAX_RECORDS = 20_000  # parts of a zip archive; one per tensor
CONSTANT = re.compile(r"BININT[12]?|LONG[14]|BINFLOAT|SHORT_BIN(UNICODE|BYTES)|BIN(UNICODE|BYTES)8?")
MADE = {  # by operations without an argument; a set is kept as a list: nothing is hashed
    **{"NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False},
    **{"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": list, "EMPTY_TUPLE": tuple},
}
WHERE_ELSE = (
    "the same weights can be had for PyTorch: StyleGAN2 from huggingface.co/ZeqiangLai/StyleGAN2 (.pt) or NVIDIA's "
    "catalogue ngc.nvidia.com (stylegan2, .pkl), ProgressiveGAN and StyleGAN1 from huggingface.co/huggan, BigGAN-deep "
    "from s3.amazonaws.com/models.huggingface.co/biggan"
)


@dataclass(frozen=True)
class Global:
    """A name that a pickle mentions: never imported, only compared with the few that are admitted."""

    module: str
    name: str


class Record(dict):
    """An object of which only the entries are kept, not the attributes."""

    def build(self, state: Any) -> None:
        pass


Admitted = Mapping[tuple[str, str], Callable[..., Any]]


def read_pickle(stream: Any, admitted: Admitted, persistent: Callable[[Any], Any] | None = None) -> Any:
    """The value of the one pickle that starts at the stream's position.

    Args:
        stream: bytes in memory or a mapped file, so that a length field can promise no more than is there.
        admitted: what stands in for each global that may be called.
        persistent: makes the value of a persistent id.
    Raises: ValueError for anything that the published files do not do.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def pop(count: int) -> list[Any]:
        """The last so many values of the stack; they leave it."""
        if count > len(stack):
            raise ValueError("it takes more than it has")
        values = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        return values

    def pop_to_mark() -> list[Any]:
        return pop(len(stack) - marks.pop())

    def plain(keys: list[Any]) -> list[Any]:
        if not all(isinstance(key, str | int | float) for key in keys):  # a nest of tuples takes forever to hash
            raise ValueError("it has a table whose keys are not names or numbers")
        return keys

    def admit(module: Any, name: Any) -> Global:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("it asks for something without a name")
        if module.startswith(("dnnlib.tflib", "tfutil", "tensorflow")):
            raise ValueError(f"it is a TensorFlow pickle, which is not read; {WHERE_ELSE}")
        if (module, name) not in admitted:
            raise ValueError(f"it asks for {module[:60]!r} {name[:60]!r}, which no generator's weights need")
        return Global(module, name)

    def call(function: Any, arguments: Any) -> Any:
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise ValueError("it calls something that is not a function by name")
        return admitted[function.module, function.name](*arguments)

    for count, (opcode, argument, _) in enumerate(genops(stream)):
        if count >= MAX_OPERATIONS:
            raise ValueError(f"it has more than {MAX_OPERATIONS} pickle operations, which no generator has")
        match opcode.name:
            case "PROTO" if argument in (2, 3, 4, 5):
                pass
            case "FRAME":
                pass
            case name if name in MADE:
                stack.append(MADE[name]())
            case name if CONSTANT.fullmatch(name):
                stack.append(argument)
            case "MARK":
                marks.append(len(stack))
            case "TUPLE":
                stack.append(tuple(pop_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(pop(int(opcode.name[-1]))))
            case "APPEND" | "APPENDS":
                values = pop(1) if opcode.name == "APPEND" else pop_to_mark()
                list.extend(stack[-1], values)
            case "ADDITEMS":
                values = plain(pop_to_mark())
                list.extend(stack[-1], values)
            case "SETITEM" | "SETITEMS":
                pairs = pop(2) if opcode.name == "SETITEM" else pop_to_mark()
                dict.update(stack[-1], zip(plain(pairs[::2]), pairs[1::2], strict=True))
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]  # a table, not an array: a huge index costs nothing
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(admit(*argument.split(" ")))
            case "STACK_GLOBAL":
                stack.append(admit(*pop(2)))
            case "REDUCE" | "NEWOBJ":
                stack.append(call(*pop(2)))
            case "BUILD":
                (state,) = pop(1)
                if hasattr(stack[-1], "build"):
                    stack[-1].build(state)
                elif not isinstance(stack[-1], dict):  # what a state dict's BUILD adds is bookkeeping
                    raise ValueError("it gives a state to something that has none")
            case "BINPERSID" if persistent is not None:
                stack.append(persistent(*pop(1)))
            case "STOP":
                (value,) = stack
                return value
            case _:
                raise ValueError(f"it has the pickle operation {opcode.name}, which no generator's weights need")
    raise ValueError("it ends too early")


# ---- what torch.save writes: checked here, then read by torch.load(weights_only=True)


@dataclass(frozen=True)
class Storage:
    """Numbers announced in a pickle, not there yet."""

    key: str
    dtype: torch.dtype
    numel: int

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize


LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**48:
        raise ValueError("it has a size that is not a whole number in range")
    return value


def check_extent(storage: Storage, offset: Any, size: Any, stride: Any) -> None:
    """Raise a ValueError unless a tensor lies inside its storage and claims no more than is there."""
    size, stride = [whole(n) for n in size], [whole(n) for n in stride]
    if len(size) != len(stride) or len(size) > 8:
        raise ValueError("it has a tensor whose sizes and strides do not agree")
    numel = 1
    for n in size:
        numel *= n
    last = whole(offset) + sum((n - 1) * step for n, step in zip(size, stride))
    if numel > storage.numel or (numel and last >= storage.numel):
        raise ValueError("it has a tensor that is larger than the data it points to")


def announce_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Storage:
    if not isinstance(storage, Storage):
        raise ValueError("it has a tensor without data")
    check_extent(storage, offset, size, stride)
    return storage


def empty_table(*items: Any) -> dict[str, Any]:
    if items:
        raise ValueError("it makes a table in a way that no generator's file does")
    return {}


def refuse_call(*_: Any) -> None:
    raise ValueError("it calls what may only be named")


TORCH_ADMITTED: Admitted = {
    ("torch._utils", "_rebuild_tensor_v2"): announce_tensor,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
    ("collections", "OrderedDict"): empty_table,
    ("argparse", "Namespace"): lambda: Record(),  # rosinality's training checkpoints hold their arguments
    **{("torch", name): refuse_call for name in STORAGES},  # named in persistent ids
}


def announce_storage(storages: dict[str, Storage], pid: Any) -> Storage:
    """The storage of a persistent id ('storage', type, key, location, numel, ...), noted under its key."""
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or any(pid[5:]):
        raise ValueError("it refers to data in a way that torch.save does not")
    _, kind, key, location, numel = pid[:5]
    if not isinstance(kind, Global) or kind.name not in STORAGES or not isinstance(key, str):
        raise ValueError("it refers to data of a kind that no generator has")
    if not isinstance(location, str) or not re.fullmatch(r"cpu|cuda(:\d{1,2})?", location):
        raise ValueError("it refers to data on a device that is not known")
    storage = Storage(key, STORAGES[kind.name], whole(numel))
    if storages.setdefault(key, storage) != storage:
        raise ValueError("it gives two sizes for the same data")
    return storage


def check_zip(file: BinaryIO, size: int) -> None:
    """Raise a ValueError unless the file is a zip of torch.save that holds all that its pickle announces."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        records = islice(re.finditer(rb"PK\x01\x02", view), MAX_RECORDS + 1)
        if sum(1 for _ in records) > MAX_RECORDS:  # before zipfile makes an object of each
            raise ValueError(f"it is a zip archive of more than {MAX_RECORDS} parts, which no generator has")
    archive = zipfile.ZipFile(file)
    records = {info.filename: info for info in archive.infolist()}
    root = next(iter(records), "").split("/")[0]
    bookkeeping = ("version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id")
    allowed = re.compile(re.escape(root) + r"/(data\.pkl|data/\d{1,20}|" + "|".join(map(re.escape, bookkeeping)) + ")")
    if not records or len(records) != len(archive.infolist()) or not all(allowed.fullmatch(name) for name in records):
        raise ValueError("it is a zip archive, but not one that torch.save makes")
    if any(i.compress_type != zipfile.ZIP_STORED or i.file_size != i.compress_size for i in records.values()):
        raise ValueError("it is a zip archive with compressed parts, which torch.save does not make")
    if sum(i.file_size for i in records.values()) > size or min(i.header_offset for i in records.values()) != 0:
        raise ValueError("it is a zip archive that claims more data than it holds")
    if f"{root}/byteorder" in records and archive.read(f"{root}/byteorder") != b"little":
        raise ValueError("its numbers are not in little-endian order")
    storages: dict[str, Storage] = {}
    read_pickle(BytesIO(archive.read(f"{root}/data.pkl")), TORCH_ADMITTED, lambda pid: announce_storage(storages, pid))
    for key, storage in storages.items():
        record = records.get(f"{root}/data/{key}")
        if record is None or record.file_size != storage.nbytes:
            raise ValueError("its parts are not as long as they should be")


def check_legacy(stream: Any) -> None:
    """Raise a ValueError unless the stream is a file of torch.save before 1.6: five pickles, then the raw numbers."""
    storages: dict[str, Storage] = {}
    magic, protocol, system = (read_pickle(stream, {}) for _ in range(3))
    if magic != LEGACY_MAGIC or protocol != 1001 or not isinstance(system, dict) or not system.get("little_endian"):
        raise ValueError("it is not a file that torch.save makes")
    read_pickle(stream, TORCH_ADMITTED, lambda pid: announce_storage(storages, pid))
    keys = read_pickle(stream, {})
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("its parts have no names")
    if len(keys) != len(storages) or set(keys) != storages.keys():
        raise ValueError("its parts do not fit together")
    for key in keys:
        numel, nbytes = int.from_bytes(stream.read(8), "little"), storages[key].nbytes
        if numel != storages[key].numel or len(stream.read(nbytes)) != nbytes:
            raise ValueError("its parts are not as long as they should be")
    if stream.read(1):
        raise ValueError("it goes on after its end")


def load_torch(file: BinaryIO, size: int) -> Any:
    """What torch.save wrote to the file, once everything that it announces is known to be there."""
    if file.read(4) == b"PK\x03\x04":
        try:
            check_zip(file, size)
        except OSError as error:  # zipfile seeks where the directory says
            raise ValueError("it is a zip archive whose directory is damaged") from error
    else:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            check_legacy(view)
    file.seek(0)
    with torch.serialization.safe_globals([Namespace]):
        return torch.load(file, map_location="cpu", weights_only=True)


# ---- what NVIDIA's persistence decorator writes


@dataclass
class Module:
    """A network object: what its `__dict__` held. The source code beside it is dropped unread."""

    state: dict[str, Any]


@dataclass(frozen=True)
class LazyTensor:
    """A tensor and the bytes of its storage, a legacy torch file in itself; read only if it is wanted."""

    data: bytes
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def load(self) -> Tensor:
        check_legacy(BytesIO(self.data))
        typed = torch.load(BytesIO(self.data), map_location="cpu", weights_only=True)
        dtype, storage = typed.dtype, typed._untyped_storage
        check_extent(Storage("", dtype, storage.nbytes() // dtype.itemsize), self.offset, self.size, self.stride)
        return torch.empty(0, dtype=dtype).set_(storage, self.offset, self.size, self.stride)


def keep_module(meta: Any) -> Module:
    if not isinstance(meta, dict) or not isinstance(meta.get("state"), dict):
        raise ValueError("it has a network object without a state")
    return Module(meta["state"])


def keep_tensor(data: Any, offset: Any, size: Any, stride: Any, *_: Any) -> LazyTensor:
    if not isinstance(data, bytes) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise ValueError("it has a tensor without data")
    return LazyTensor(data, offset, size, stride)


class Dtype:
    """A numpy dtype of plain numbers."""

    def __init__(self, name: Any, *_: Any):
        if not isinstance(name, str) or not re.fullmatch(r"[biuf][1248]", name):
            raise ValueError("it has numbers of a kind that no generator has")
        self.dtype = np.dtype(name)

    def build(self, state: Any) -> None:
        if state[1] not in ("<", "|", "="):
            raise ValueError("its numbers are not in little-endian order")


class Array:
    """A numpy array of plain numbers; `value` is the same as nested lists."""

    def __init__(self, *_: Any):
        self.value: Any = None

    def build(self, state: Any) -> None:
        _, shape, dtype, _, data = state
        if len(data) <= 512:  # larger ones are no settings
            self.value = np.frombuffer(data, dtype.dtype).reshape([whole(n) for n in shape]).tolist()


def number(dtype: Dtype, data: bytes) -> Any:
    return np.frombuffer(data, dtype.dtype)[0].item()


NVIDIA_ADMITTED: Admitted = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): keep_module,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
    ("torch._utils", "_rebuild_tensor_v2"): keep_tensor,
    ("torch.storage", "_load_from_bytes"): lambda data: data,
    ("collections", "OrderedDict"): empty_table,
    ("dnnlib.util", "EasyDict"): lambda: Record(),
    ("builtins", "set"): lambda items: items,
    ("numpy", "dtype"): Dtype,
    ("numpy", "ndarray"): Array,
    **{(f"numpy.{core}.multiarray", "scalar"): number for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): Array for core in ("core", "_core")},
}
