"""Small results by what they depend on; some travel with a visitor between processes."""

from collections.abc import Callable, Hashable

from .lru import LRUCache

RESULTS = 12  # of jobs, that go along to another process


class Kept(LRUCache):
    """The latest few hundred; a lost one is made again.

    What is held, and what a job makes, cannot be made again by who shows it: `results` go along to the process of
    the next event, where each has its own.
    """

    everywhere: list["Kept"] = []

    def __init__(self, most: int):
        super().__init__(most)
        self.results = LRUCache(RESULTS)
        Kept.everywhere.append(self)

    def discard(self, wanted: Callable[[Hashable], bool]) -> None:
        super().discard(wanted)
        self.results.discard(wanted)

    def hold(self, key: Hashable, value):
        self.results.put(key, value)
        return self.put(key, value)
