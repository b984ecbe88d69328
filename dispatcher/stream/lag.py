"""How far a stream's sink is from its source: true, or not known since a moment. Pure but for the slot that other
threads read; times are those of time.monotonic().

What is known, in this order:

- something is undone (read, or being read, and not durable): the age of the oldest such commit;
- everything that was read is durable, and the source was heard lately: 0. A source that has nothing to send says so
  every second by a heartbeat, so what it committed is here within that time. What came late when it came, as in
  catching up on what concerns others, is no proof of that: then it is the age of the last commit that was read;
- otherwise: not known, since the source was last heard.

What was proven stays when a connection ends: the next one begins with it. A commit that is read after everything before
some moment had been read is not older than that moment, whatever its time stamp says: MariaDB's is of the beginning of
its last statement, in whole seconds, and a session can set it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from hedgerow.common.binlog.position import file_order
from hedgerow.common.lag import Lag
from hedgerow.dispatcher.source.clock import Clock

SILENT_SECONDS = 5.0  # without a sign of life from the source, which owes one every second
LATE_SECONDS = 1.0  # of age at arrival, from which on a commit counts as late

Place = tuple[str, int]  # a file of the binlog, and an offset


@dataclass(frozen=True, slots=True)
class _State:
    """What the source had committed by `as_of` is durable. `is_undone`: what it committed next is not. `is_current`: at
    `as_of` nothing was undone, which holds for a short while longer."""

    as_of: float
    is_undone: bool = False
    is_current: bool = False
    durable: Place | None = None  # where what is not durable begins
    read: Place | None = None


@dataclass(frozen=True, slots=True)
class Unapplied:
    """What a lane has been given or collects, and has not made durable: the oldest commit's time, as the source has it,
    and where its transaction begins."""

    commit_time: float
    begins: Place


class StreamLag:
    """Written by the stream's thread. `at` may be called from any."""

    def __init__(self) -> None:
        self.source_id = ""  # of the server that was met last
        self._state = _State(-math.inf)
        self._held: Mapping[str, tuple[float, bool]] = {}  # dispatchers that are left behind: as of when; is it known
        self._clock: Clock | None = None
        self._proven: float | None = None  # what was committed by then was read; by this connection
        self._is_at_end = False  # nothing has come since the source had nothing to send
        self._is_late = False
        self._heard = 0.0

    # What happens, in order.

    def connected(self, clock: Clock, source_id: str) -> None:
        """A connection to the source is made, which begins at what is durable."""
        self.source_id = source_id
        self._clock, self._proven, self._is_at_end, self._is_late = clock, None, False, False

    def arrived(self, now: float) -> None:
        """Something comes in this moment. A source that had nothing to send sends at once what is committed."""
        if self._is_at_end:
            self._proven = now

    def heard(self, now: float) -> None:
        """Something came from the source, and no end of a transaction."""
        self._heard, self._is_at_end = now, False

    def read(self, commit_time: float, now: float) -> None:
        """Transactions came; the last one says that it was committed at `commit_time`."""
        assert self._clock is not None
        latest = min(now, max(self._clock.latest(commit_time), self._floor))
        self._heard, self._proven, self._is_late = now, latest, now - latest >= LATE_SECONDS
        self._is_at_end = False

    def at_end(self, now: float) -> None:
        """The source has nothing to send."""
        self._heard = self._proven = now
        self._is_at_end, self._is_late = True, False

    @property
    def is_proven(self) -> bool:
        """Whether this connection has told what was committed by some moment."""
        return self._proven is not None

    @property
    def commit_floor(self) -> float:
        """As the source has it: what is read next was not committed before."""
        return self._clock.earliest(self._floor) if self._clock is not None else -math.inf

    @property
    def _floor(self) -> float:
        return self._state.as_of if self._proven is None else self._proven

    def look(
        self, undone: Collection[Unapplied], reading: float | None, reached: Place, read: Place, now: float
    ) -> None:
        """`undone` of the lanes; `reading`: a transaction is under way that says it was committed then, or later.
        `reached`: the end of the last whole transaction; `read`: of what has come."""
        clock = self._clock
        if clock is None:
            return
        times = [clock.latest(one.commit_time) for one in undone]
        if reading is not None:
            times.append(max(clock.latest(reading), self._floor))
        if times:
            durable = min((reached, *(one.begins for one in undone)), key=_order)
            self._state = _State(min(now, *times), is_undone=True, durable=durable, read=read)
        elif self._proven is None:
            self._state = replace(self._state, durable=reached, read=read)
        elif self._is_late:
            self._state = _State(self._proven, is_undone=True, durable=reached, read=read)
        else:
            self._state = _State(self._heard, is_current=True, durable=reached, read=read)

    def hold(self, keys: Collection[str], now: float) -> None:
        """These dispatchers are left behind while others go on."""
        lag = self.at(now)
        held = (-math.inf, False) if lag is None else (now - lag.seconds, lag.is_known and lag.seconds > 0)
        self._held = {**self._held, **dict.fromkeys(keys, held)}

    def release(self, keys: Collection[str]) -> None:
        """They begin again, where they are."""
        back = [held for key, held in self._held.items() if key in keys]
        self._held = {key: held for key, held in self._held.items() if key not in keys}
        if back:
            as_of, is_known = min(back)
            if as_of < self._state.as_of:
                self._state = replace(self._state, as_of=as_of, is_undone=is_known, is_current=False)

    # What follows.

    def is_current(self, now: float) -> bool:
        return self._state.is_current and now - self._state.as_of <= SILENT_SECONDS and not self._held

    @property
    def span(self) -> tuple[Place, Place] | None:
        """From what is durable to what was read; None where that is not known."""
        state = self._state
        return (state.durable, state.read) if state.durable and state.read and not self._held else None

    def at(self, now: float) -> Lag | None:
        """None while nothing was ever known."""
        state = self._state
        if state.is_current and now - state.as_of <= SILENT_SECONDS:
            lag = Lag(0.0)
        else:
            lag = Lag(max(0.0, now - state.as_of), is_known=state.is_undone)
        if self._held:
            as_of, is_known = min(self._held.values())
            if now - as_of >= lag.seconds:
                lag = Lag(now - as_of, is_known=is_known)
        return lag if math.isfinite(lag.seconds) else None


def distance(begin: Place, end: Place, sizes: Mapping[str, int]) -> int | None:
    """Bytes of binlog from one place to another; `sizes`: of the files that the source has. None where a file is not
    among them."""
    if begin[0] == end[0]:
        return max(0, end[1] - begin[1])
    if begin[0] not in sizes or not begin[0] or not end[0]:
        return None
    first, last = file_order(begin[0]), file_order(end[0])
    if last < first:
        return 0
    between = sum(size for file, size in sizes.items() if first < file_order(file) < last)
    return max(0, sizes[begin[0]] - begin[1]) + between + end[1]


def _order(place: Place) -> tuple[tuple[str, int], int]:
    return (file_order(place[0]), place[1]) if place[0] else (("", 0), place[1])
