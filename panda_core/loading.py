"""Names -> generators: found in the table or the user's own, downloaded if need be, kept as far as the memory goes."""

import os
import re
import threading
from pathlib import Path
from typing import NamedTuple

import torch

from .checkpoints.load import load_generator
from .generators.registry import GENERATORS, GeneratorSpec, LocalFile
from .generators.split import SplitGenerator, weights_hash
from .hub.download import download
from .hub.files import find_generator
from .progress import Report
from .runtime import devices
from .runtime.lru import LRUCache

LIMIT = 4 * 10**9  # bytes of generators kept; PANDA_LOADED_GB sets another


class Loaded(NamedTuple):
    generator: SplitGenerator
    weights: str  # hash

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in (*self.generator.parameters(), *self.generator.buffers()))


def read_generator(path: Path) -> Loaded:
    generator = load_generator(path)
    return Loaded(generator, weights_hash(generator))


def own_allowed() -> bool:
    """Whether the page may load what is not in the table: only if its owner says so."""
    return os.environ.get("PANDA_OWN_GENERATORS") == "1"


def find_spec(name: str, own: bool = False) -> GeneratorSpec:
    """The row of a name; with `own` also of "owner/name" or "owner/name/file" on the Hub, and of a file here.

    A file here may be written file:path, as recipes do; on a Space there are no files of the user's.

    Raises: ValueError, before anything was looked for, if the name is neither listed nor allowed; HubError.
    """
    if name in GENERATORS:
        return GENERATORS[name]
    if not re.search(r"[/\\.:]", name):
        raise ValueError(
            f"generator is {name[:100]!r}; there are {next(iter(GENERATORS))} and {len(GENERATORS) - 1} more, which "
            "python -m panda_core list shows."
        )
    if not own:
        raise ValueError(
            f"generator is {name[:100]!r}, which is not listed; this page opens those of its list only, "
            "python -m panda_core any."
        )
    path = Path(name.removeprefix("file:")).expanduser()
    if not os.environ.get("SPACE_ID") and (name.startswith("file:") or path.is_file()):
        source, repos = LocalFile(path.absolute()), ()
        name = f"file:{path.absolute()}"
    elif re.fullmatch(r"[\w.-]+/[\w.-]+(/[\w.+-]+)*", name, re.ASCII) and ".." not in name:
        owner, repo, *rest = name.split("/")
        source, repos = find_generator(f"{owner}/{repo}", "/".join(rest)), (f"{owner}/{repo}@main",)
    else:
        raise ValueError(f"generator is {name[:100]!r}; there is no such file, and on the Hub it would be owner/name.")
    return GeneratorSpec(name, name.rpartition("/")[2], "", None, (source,), "unknown; its repository may say",
                         default_layer=None, factors_repos=repos)  # fmt: skip


class Loader:
    """Keeps the generators used last, up to so many bytes; one that is dropped lives on where it is in use.

    limit: bytes; None: PANDA_LOADED_GB, or 4 GB.
    """

    def __init__(self, limit: int | None = None):
        limit = limit or float(os.environ.get("PANDA_LOADED_GB", LIMIT / 1e9)) * 1e9
        self._kept = LRUCache(limit, lambda name, loaded: loaded.nbytes, least=1)
        self._turns: dict[str, threading.Lock] = {}  # one load of a name at a time; other names do not wait

    def load(self, spec: GeneratorSpec, report: Report | None = None) -> Loaded:
        """The generator of a row, downloaded and read if it is not kept.

        Raises: HubError, Cancelled, and ValueError for a file that does not hold a generator.
        """
        with torch.inference_mode(False):  # whoever asks: weights made in that mode let nobody differentiate
            loaded = self._kept.get(spec.name)
            if loaded is None:
                path = download(spec.sources, report)
                with self._turns.setdefault(spec.name, threading.Lock()):
                    loaded = self._kept.get(spec.name, lambda: read_generator(path))
            devices.place(loaded.generator)
        return loaded

    def leave_gpu(self) -> None:
        """Everything that is kept goes to the CPU, and stays there."""
        devices.full = True
        for _, loaded in self._kept.items():
            loaded.generator.cpu()


shared = Loader()
