"""Tensors as torch.save and NVIDIA's pickles store them: announced first, read only if they are wanted."""

import mmap
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from io import BytesIO
from itertools import islice
from typing import Any, BinaryIO

import torch
from torch import Tensor

from .unpickler import PLAIN, Array, Global, Inert, Known, read_pickle, whole

MAX_RECORDS = 20_000  # parts of a zip archive; one per tensor
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
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
}


@dataclass
class Storage:
    """Numbers announced in a pickle; `fetch` gets their bytes, once they are known to be there."""

    key: str
    dtype: torch.dtype
    numel: int
    fetch: Callable[[], bytes] | None = field(default=None, compare=False)

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize

    @cached_property
    def numbers(self) -> Tensor:
        """[numel]; read once, however many tensors share them."""
        data = bytearray(self.fetch())  # torch wants what may be written to
        return torch.frombuffer(data, dtype=self.dtype) if data else torch.empty(0, dtype=self.dtype)

    def open(self) -> "Storage":
        return self


@dataclass(frozen=True)
class Payload:
    """A storage in NVIDIA's pickles: bytes that are a legacy torch file in themselves."""

    data: bytes

    @property
    def nbytes(self) -> int:
        return len(self.data)

    def open(self) -> Storage:
        storage = read_legacy(BytesIO(self.data))
        if not isinstance(storage, Storage):
            raise ValueError("it has a tensor without data")
        return storage


@dataclass(frozen=True)
class LazyTensor:
    """A tensor and where its numbers are."""

    storage: Storage | Payload
    offset: Any
    size: Any
    stride: Any

    @property
    def claim(self) -> int:
        """How many bytes reading it takes."""
        if isinstance(self.storage, Payload):
            return self.storage.nbytes
        return torch.Size(self.size).numel() * self.storage.dtype.itemsize

    def load(self) -> Tensor:
        storage = self.storage.open()
        check_extent(storage, self.offset, self.size, self.stride)
        return torch.as_strided(storage.numbers, self.size, self.stride, self.offset)


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


def announce_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> LazyTensor:
    if not isinstance(storage, Storage | Payload) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise ValueError("it has a tensor without data")
    if isinstance(storage, Storage):
        check_extent(storage, offset, size, stride)
    return LazyTensor(storage, offset, size, stride)


def keep_payload(data: Any) -> Payload:
    if not isinstance(data, bytes | bytearray):
        raise ValueError("it has a tensor without data")
    return Payload(bytes(data))


def keep_network(meta: Any) -> Inert:
    """A network object of NVIDIA's persistence decorator. The source code beside its state is dropped unread."""
    if not isinstance(meta, dict) or not isinstance(meta.get("state"), dict):
        raise ValueError("it has a network object without a state")
    name = meta.get("class_name")
    return Inert(Global("torch_utils.persistence", name if isinstance(name, str) else "?"), meta["state"])


KNOWN: Known = {
    **PLAIN,
    ("torch._utils", "_rebuild_tensor_v2"): announce_tensor,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
    ("torch._utils", "_rebuild_parameter_with_state"): lambda tensor, *_: tensor,
    ("torch.storage", "_load_from_bytes"): keep_payload,
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): keep_network,
}
Leaf = Tensor | LazyTensor | Array  # an entry of a state dict


def announce_storage(storages: dict[str, Storage], pid: Any) -> Storage:
    """The storage of a persistent id ('storage', type, key, location, numel, ...), noted under its key."""
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or any(pid[5:]):
        raise ValueError("it refers to data in a way that torch.save does not")
    _, kind, key, location, numel = pid[:5]
    if not isinstance(kind, Global) or kind.name not in STORAGES or not isinstance(key, str):
        raise ValueError("it refers to data of a kind that no generator has")
    # where the tensor was when it was saved (cpu, cuda:0, mps:0) says nothing; on "meta" there never was any
    if not isinstance(location, str) or not re.fullmatch(r"(?!meta)[a-z_]{2,20}(:\d{1,3})?", location):
        raise ValueError("it refers to data on a device that holds none")
    storage = Storage(key, STORAGES[kind.name], whole(numel))
    if storages.setdefault(key, storage) != storage:
        raise ValueError("it gives two sizes for the same data")
    return storages[key]


