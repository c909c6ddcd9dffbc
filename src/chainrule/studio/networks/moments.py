"""What is kept of a training run so that it can be rewound: bounded, however long it runs."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Thinned(Generic[T]):
    """Things by number of updates, so many at most: when there are more, every other one goes.

    Those that stay lie evenly, at multiples of the spacing, and the first always does.

    Args:
        limit: at least 2.
        spacing: to begin with.

    Example:
        >>> kept = Thinned(4)
        >>> for update in range(20):
        ...     if kept.wants(update):
        ...         kept.add(update, f"after {update}")
        >>> list(kept), kept.spacing, kept.nearest(15)
        ([0, 8, 16], 8, (8, 'after 8'))
    """

    def __init__(self, limit: int, spacing: int = 1) -> None:
        self._limit, self.spacing = limit, spacing
        self._items: dict[int, T] = {}

    def wants(self, update: int) -> bool:
        """Whether something that belongs here is missing."""
        return update % self.spacing == 0 and update not in self._items

    def add(self, update: int, item: T) -> None:
        """Keep it, and less of the others where it is too much."""
        self._items[update] = item
        while len(self._items) > self._limit:
            self.spacing *= 2
            self._items = {k: v for k, v in self._items.items() if k % self.spacing == 0}

    def nearest(self, update: int) -> tuple[int, T]:
        """The last that is not behind ``update``."""
        found = max(k for k in self._items if k <= update)
        return found, self._items[found]

    def copy(self) -> Thinned[T]:
        """The same things; what is added there is not added here."""
        found = Thinned[T](self._limit, self.spacing)
        found._items = dict(self._items)
        return found

    def __iter__(self):
        return iter(sorted(self._items))

    def __getitem__(self, update: int) -> T:
        return self._items[update]

    def __contains__(self, update: object) -> bool:
        return update in self._items

    def __len__(self) -> int:
        return len(self._items)
