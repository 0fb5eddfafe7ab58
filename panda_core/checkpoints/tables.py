"""Which of the tables in a file is the generator's: under whatever wrappers and prefixes, told by the names in it."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from .layouts import LAYOUTS
from .storages import Leaf
from .unpickler import Inert

MAX_ENTRIES = 300_000  # in all tables of a file; a large one has 10,000
MAX_LOOKED_AT = 5000  # names, for those that tell another architecture
LONGEST = 200  # characters of a name
# g_ema, netG_ema, generator_smooth, Gs
AVERAGED = re.compile(r"(^|[._])(g?ema|gs|smooth|running|avg|averaged?)([._\d]|$)", re.IGNORECASE)
READ_HERE = (
    "read are ProgressiveGAN, StyleGAN1 and StyleGAN2 under genforce's names, StyleGAN2 under rosinality's, "
    "StyleGAN2 and StyleGAN3 under NVIDIA's, and BigGAN-deep under Hugging Face's"
)
OTHERS = [(re.compile(entry["known_by"]), entry["is"]) for entry in
          tomllib.loads(Path(__file__).with_name("others.toml").read_text("utf-8"))["other"]]  # fmt: skip


@dataclass
class Unit:
    """Entries that belong together: of one table, or of a network object and all that are in it."""

    path: str  # of the tables around it, "state_dict." for example
    entries: dict[str, Leaf]
    objects: dict[str, Inert]  # of a network object: it and those in it, by name
    beside: dict[str, Any]  # of the tables around it, what may belong to it

    def describe(self, prefix: str = "") -> Iterator[str]:
        """The names under a prefix, and the classes of the network objects that they are in."""
        yield from (name for name in self.entries if name.startswith(prefix))
        for name, thing in self.objects.items():
            if f"{name}.".startswith(prefix) or f".{prefix}".startswith(f".{name}".rstrip(".")):
                yield f"class {thing.origin}"


@dataclass
class Table:
    """A generator's state dict as it was published, without what was around it."""

    state: dict[str, Leaf]
    objects: dict[str, dict[str, Any]]  # what its network objects keep besides tensors, by name; a state dict has none
    latent_avg: Any


def find_table(value: Any) -> Table:
    """The one generator in what a file holds; of one and its moving average, the average.

    Raises: ValueError if there is none or more than one, or it is part of an architecture of another kind.
    """
    units, is_all = open_tables(value)
    found = [(unit, prefix) for unit in units for prefix in find_prefixes(unit)]
    averaged = [(unit, prefix) for unit, prefix in found if AVERAGED.search(unit.path + prefix)]
    found = averaged or found
    looked_at = (text for unit, prefix in found or [(unit, "") for unit in units] for text in unit.describe(prefix))
    for text in islice(looked_at, MAX_LOOKED_AT):
        for known_by, name in OTHERS:
            if known_by.search(text):
                raise ValueError(f"it is {name}, which is not read here; {READ_HERE}")
    if not found and not is_all:
        raise ValueError("its tables are nested in a way that no checkpoint's are")
    if not found:
        raise ValueError(f"it holds {describe(value)}, and none of the generators known here; {READ_HERE}")
    if len(found) > 1:
        names = ", ".join(repr((unit.path + prefix).rstrip(".")[:40] or "the whole") for unit, prefix in found[:4])
        raise ValueError(f"it holds {len(found)} generators, {names}; save the one that you want in a file of its own")
    ((unit, prefix),) = found
    state = {name.removeprefix(prefix): leaf for name, leaf in unit.entries.items() if name.startswith(prefix)}
    objects = {f"{name}.".removeprefix(prefix).removesuffix("."): thing.state for name, thing in unit.objects.items()
               if f"{name}.".startswith(prefix)}  # fmt: skip
    means = [state.pop("latent_avg", None), unit.entries.get("latent_avg"), unit.beside.get("latent_avg")]
    return Table(state, objects, next((mean for mean in means if mean is not None), None))


