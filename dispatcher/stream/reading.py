"""How far a stream has read and routed, as its lag has to know it. Pure; used by the stream's thread."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from hedgerow.common.binlog import events as e
from hedgerow.dispatcher.source.transactions import Tracker
from hedgerow.dispatcher.stream.lag import Place, StreamLag, Unapplied

_HEARTBEATS: Final = frozenset({e.HEARTBEAT, e.HEARTBEAT_V2})


class Reading:
    def __init__(self, lag: StreamLag) -> None:
        self._lag = lag
        self._reached: Place = ("", 0)  # the end of the last whole transaction that was read
        self._read: Place = ("", 0)  # of everything that was read
        self._unrouted = False
        self._end_of_read = 0  # offset, without the bits that a header has no room for

    def begin(self, offset: int, tracker: Tracker) -> None:
        """`offset`: of the position from which the reader reads."""
        self._end_of_read = offset & 0xFFFFFFFF
        self._reached = self._read = (tracker.file, tracker.offset)

    def note(self, tracker: Tracker, events: Sequence[bytes], at: int, ready: Callable[[], bool], now: float) -> None:
        """What the events say, of which those before `at` are routed, of how far the stream is. A heartbeat tells that
        there is nothing else (`ready`: more is there to be read) if it has the place up to which everything was read,
        or that of the last heartbeat: a server that looks for the first GTID that is wanted sends some as well."""
        last = events[-1]
        self._unrouted = at < len(events)
        reached = (tracker.file, tracker.offset)
        if reached != self._reached:
            self._reached = reached
            self._lag.read(tracker.commit_time, now)
        else:
            self._lag.heard(now)
        if self._unrouted:
            self._read = reached
            return
        self._read = tracker.end_of(last)
        end = int.from_bytes(last[e.LOG_POS_AT : e.LOG_POS_AT + 4], "little")
        if last[e.TYPE_AT] in _HEARTBEATS and end == self._end_of_read and not ready():
            self._lag.at_end(now)
        if end:
            self._end_of_read = end

    def judge(self, tracker: Tracker, undone: Collection[Unapplied], now: float) -> None:
        """`undone`: what lanes have, or collect, and have not made durable."""
        reading = tracker.begun
        if reading is None and self._unrouted and self._lag.is_proven:
            reading = tracker.commit_time
        self._lag.look(undone, reading, self._reached, self._read, now)
