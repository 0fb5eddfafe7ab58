"""Which of the tables in a file is the generator's: under whatever wrappers and prefixes, told by the names in it."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from .layouts import LAYOUTS
from .storages import Leaf
from .unpickler import Inert

MOST_ENTRIES, DEEPEST = 300_000, 16  # in all tables of a file, and tables in one another; a large one has 10,000 and 6
MOST_OBJECTS, LONGEST = 2000, 200  # network objects in one another, and characters of a name
AVERAGED = re.compile(
    r"(^|[._])(g?ema|gs|smooth|running|avg|averaged?)([._\d]|$)", re.IGNORECASE
)  # g_ema, netG_ema, Gs
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
    beside: dict[str, Any]  # what the tables around it hold, the nearest first

    def descriptions(self) -> Iterator[str]:
        yield from self.entries
        yield from (f"class {thing.origin}" for thing in self.objects.values())


@dataclass
class Table:
    """A generator's state dict as it was published, without what was around it."""

    path: str
    state: dict[str, Leaf]
    objects: dict[
        str, dict[str, Any]
    ]  # what the network objects keep besides tensors, by name; empty if there are none
    latent_avg: Leaf | None


def find_table(value: Any) -> Table:
    """The one generator in what a file holds; of one and its moving average, the average.

    Raises: ValueError if there is none or more than one, or it is part of an architecture of another kind.
    """
    units, outermost = open_tables(value), describe(value)
    found = [(unit, prefix) for unit in units for prefix in find_prefixes(unit)]
    averaged = [(unit, prefix) for unit, prefix in found if AVERAGED.search(unit.path + prefix)]
    found = averaged or found
    for text in (text for unit in ([unit for unit, _ in found] or units) for text in unit.descriptions()):
        for known_by, name in OTHERS:
            if known_by.search(text):
                raise ValueError(f"it is {name}, which is not read here; {READ_HERE}")
    if not found:
        raise ValueError(f"it holds {outermost}, and none of the generators known here; {READ_HERE}")
    if len(found) > 1:
        names = ", ".join(repr((unit.path + prefix).rstrip(".")[:40] or "the whole") for unit, prefix in found[:4])
        raise ValueError(f"it holds {len(found)} generators, {names}; save the one that you want in a file of its own")
    ((unit, prefix),) = found
    state = {name.removeprefix(prefix): leaf for name, leaf in unit.entries.items() if name.startswith(prefix)}
    objects = {f"{name}.".removeprefix(prefix).removesuffix("."): thing.state for name, thing in unit.objects.items()
               if f"{name}.".startswith(prefix)}  # fmt: skip
    means = [state.pop("latent_avg", None), unit.entries.get("latent_avg"), unit.beside.get("latent_avg")]
    return Table(unit.path + prefix, state, objects, next((mean for mean in means if mean is not None), None))


def describe(value: Any) -> str:
    """What a file holds, from outside: the keys of a table, or what it is."""
    if isinstance(value, Inert) and not value:
        return f"an object of {value.origin}"
    if isinstance(value, dict):
        keys = [f"{key[:40]!r}" + (f" (of {child.origin})" if isinstance(child, Inert) and not child else "")
                for key, child in list(value.items())[:6] if isinstance(key, str)]  # fmt: skip
        return f"{', '.join(keys)}{' and more' if len(value) > 6 else ''}" if keys else "a table without names"
    return "a tensor" if isinstance(value, Leaf) else f"a {type(value).__name__} and no table of tensors"


def open_tables(value: Any) -> list[Unit]:
    """Every table in a value that may hold tensors."""
    units: list[Unit] = []
    left = MOST_ENTRIES
    pending: list[tuple[str, Any, dict[str, Any]]] = [("", value, {})]
    for path, node, beside in pending:  # grows as tables are opened
        if path.count(".") > DEEPEST or len(path) > 4 * LONGEST:
            raise ValueError("its tables are nested in a way that no checkpoint's are")
        if isinstance(node, Inert) and isinstance(node.state, dict):
            if isinstance(node.state.get("_modules"), dict):
                units.append(open_network(path, node, beside, left))
                left -= len(units[-1].entries) + len(units[-1].objects)
                continue
            node = {**node.state, **node}
        if not isinstance(node, dict):
            continue
        left -= len(node) + 1
        if left < 0:
            raise ValueError("its tables are nested in a way that no checkpoint's are")
        named = {key: child for key, child in node.items() if isinstance(key, str) and len(key) <= LONGEST}
        around = {**beside, "latent_avg": named["latent_avg"]} if named.get("latent_avg") is not None else beside
        entries = {key: child for key, child in named.items() if isinstance(child, Leaf)}
        units.append(Unit(path, entries, {}, around))
        pending.extend((f"{path}{key}.", child, around) for key, child in named.items() if isinstance(child, dict))
    return units


def open_network(path: str, network: Inert, beside: dict[str, Any], left: int) -> Unit:
    """All tensors in a network object, under the names that its state dict would have."""
    entries: dict[str, Leaf] = {}
    objects: dict[str, Inert] = {}
    pending: list[tuple[str, Any]] = [("", network)]
    for prefix, module in pending:  # grows as modules are opened
        parts = module.state if isinstance(module, Inert) and module.state else {}
        tables = [parts.get(kind) for kind in ("_modules", "_parameters", "_buffers")]
        left -= sum(map(len, tables)) if all(isinstance(table, dict) for table in tables) else left + 1
        if left < 0 or len(pending) > MOST_OBJECTS or len(prefix) > LONGEST:
            raise ValueError("its networks are nested in a way that no generator's are")
        objects[prefix.removesuffix(".")] = module
        modules, *leaves = tables
        for name, leaf in (entry for table in leaves for entry in table.items()):
            if isinstance(leaf, Leaf):
                entries[f"{prefix}{name[:LONGEST]}"] = leaf
        pending += [(f"{prefix}{name[:LONGEST]}.", child) for name, child in modules.items() if child is not None]
    return Unit(path, entries, objects, beside)


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
