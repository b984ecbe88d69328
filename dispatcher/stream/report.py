"""What a stream tells its manager: one immutable report of everything, through a mailbox with one slot.

A report is whole, so a later one makes an earlier one useless and losing the earlier loses nothing. Putting never
blocks and never waits for the event loop: an observer must not slow the apply path.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import HedgerowError
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.control.pending import Placement

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DispatcherReport:
    """One dispatcher of a stream. Counters count from the stream's start. `executed`: the schema dispatcher's position
    when it last executed a DDL, or claimed."""

    placement: Placement
    state: pb.DispatcherState
    position: Position | None = None
    blocked: pb.Ddl | None = None
    error: HedgerowError | None = None
    error_at: float = 0.0
    rows_events: int = 0
    transactions: int = 0
    executed: Position | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """`rows`: changed in the sink since the stream began."""

    dispatchers: tuple[DispatcherReport, ...]
    rows: int = 0


class Mailbox(Generic[T]):
    """One slot from a thread to the event loop; the latest value wins. `on_value` runs in the loop."""

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
