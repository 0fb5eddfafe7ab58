"""What was used last, as far as a limit allows."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any


class LRUCache:
    """Values by key, of which those go first that were used longest ago; safe between threads.

    limit: what the sizes of all values may add up to; size: of a value under its key, 1 unless told, and 0 for what
    never goes. So many of the newest as `least` says stay whatever their size.
    """

    def __init__(self, limit: float, size: Callable[[Any, Any], float] = lambda key, value: 1, least: int = 0):
        self._limit, self._size, self._least = limit, size, least
        self._items: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.RLock()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._items

    def get(self, key: Hashable, make: Callable[[], Any] | None = None) -> Any:
        """What is kept under the key, else what `make` makes; None where there is neither.

        It is made outside the lock: two threads may both make it, and neither waits for the other.
        """
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                return self._items[key]
        return None if make is None else self.put(key, make())

    def put(self, key: Hashable, value: Any) -> Any:
        with self._lock:
            self._items[key] = value
            self._items.move_to_end(key)
            total = sum(self._size(*item) for item in self._items.items())
            for old in list(self._items)[: len(self._items) - self._least]:
                size = self._size(old, self._items[old])
                if total > self._limit and size:
                    del self._items[old]
                    total -= size
        return value

    def items(self) -> list[tuple[Hashable, Any]]:
        """What is kept, the one used last at the end."""
        with self._lock:
            return list(self._items.items())

    def discard(self, wanted: Callable[[Hashable], bool]) -> None:
        """What is kept under such keys goes."""
        with self._lock:
            for key in list(filter(wanted, self._items)):
                del self._items[key]

    def clear(self) -> None:
        with self._lock:
            self._items.clear()