def describe(value: Any) -> str:
    """What a file holds, from outside: the keys of a table, or what it is."""
    if isinstance(value, Inert) and not value:
        return f"an object of {value.origin}"
    if isinstance(value, dict):
        keys = [f"{key[:40]!r}" + (f" (of {child.origin})" if isinstance(child, Inert) and not child else "")
                for key, child in list(value.items())[:6] if isinstance(key, str)]  # fmt: skip
        return f"{', '.join(keys)}{' and more' if len(value) > 6 else ''}" if keys else "a table without names"
    return "a tensor" if isinstance(value, Leaf) else f"no table of tensors (a value of type {type(value).__name__})"


def open_tables(value: Any) -> tuple[list[Unit], bool]:
    """Every table in a value that may hold tensors, the outer ones first; and whether all were opened.

    Each is opened once, however often it is referred to, and none is that is nested too deeply.
    """
    units: list[Unit] = []
    opened, left, is_all = set(), MAX_ENTRIES, True
    pending: list[tuple[str, Any, dict[str, Any]]] = [("", value, {})]
    for path, node, beside in pending:  # grows as tables are opened
        if left < 0 or len(path) > 4 * LONGEST:
            is_all = False
        elif isinstance(node, dict) and id(node) not in opened:
            opened.add(id(node))
            state = node.state if isinstance(node, Inert) and node.state else {}
            if isinstance(state.get("_modules"), dict):
                unit, left = open_network(path, node, beside, left)
                units.append(unit)
                is_all &= left >= 0
                continue
            inside = {**state, **node}
            left -= len(inside) + 1
            named = {key: child for key, child in inside.items() if isinstance(key, str) and len(key) <= LONGEST}
            around = {**beside, "latent_avg": named["latent_avg"]} if named.get("latent_avg") is not None else beside
            units.append(
                Unit(path, {key: child for key, child in named.items() if isinstance(child, Leaf)}, {}, around)
            )
            pending += [(f"{path}{key}.", child, around) for key, child in named.items() if isinstance(child, dict)]
    return units, is_all


def open_network(path: str, network: Inert, beside: dict[str, Any], left: int) -> tuple[Unit, int]:
    """All tensors in a network object, under the names that its state dict would have; and how many may follow."""
    unit = Unit(path, {}, {}, beside)
    pending: list[tuple[str, Any]] = [("", network)]
    for prefix, module in pending:  # grows as modules are opened
        state = module.state if isinstance(module, Inert) and module.state else {}
        tables = [state.get(kind) for kind in ("_modules", "_parameters", "_buffers")]
        if left < 0 or len(prefix) > LONGEST or not all(isinstance(table, dict) for table in tables):
            continue  # what that costs a generator is missed later
        left -= 1 + sum(map(len, tables))
        unit.objects[prefix.removesuffix(".")] = module
        modules, *leaves = (
            {f"{prefix}{name}": child for name, child in table.items() if isinstance(name, str)} for table in tables
        )
        for table in leaves:
            unit.entries |= {
                name: leaf for name, leaf in table.items() if isinstance(leaf, Leaf) and len(name) <= LONGEST
            }
        pending += [(f"{name}.", child) for name, child in modules.items() if len(name) <= LONGEST]
    return unit, left


def find_prefixes(unit: Unit) -> list[str]:
    """What stands before the names of each generator in the unit: "", "module.", "decoder.", "g_ema.module." ..."""
    signatures = [layout["signature"] for layout in LAYOUTS.values()]
    prefixes = {name.removesuffix(signature) for name in unit.entries for signature in signatures
                if f".{name}".endswith(f".{signature}")}  # fmt: skip
    return sorted(p for p in prefixes if not any(p != other and p.startswith(other) for other in prefixes))


def load_state(table: Table, size: int) -> dict[str, Tensor]:
    """The table's tensors, of which no more than `size` bytes can be there."""
    if sum(leaf.claim for leaf in table.state.values() if not isinstance(leaf, Tensor)) > size:
        raise ValueError("its tensors claim more data than it holds")  # views of the same numbers, over and over
    return {name: load_leaf(leaf) for name, leaf in table.state.items()}


def load_leaf(leaf: Leaf) -> Tensor:
    return leaf if isinstance(leaf, Tensor) else leaf.load()
