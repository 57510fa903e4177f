"""The slots of this host: how much it does at once."""

from __future__ import annotations

import threading


class Slots:
    """A semaphore with two kinds of waiters: those behind get one when nobody else wants it, so
    that the parts of a long job let every short one pass."""

    def __init__(self, count: int) -> None:
        self._count = self._free = count
        self._ahead = 0
        self._changed = threading.Condition()

    @property
    def idle(self) -> bool:
        """Whether all are free."""
        return self._free == self._count

    def try_take(self) -> bool:
        with self._changed:
            if not self._free:
                return False
            self._free -= 1
            return True

    def take(self, *, behind: bool = False) -> None:
        with self._changed:
            self._ahead += not behind
            try:
                self._changed.wait_for(lambda: self._free and not (behind and self._ahead))
                self._free -= 1
            finally:
                self._ahead -= not behind
            if behind or self._ahead or not self._free:
                return
            self._changed.notify_all()  # the last one ahead lets those behind look again

    def give(self) -> None:
        with self._changed:
            self._free += 1
            self._changed.notify_all()