def read_zip(file: BinaryIO, size: int) -> Any:
    """What a zip of torch.save holds, once everything that its pickle announces is known to be there."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        records = islice(re.finditer(rb"PK\x01\x02", view), MAX_RECORDS + 1)
        if sum(1 for _ in records) > MAX_RECORDS:  # before zipfile makes an object of each
            raise ValueError(f"it is a zip archive of more than {MAX_RECORDS} parts, which no generator has")
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise ValueError("it is a zip archive without its end: it was cut short, so get it again") from error
    except OSError as error:  # zipfile seeks where the directory says
        raise ValueError("it is a zip archive whose directory is damaged") from error
    records = {info.filename: info for info in archive.infolist()}
    root = next(iter(records), "").split("/")[0]
    bookkeeping = ("version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id")
    allowed = re.compile(re.escape(root) + r"/(data\.pkl|data/\d{1,20}|" + "|".join(map(re.escape, bookkeeping)) + ")")
    if f"{root}/constants.pkl" in records:
        raise ValueError(
            "it is TorchScript, a program; save its weights: torch.save(torch.jit.load(file).state_dict(), other)"
        )
    if any(name.endswith((".pkl", ".pt", ".pth", ".safetensors")) for name in records if "/" not in name):
        raise ValueError(f"it is a zip archive that holds {next(iter(records))[:60]!r}; unpack it first")
    if records and all(name.endswith(".npy") for name in records):
        raise ValueError("it is an archive of NumPy arrays (.npz), which no generator is published as")
    if not records or len(records) != len(archive.infolist()) or not all(allowed.fullmatch(name) for name in records):
        raise ValueError("it is a zip archive, but not one that torch.save makes")
    if any(i.compress_type != zipfile.ZIP_STORED or i.file_size != i.compress_size for i in records.values()):
        raise ValueError("it is a zip archive with compressed parts, which torch.save does not make")
    if sum(i.file_size for i in records.values()) > size or min(i.header_offset for i in records.values()) != 0:
        raise ValueError("it is a zip archive that claims more data than it holds")
    if f"{root}/byteorder" in records and archive.read(f"{root}/byteorder") != b"little":
        raise ValueError("its numbers are not in little-endian order")
    storages: dict[str, Storage] = {}
    value = read_pickle(BytesIO(archive.read(f"{root}/data.pkl")), KNOWN, partial(announce_storage, storages))
    for key, storage in storages.items():
        record = records.get(f"{root}/data/{key}")
        if record is None or record.file_size != storage.nbytes:
            raise ValueError("its parts are not as long as they should be")
        storage.fetch = partial(archive.read, record)
    return value


def read_legacy(stream: Any) -> Any:
    """What a file of torch.save before 1.6 holds: five pickles, then the raw numbers; all are known to be there."""
    storages: dict[str, Storage] = {}
    magic, protocol, system = (read_pickle(stream, {}) for _ in range(3))
    if magic != LEGACY_MAGIC or protocol != 1001 or not isinstance(system, dict) or not system.get("little_endian"):
        raise ValueError("it is not a file that torch.save makes")
    value = read_pickle(stream, KNOWN, partial(announce_storage, storages))
    keys = read_pickle(stream, {})
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("its parts have no names")
    if len(keys) != len(storages) or set(keys) != storages.keys():
        raise ValueError("its parts do not fit together")
    for key in keys:
        numel, storage, start = int.from_bytes(stream.read(8), "little"), storages[key], stream.tell()
        stream.seek(0, 2)
        if numel != storage.numel or stream.tell() - start < storage.nbytes:
            raise ValueError("its parts are not as long as they should be; it was cut short, so get it again")
        stream.seek(start + storage.nbytes)
        storage.fetch = partial(read_at, stream, start, storage.nbytes)
    if stream.read(1):
        raise ValueError("it goes on after its end")
    return value


def read_at(stream: Any, start: int, count: int) -> bytes:
    stream.seek(start)
    return stream.read(count)
