"""Pickles read as data, by a small interpreter that builds plain values and imports and calls nothing of theirs.

Errors are ValueErrors whose text is a clause about the file ("it ends too early"); `load` makes the sentence.

Why not pickle.Unpickler with an allow-list in find_class: it hashes whatever a pickle makes a key, before anything of
ours is asked. A tuple that holds itself twice, 26 deep (137 bytes), takes half a second and every 4 bytes more double
it; one nested 400,000 deep overflows C's stack and ends the process; a memo index of 2^32 asks for 64 GB.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pickletools import genops
from typing import Any

import numpy as np
import torch
from torch import Tensor

MAX_OPERATIONS = 1_000_000  # a large published file has 100,000; each can cost some 100 bytes of memory
CONSTANT = re.compile(r"BININT[12]?|LONG[14]|BINFLOAT|SHORT_BIN(UNICODE|BYTES)|BIN(UNICODE|BYTES)8?|BYTEARRAY8")
MADE = {  # by operations without an argument; a set is kept as a list: nothing is hashed
    **{"NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False},
    **{"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": list, "EMPTY_TUPLE": tuple},
}
WHERE_ELSE = (
    "a StyleGAN2 of your own becomes a .pkl that is read with legacy.py of NVIDIA's stylegan2-ada-pytorch; the "
    "published weights can be had for PyTorch: StyleGAN2 from huggingface.co/ZeqiangLai/StyleGAN2 or "
    "catalog.ngc.nvidia.com, "
    "ProgressiveGAN and StyleGAN1 from huggingface.co/huggan, BigGAN-deep from s3.amazonaws.com/models.huggingface.co"
)


@dataclass(frozen=True)
class Global:
    """A name that a pickle mentions: never imported, only compared with the few that are known here."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module[:60]}.{self.name[:60]}"


class Inert(dict):
    """What a pickle wants made by something that is not known here: its entries, and the state it would be given.

    A network object of NVIDIA's or of torch.save(network) is one, whose state has "_modules"; what stands beside the
    weights (a Path, a device, arguments) is one too, and nobody looks at it.
    """

    __slots__ = ("origin", "state")

    def __init__(self, origin: Global, state: Any = None):
        super().__init__()
        self.origin, self.state = origin, None
        self.build(state)

    def build(self, state: Any) -> None:
        state = state[0] if isinstance(state, tuple) and len(state) == 2 else state  # __dict__ and slots
        self.state = state if isinstance(state, dict) else None


Known = Mapping[tuple[str, str], Callable[..., Any]]


