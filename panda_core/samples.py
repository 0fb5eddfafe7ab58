"""Features of a generator's samples at a layer, drawn once and kept: what variations are learned from on demand."""

import threading
from collections.abc import Callable, Iterable

from torch import Tensor

from .factors import FactorsInfo
from .fitting import batch_for, feature_source
from .loading import Loaded
from .method.feature_store import FeatureStore
from .progress import Cancelled, Progress
from .runtime.lru import LRUCache

SAMPLES = 1024  # that variations are learned from, where the memory holds them
MEMORY = 2**29  # bytes of the features of all layers that are kept


class SampleCache:
    """The samples 0 to 1,023 of a layer as its factors' fit drew them: same ψ, class and seed.

    Kept in half precision for the layers used last, 512 MB in all; of a layer that is larger fewer are drawn.
    """

    def __init__(self, memory: int = MEMORY, count: int = SAMPLES):
        self._memory, self._count = memory, count
        self._kept = LRUCache(memory, lambda key, store: store.held_bytes, least=1)
        self._turn = threading.Lock()

    def has(self, loaded: Loaded, info: FactorsInfo) -> bool:
        return _key(loaded, info) in self._kept

    def of(
        self, loaded: Loaded, info: FactorsInfo, report: Callable[[Progress], bool | None] | None = None
    ) -> Callable[[], Iterable[Tensor]]:
        """Gives Z of the samples in batches, [n, C, H, W], the same each time it is called.

        Raises: Cancelled once report(Progress) is False; what was drawn is dropped.
        """
        shape = loaded.generator.layers[info.layer]
        C, H, W = shape
        count = max(2, min(self._count, self._memory // (2 * C * H * W)))

        def draw_all() -> FeatureStore:
            draw = feature_source(loaded.generator, info.layer, info.psi, info.class_index, info.seed)
            store, done = FeatureStore(draw, batch_for(shape), self._memory), 0
            for Z in store.batches(0, count):
                done += len(Z)
                if report is not None and report(Progress("sampling", done, count)) is False:
                    raise Cancelled
            return store

        with self._turn:  # two visitors who ask for the same layer draw it once
            store = self._kept.get(_key(loaded, info), draw_all)
        return lambda: store.batches(0, count)


def _key(loaded: Loaded, info: FactorsInfo) -> tuple:
    return loaded.weights, info.layer, info.psi, info.class_index, info.seed
