"""Where generators and factors come from: names and factors ids -> objects, checked against each other."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from . import loading
from .checkpoints.authors_npy import info_of_pair, read_pair
from .factors import Factors
from .fitting import batch_for, feature_source, fit_id, fit_layer
from .generators.registry import GENERATORS, GeneratorSpec, HubFile, PublishedPair
from .generators.split import SplitGenerator
from .hub.download import download
from .hub.errors import HubError
from .hub.files import find_factors, find_local, user_folder
from .loading import Loaded
from .method.inversion import Space
from .method.variations import Variations
from .progress import Report
from .ranking import RankingIndex, Table, VariationTable
from .runtime.lru import LRUCache

MAX_MEMORY = 2**28  # bytes of factors kept, apart from those that ship with a generator
MAX_DISK = 2**30  # bytes of visitors' own factors in the user's folder
RETRY = 60.0  # seconds after which a Hub that did not answer is asked again
INDEXED = 64  # leading appearances that a ranking answers for


class Catalogue:
    """Finds generators by name and factors by id, and keeps what it found; safe to share between threads.

    load: name -> (generator, hash), in place of the table and the user's own. home: the user's folder. own: whether
    generators and factors that the table does not name are looked for on the Hub and on this machine; None: only if the
    owner of the page says so. loader: what keeps the generators; None: the one that this process shares.
    """

    def __init__(
        self,
        load: Callable[[str], tuple[SplitGenerator, str]] | None = None,
        home: Path | None = None,
        own: bool | None = None,
        loader: loading.Loader | None = None,
    ):
        self._load, self._home, self._loader = load, home, loader or loading.shared
        self.own = loading.own_allowed() if own is None else own
        self._specs: dict[str, GeneratorSpec] = {}
        self._published: dict[str, tuple[dict[int, str], float]] = {}  # and until when that holds
        self._fitted: dict[tuple[str, Path, int], tuple[int, str]] = {}
        # what ships stays; the rest can be read or fitted again
        self._factors = LRUCache(MAX_MEMORY, lambda key, f: 0 if key[1].startswith("bundled:") else f.nbytes, least=1)

    @property
    def home(self) -> Path:
        return self._home or user_folder()

    def spec(self, name: str) -> GeneratorSpec:
        """The row of a generator, listed or the user's own.

        Raises: ValueError if there is none, or it is not allowed here.
        """
        if name not in self._specs:
            self._specs[name] = loading.find_spec(name, self.own)
        return self._specs[name]

    def here(self) -> dict[str, Path | None]:
        """Every listed generator, and its file if that is on this machine; asks no network."""
        return {name: find_local(spec.sources) for name, spec in GENERATORS.items()}

    def generator(self, name: str, report: Report | None = None) -> Loaded:
        """The generator of this name; downloaded, which the report is told of and can cancel, if it is not here.

        Raises: HubError and ValueError in one sentence; Cancelled.
        """
        return Loaded(*self._load(name)) if self._load else self._loader.load(self.spec(name), report)

    def leave_gpu(self) -> None:
        """Every generator runs on the CPU from now on."""
        self._loader.leave_gpu()

    def default_layer(self, name: str) -> int:
        """The layer that the row says, or the first editable one that shows 16 x 16 cells, and more than the input."""
        wished, generator = self.spec(name).default_layer, self.generator(name).generator
        if wished is not None:
            return wished

        def rows(layer: int) -> int:
            top, _, bottom, _ = generator.frame(layer)
            return bottom - top

        coarsest = rows(min(generator.layers))
        fine = [l for l in generator.editable_layers if rows(l) >= 16 and rows(l) > coarsest]
        return (fine or generator.editable_layers[-1:])[0]

    def add(self, name: str, factors_id: str, factors: Factors) -> None:
        """Make factors known under an id, once they fit the generator."""
        loaded = self.generator(name)
        factors.check_fits(loaded.weights, loaded.generator.layers)
        self._factors.put((name, factors_id), factors)

    def add_own(self, name: str, factors: Factors) -> str:
        """Make a visitor's own factors known; the id local:<digest> under which they are found again, here only."""
        return self._add_passing(name, f"local:{factors.digest()}", factors)

    def add_fit(self, name: str, factors: Factors) -> str:
        """Make known what was fitted for a visitor; its fit: id. Written down too, so that no process fits it again."""
        return self._add_passing(name, fit_id(factors), factors)

    def _add_passing(self, name: str, factors_id: str, factors: Factors) -> str:
        """Also write it to the user's folder, where the oldest of its kind go once there is more than MAX_DISK."""
        self.add(name, factors_id, factors)
        target, total = self._passing(factors.info.weights, factors_id), 0
        with suppress(OSError):  # where nothing can be written, memory must do
            factors.save(target)
            for path in sorted(target.parent.glob("*.safetensors"), key=lambda p: p.stat().st_mtime, reverse=True):
                total += path.stat().st_size
                if total > MAX_DISK:
                    path.unlink()
        return factors_id

    def _passing(self, weights: str, factors_id: str) -> Path:
        scheme, _, stem = factors_id.partition(":")
        if scheme == "fit":
            stem = hashlib.sha256(f"{weights} {factors_id}".encode()).hexdigest()[:16]
        return self.home / "factors" / ("fits" if scheme == "fit" else "local") / f"{stem}.safetensors"

    def factors(self, name: str, factors_id: str, report: Report | None = None) -> Factors:
        """The factors of this id, read, downloaded or fitted again, and checked against the generator.

        Raises: ValueError if there are none, or they do not fit.
        """
        found = self._factors.get((name, factors_id))
        if found is None:
            found = self._find(name, factors_id, report)
            self.add(name, factors_id, found)
        return found

    def knows(self, name: str, factors_id: str) -> bool:
        """Whether these factors are in memory, so that nothing need be read or fitted."""
        return (name, factors_id) in self._factors

    def bundled(self, name: str) -> dict[int, str]:
        """Layer -> id of the factors that ship with a generator, coarse layers first; the largest set of each layer."""
        folder = self.spec(name).factors_folder(self.generator(name).weights)
        found = []
        for factors_id in (f"bundled:{path.stem}" for path in folder.glob("*.safetensors")):
            factors = self.factors(name, factors_id)
            found.append((factors.info.layer, factors.sigma.numel(), factors_id))
        return {layer: factors_id for layer, _, factors_id in sorted(found)}  # of a layer the last one stays

    def available(self, name: str) -> dict[int, str]:
        """Layer -> id of factors that need no fit: bundled, else fitted here before, else published; coarse first."""
        own: dict[int, str] = {}
        for path in sorted(self._factors_folder(name).glob("*.safetensors")):
            version = name, path, path.stat().st_mtime_ns
            with suppress(ValueError):  # a damaged file is as none
                if version not in self._fitted:
                    factors = Factors.load(path)
                    self.add(name, fit_id(factors), factors)
                    self._fitted[version] = factors.info.layer, fit_id(factors)
                own |= [self._fitted[version]]
        found = self.published(name) | own | self.bundled(name)
        return {layer: found[layer] for layer in sorted(found)}

    def published(self, name: str) -> dict[int, str]:
        """Layer -> id of the factors on the Hub for exactly these weights, and of the authors' own."""
        spec, weights = self.spec(name), self.generator(name).weights
        found, until = self._published.get(name, ({}, 0.0))
        if time.monotonic() >= until:
            found, until = {pair.layer: pair.id for pair in spec.pairs}, math.inf
            for address in spec.factors_repos:
                try:
                    found |= find_factors(address, weights)
                except HubError as error:  # without the Hub there are those that are here
                    found |= find_factors(address, weights, local=True)
                    if error.kind != "missing":  # which is an answer
                        until = time.monotonic() + RETRY
            self._published[name] = found, until
        return found

    def ensure(self, name: str, layer: int | None = None, report: Report | None = None) -> str:
        """The id of factors of a layer (None: the default one): those that there are, else fitted now and kept."""
        spec, loaded = self.spec(name), self.generator(name, report)
        layer = self.default_layer(name) if layer is None else layer
        found = self.available(name).get(layer)
        if found is None:
            factors = fit_layer(name, loaded, layer, psi=spec.default_psi, report=report)
            with suppress(OSError):  # a disk that cannot be written to costs the next fit, not this one
                factors.save(factors.path(self.home))
            found = fit_id(factors)
            self.add(name, found, factors)
        return found

    def space(
        self, name: str, class_index: int | None = None, psi: float | None = None, report: Report | None = None
    ) -> Space:
        """What a search for somebody's own picture has to know of a generator: as it ships, or measured now.

        psi: default: the generator's own. Raises: Cancelled.
        """
        spec, (generator, weights) = self.spec(name), self.generator(name)
        if class_index is None:
            with suppress(ValueError):  # there is none, or it is of other weights
                return Space.load(spec.folder() / "space.safetensors", weights)
        return Space.measure(generator, spec.default_psi if psi is None else psi, class_index, report=report)

    def ranking(
        self,
        name: str,
        factors_id: str,
        psi: float,
        class_index: int | None = None,
        variations: Sequence[Variations] | None = None,
    ) -> tuple[RankingIndex, Callable[[int, int], Tensor]]:
        """The index of the pictures 0, 1, 2, ... (their seeds) at ψ, as far as it has grown, and what it grows by.

        `index.grow(draw, upto)` adds pictures. It holds the leading INDEXED appearances at every part and everywhere,
        or the variations given, of several regions; in the user's data folder.
        """
        generator, weights = self.generator(name)
        factors = self.factors(name, factors_id)
        layer, shape = factors.info.layer, (factors.info.height, factors.info.width)
        if variations is not None:
            table = VariationTable(tuple(variations))
        else:
            top, left, bottom, right = generator.frame(layer)
            frame = torch.zeros(shape)
            frame[top:bottom, left:right] = 1
            A = factors.appearances[:, :INDEXED]
            table = Table.of(A, factors.parts, factors.mean, factors.second_moment, frame.flatten())
        about = {"generator": name, "weights": weights, "layer": layer, "psi": psi, "class": class_index}
        digest = hashlib.sha256(json.dumps([table.digest(), about]).encode()).hexdigest()[:16]
        folder = self.home / "rankings" / digest
        return RankingIndex(folder, table, about), feature_source(generator, layer, psi, class_index, seed=None)

    def _factors_folder(self, name: str) -> Path:
        return self.home / "factors" / self.generator(name).weights

    def _find(self, name: str, factors_id: str, report) -> Factors:
        scheme, _, rest = factors_id.partition(":")
        loaded = self.generator(name)
        if scheme == "bundled":
            path = self.spec(name).factors_folder(loaded.weights) / f"{rest}.safetensors"
        elif scheme == "local":
            path = self._passing(loaded.weights, factors_id)
        elif scheme == "hub":
            for pair in self.spec(name).pairs:
                if pair.id == factors_id:
                    return self._read_pair(name, pair, report)
            path = self._download(name, rest, report)
        elif scheme == "fit":
            return self._fit_again(name, loaded, rest, report)
        else:
            raise ValueError(f"factors is {factors_id!r}; there are bundled:, local:, fit: and hub:.")
        if not path.is_file():
            raise ValueError(f"There are no factors {factors_id!r} for {name} with weights {loaded.weights}.")
        return Factors.load(path)

    def _fit_again(self, name: str, loaded: Loaded, given: str, report) -> Factors:
        layer, R_C, R_S, samples, seed, psi, cls = given.split(",")
        loaded.generator.check_layer(int(layer))
        by_key = self._factors_folder(name) / f"l{layer}-c{cls}-psi{float(psi):g}-{R_C}x{R_S}.safetensors"
        for kept in filter(Path.is_file, (self._passing(loaded.weights, f"fit:{given}"), by_key)):
            with suppress(ValueError):
                factors = Factors.load(kept)
                if (samples == "auto" and str(factors.info.seed) == seed) or fit_id(factors) == f"fit:{given}":
                    return factors
        count, class_index = (None if text in ("auto", "all") else int(text) for text in (samples, cls))
        ranks = int(R_C), int(R_S)
        return fit_layer(name, loaded, int(layer), *ranks, count, int(seed), float(psi), class_index, report)

    def _download(self, name: str, address: str, report) -> Path:
        """A factors file <repo>@<revision>/<file> on the Hub, of a repository that the generator's row names."""
        repo, _, rest = address.partition("@")
        revision, _, file = rest.partition("/")
        if not self.own and f"{repo}@{revision}" not in self.spec(name).factors_repos:
            raise ValueError(
                f"The factors are in {repo}, which this page does not download from; python -m panda_core does."
            )
        return download((HubFile(repo, file, revision=revision),), report)

    def _read_pair(self, name: str, pair: PublishedPair, report) -> Factors:
        (generator, weights), spec = self.generator(name), self.spec(name)
        generator.check_layer(pair.layer)
        paths = [download((file,), report) for file in (pair.parts, pair.appearances)]
        _, H, W = shape = generator.layers[pair.layer]
        info = info_of_pair(name, weights, pair.layer, (H, W), spec.default_psi)
        draw = feature_source(generator, pair.layer, spec.default_psi)
        factors = read_pair(*paths, draw, batch_for(shape), generator.frame(pair.layer), info)
        named = [[e.appearance for e in spec.edits if (e.layer, e.part) == (pair.layer, k)]
                 for k in range(factors.parts.shape[1])]  # fmt: skip
        rows = [dict.fromkeys([*first, *row.tolist()]) for first, row in zip(named, factors.suggested)]
        return replace(factors, suggested=torch.tensor([list(row)[: factors.suggested.shape[1]] for row in rows]))