def read_pickle(stream: Any, known: Known, persistent: Callable[[Any], Any] | None = None) -> Any:
    """The value of the one pickle that starts at the stream's position.

    Args:
        stream: bytes in memory or a mapped file, so that a length field can promise no more than is there.
        known: our stand-in for each global that we know; what any other makes becomes `Inert`.
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

    def fill(pairs: list[Any]) -> None:
        if len(pairs) % 2:
            raise ValueError("it has a key without a value")
        named = zip(pairs[::2], pairs[1::2])
        # entries under other keys are nobody's weights, and a nest of tuples takes forever to hash
        dict.update(stack[-1], {key: value for key, value in named if isinstance(key, str | int | float)})

    def extend(values: list[Any]) -> None:
        if not isinstance(stack[-1], Inert):
            list.extend(stack[-1], values)

    def mention(module: Any, name: Any) -> Global:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("it asks for something without a name")
        if module.startswith(("dnnlib.tflib", "tfutil", "tensorflow")):
            raise ValueError(f"it is a TensorFlow pickle, which is not read; {WHERE_ELSE}")
        return Global(module, name)

    def call(function: Any, arguments: Any) -> Any:
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise ValueError("it calls something that is not a function by name")
        stand_in = known.get((function.module, function.name))
        return Inert(function) if stand_in is None else stand_in(*arguments)

    for count, (opcode, argument, _) in enumerate(operations(stream)):
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
                extend(pop(1) if opcode.name == "APPEND" else pop_to_mark())
            case "ADDITEMS":
                extend(pop_to_mark())
            case "FROZENSET":
                stack.append(pop_to_mark())
            case "SETITEM" | "SETITEMS":
                fill(pop(2) if opcode.name == "SETITEM" else pop_to_mark())
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]  # a table, not an array: a huge index costs nothing
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(mention(*argument.split(" ")))
            case "STACK_GLOBAL":
                stack.append(mention(*pop(2)))
            case "REDUCE" | "NEWOBJ":
                stack.append(call(*pop(2)))
            case "NEWOBJ_EX":
                stack.append(call(*pop(3)[:2]))
            case "BUILD":
                (state,) = pop(1)
                if hasattr(stack[-1], "build"):
                    stack[-1].build(state)
                elif not isinstance(stack[-1], dict):  # what a state dict's BUILD adds is bookkeeping
                    raise ValueError("it gives a state to something that has none")
            case "BINPERSID" if persistent is not None:
                stack.append(persistent(*pop(1)))
            case "STOP":
                if len(stack) != 1:
                    raise ValueError("it ends with more than one value, or with none")
                return stack[0]
            case _:
                raise ValueError(f"it has the pickle operation {opcode.name}, which no generator's weights need")
    raise ValueError("it ends too early")


def operations(stream: Any) -> Iterator[Any]:
    try:
        yield from genops(stream)
    except ValueError as error:
        if re.search("remain|not enough data|exhausted|no newline", str(error)):
            raise ValueError(f"it ends too early ({error}): it was cut short, so get it again") from error
        raise


# ---- what stands in for the globals of plain values


def whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**48:
        raise ValueError("it has a size that is not a whole number in range")
    return value


def empty_table(*items: Any) -> dict[str, Any]:
    if items:
        raise ValueError("it makes a table in a way that no generator's file does")
    return {}


class Dtype:
    """A numpy dtype; what is not of plain little-endian numbers has none."""

    def __init__(self, name: Any, *_: Any):
        known = isinstance(name, str) and re.fullmatch(r"[biuf][1248]", name)
        self.dtype = np.dtype(name) if known else None

    def build(self, state: Any) -> None:
        if state[1] not in ("<", "|", "="):
            self.dtype = None

    def read(self, data: Any) -> np.ndarray:
        if self.dtype is None or not isinstance(data, bytes | bytearray):
            raise ValueError("it has an array of something else than plain little-endian numbers")
        return np.frombuffer(data, self.dtype)


class Array:
    """A numpy array that is not read unless it is wanted."""

    def __init__(self, *_: Any):
        self.kept: Any = ((), None, "C", b"")  # shape, dtype, order, bytes

    def build(self, state: Any) -> None:
        _, shape, dtype, is_fortran, data = state
        self.kept = shape, dtype, "F" if is_fortran is True else "C", data

    @classmethod
    def of_buffer(cls, data: Any, dtype: Any, shape: Any, order: Any) -> "Array":  # numpy's own for protocol 5
        made = cls()
        made.kept = shape, dtype, "F" if order == "F" else "C", data
        return made

    @property
    def claim(self) -> int:
        """How many bytes reading it takes."""
        return len(self.kept[3])

    def load(self) -> Tensor:
        shape, dtype, order, data = self.kept
        if not isinstance(dtype, Dtype):
            raise ValueError("it has an array of something else than plain little-endian numbers")
        return torch.from_numpy(dtype.read(data).reshape([whole(n) for n in shape], order=order).copy())


def number(dtype: Any, data: Any) -> Any:
    try:
        return dtype.read(data)[0].item()
    except (ValueError, AttributeError, IndexError):  # of another kind, such as a date
        return Inert(Global("numpy", "scalar"))


CORES = ("numpy.core", "numpy._core")
PLAIN: Known = {
    ("collections", "OrderedDict"): empty_table,
    **{
        (module, kind): lambda items=(): items
        for module in ("builtins", "__builtin__")
        for kind in ("set", "frozenset")
    },
    ("_codecs", "encode"): lambda text, coding: text.encode("latin1"),  # bytes, in protocol 2
    ("numpy", "dtype"): Dtype,
    ("numpy", "ndarray"): Array,
    **{(f"{core}.multiarray", "scalar"): number for core in CORES},
    **{(f"{core}.multiarray", "_reconstruct"): Array for core in CORES},
    **{(f"{core}.numeric", "_frombuffer"): Array.of_buffer for core in CORES},
}
