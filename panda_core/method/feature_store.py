"""Feature maps of samples, drawn once and kept."""

from collections.abc import Callable, Iterator

from torch import Tensor

from ..runtime.distributed import Sums, Team


class FeatureStore:
    """Feature maps of samples 0, 1, 2, ..., drawn once and kept in half precision as far as `limit` bytes go.

    draw(first, count) -> Z [count, C, H, W] must give the same features each time; what does not fit is drawn again.
    """

    def __init__(self, draw: Callable[[int, int], Tensor], batch: int, limit: int = 2**30):
        self._draw, self._batch, self._limit = draw, batch, limit
        self._kept: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        self.held_bytes = 0
        self.team = Team.here()

    def batches(self, first: int, count: int) -> Iterator[Tensor]:
        """Z of samples first ... first + count - 1, in batches; the same batches each time."""
        for start, n in self._cuts(first, count):
            yield self._features(start, n)

    def each(self, first: int, count: int, of: Callable[[Tensor], Sums]) -> Iterator[Sums]:
        """of(Z) for every one of those batches, in their order; each is drawn by one worker of the team, in turns.

        All workers add up the same numbers in the same order, so that no bit depends on how many they are.
        """
        cuts = self._cuts(first, count)
        for i in range(0, len(cuts), self.team.workers):
            mine = of(self._features(*cuts[min(i + self.team.worker, len(cuts) - 1)]))
            for owner in range(min(self.team.workers, len(cuts) - i)):
                yield self.team.share(mine, owner)

    def _cuts(self, first: int, count: int) -> list[tuple[int, int]]:
        return [(at, min(self._batch, first + count - at)) for at in range(first, first + count, self._batch)]

    def _features(self, start: int, n: int) -> Tensor:
        if (start, n) in self._kept:
            half, scale = self._kept[start, n]
            return half.float() * scale
        features = self._draw(start, n)
        if self.held_bytes + 2 * features.numel() <= self._limit:
            scale = features.abs().amax().clamp_min(1e-30)  # any scale of features fits the range of float16
            self._kept[start, n] = ((features / scale).half(), scale)
            self.held_bytes += 2 * features.numel()
        return features
