"""From a stream's threads to the event loop: a mailbox with one slot, in which the latest value wins.

A report is whole, so losing an earlier one loses nothing. Putting never blocks and never waits for the event loop: an
observer must not slow the apply path.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """`on_value` runs in the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_value: Callable[[T], None]) -> None:
        self._loop = loop
        self._on_value = on_value
        self._lock = threading.Lock()
        self._slot: list[T] = []

    def put(self, value: T) -> None:
        """From any thread."""
        with self._lock:
            waiting = bool(self._slot)
            self._slot[:] = [value]
        if not waiting:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                self._loop.call_soon_threadsafe(self._deliver)

    def flush(self) -> None:
        """In the loop: takes what is in the slot now."""
        self._deliver()

    def _deliver(self) -> None:
        with self._lock:
            taken, self._slot = self._slot, []
        for value in taken:
            self._on_value(value)
