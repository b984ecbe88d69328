"""A lane as the stream sees it: what is being collected for it, what it has been given, and what it has finished.

The stream never blocks on a lane: `has_room` says whether a batch can be handed over at once. A lane works on one batch
while the next waits in its slot and a third is collected, so the server is never idle and memory stays bounded.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import replace

from hedgerow.common.binlog.gtid import gtid_set, union
from hedgerow.common.binlog.position import Position
from hedgerow.common.binlog.skips import way_past
from hedgerow.common.errors import Fenced, HedgerowError, SinkDiverged
from hedgerow.common.metrics import rejected
from hedgerow.common.mysql.connect import Flavour
from hedgerow.dispatcher import metrics
from hedgerow.dispatcher.sink.api import Applied, Batch, Inquiry, Marker, Sink
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.stream.idle_advance import IdleAdvance, Read
from hedgerow.dispatcher.stream.intake import LaneIntake, Target
from hedgerow.dispatcher.stream.lag import Unapplied
from hedgerow.dispatcher.stream.standing import Standing
from hedgerow.dispatcher.stream.wake import Wake

_MOST_OUTSTANDING = 2


class LaneFailed(Exception):
    """A lane has ended with `error`; `keys` are the dispatchers that it served."""

    def __init__(self, keys: Collection[str], error: HedgerowError) -> None:
        super().__init__(str(error))
        self.keys = frozenset(keys)
        self.error = error


class LaneQueue:
    """Used by the stream's thread."""

    def __init__(self, number: int, spec: Spec, sink: Sink, wake: Wake) -> None:
        """Opens the lane. `wake` is set after each batch and when the lane fails."""
        self._flavour: Flavour = spec.flavour
        self._changefeed = spec.name
        self._wake = wake
        self._given, self._done = 0, 0  # pieces of work; the claim is the first
        self._given_at: deque[tuple[int, Unapplied | None, Mapping[str, tuple[int, int]]]] = deque()
        self._busy_since = 0.0
        self._work_began_at = 0.0  # on time.monotonic(); of the piece that the lane is at
        self._seen = Applied()
        self._idle = IdleAdvance(time.monotonic())
        self.keys: frozenset[str] = frozenset()
        self.targets: dict[str, Target] = {}
        self.lane = sink.open_lane(number, self._on_done)

    def claim(self, generations: Mapping[str, int]) -> dict[str, Position]:
        """Once. Raises Fenced as it is, LaneFailed for any other error, LaneStopped."""
        self.keys = frozenset(generations)
        self._given += 1
        self._work_began_at = time.monotonic()
        try:
            positions = self.lane.claim(generations)
        except Fenced as error:
            rejected("sink", "stale", changefeed=self._changefeed, what="claim", reason=str(error))
            raise
        except HedgerowError as error:
            raise LaneFailed(self.keys, error) from error
        self._collector = self.lane.collector()
        self.intake = LaneIntake(self._collector)
        self.targets = {key: Target(key, self.intake, position) for key, position in positions.items()}
        self._idle.begin(positions.values())
        return positions

    def connect(self, description: bytes) -> None:
        """Collects again, by what the sink's tables are like now. Nothing is pending."""
        self._collector = self.lane.collector()
        self.intake.connect(self._collector)
        if description:
            self._collector.describe(description)

    def describe(self, description: bytes) -> None:
        """What follows is in the format of this FORMAT_DESCRIPTION event. Nothing is pending."""
        self._collector.describe(description)

    # What is collected.

    @property
    def pending(self) -> bool:
        return not self._collector.empty

    @property
    def transactions(self) -> int:
        return self._collector.transactions

    @property
    def bytes(self) -> int:
        return self._collector.bytes

    @property
    def open_bytes(self) -> int:
        """Of the source transaction that is being read."""
        return self._collector.open_bytes

    def advance(self, position: Position, foreign: int, own: int, now: float, *, leaving: bool = False) -> None:
        """Lets the dispatchers without rows reach `position` in this lane's next transaction, if that is due.

        `foreign` and `own` count what was read, of others and of our changefeeds; `now` is on time.monotonic();
        `leaving`: the stream ends.
        """
        read = Read(foreign, own, position.file, position.offset, position.source_id)
        if self.intake.open or not self._idle.is_due(read, now, leaving=leaving):
            return
        keys = [key for key, target in self.targets.items() if not target.ahead]
        if keys:
            self._collector.advance(keys, position)

    def advance_to(self, keys: Collection[str], position: Position) -> None:
        """Lets these dispatchers reach `position`."""
        self._collector.advance(keys, position)

    def drop(self, key: str) -> None:
        """This dispatcher is gone: nothing may be written of it any more. Nothing is pending."""
        self.targets.pop(key, None)

    # What it has been given.

    @property
    def idle(self) -> bool:
        return self._given == self._done

    @property
    def has_room(self) -> bool:
        return self._given - self._done < _MOST_OUTSTANDING

    def give(self, position: Position, marker: Marker | None = None) -> None:
        """Hands over what is pending; it covers everything up to `position`, the end of the last whole transaction.
        `marker` follows it.

        In the middle of a transaction with rows for this lane it is a part, and the sink transaction stays open.
        Raises LaneFailed, LaneStopped.
        """
        self._collector.advance((), position)
        if marker is not None:
            self._collector.mark(marker)
        batch = self._collector.take(final=not self.intake.open)
        ahead = {key: self._merge(key, place) for key, place in batch.progress.items() if self._is_ahead(key)}
        if ahead:
            batch = replace(batch, progress={**batch.progress, **ahead})
        counts = self._count(batch)
        if self.idle:
            self._busy_since = self._work_began_at = time.monotonic()
        self._given += 1
        if batch.final:
            self._given_at.append((self._given, self._collected, counts))
            self.intake.oldest = 0.0
        try:
            self.lane.submit(batch)
        except HedgerowError as error:
            raise self._failure(error) from error

    def has_passed(self, marker: Marker) -> bool:
        """Whether everything before it is durable; until a later one is passed."""
        return self.lane.applied.marker == marker

    def check(self) -> None:
        """Raises LaneFailed where the lane has ended."""
        error = self.lane.error
        if error is not None:
            raise self._failure(error)

    def _failure(self, error: HedgerowError) -> LaneFailed:
        """With the way past a row that the sink has refused."""
        if isinstance(error, SinkDiverged) and error.refused is not None:
            gtid, file, offset, table = error.refused
            way = way_past(self._changefeed, gtid, file, offset, [table])
            error = SinkDiverged(f"{error}. Or leave it out. {way}", error.refused)
        return LaneFailed(self.keys, error)

    def at_work(self, now: float) -> float:
        """Seconds that the lane has been at the piece of work it has; 0 without one. `now` is on time.monotonic()."""
        return 0.0 if self.idle else now - self._work_began_at

    def inquire(self) -> Inquiry | None:
        """Asks the sink what became of the lane; does not wait for the answer."""
        return self.lane.inquire(self._wake.set)

    def give_up(self, error: HedgerowError) -> None:
        """Its lane ends with `error`, as `check` tells then."""
        self.lane.give_up(error)

    @property
    def undone(self) -> Unapplied | None:
        """The oldest transaction that has ended and is not durable; None where there is none."""
        for _, undone, _ in self._given_at:
            if undone is not None:
                return undone
        return self._collected

    @property
    def _collected(self) -> Unapplied | None:
        intake = self.intake
        return Unapplied(intake.oldest, intake.begins) if intake.oldest else None

    # What it has finished.

    def _on_done(self) -> None:
        """By the lane's thread, after each piece of work."""
        self._work_began_at = time.monotonic()  # of the next, if there is one
        self._done += 1
        self._wake.set()

    def harvest(self, standings: Mapping[str, Standing]) -> bool:
        """Notes what became durable; whether anything did."""
        applied = self.lane.applied
        done = self._done
        while self._given_at and self._given_at[0][0] <= done:
            for key, (rows_events, transactions) in self._given_at.popleft()[2].items():
                standings[key].count(rows_events, transactions)
        if self._busy_since and self.idle:
            metrics.LANE_BUSY.labels(self._changefeed).inc(time.monotonic() - self._busy_since)
            self._busy_since = 0.0
        if applied is self._seen:
            return False
        before, self._seen = self._seen, applied
        for metric, delta in (
            (metrics.BATCHES, applied.batches - before.batches),
            (metrics.TRANSACTIONS, applied.transactions - before.transactions),
            (metrics.ROWS_EVENTS, applied.rows_events - before.rows_events),
            (metrics.ROWS, applied.rows - before.rows),
            (metrics.BYTES, applied.bytes - before.bytes),
        ):
            metric.labels(self._changefeed).inc(delta)
        if applied.refused > before.refused:
            refused = applied.refused - before.refused
            reason = str(self.lane.error)
            rejected("sink", "stale", count=refused, changefeed=self._changefeed, what="transactions", reason=reason)
        for key, position in applied.positions.items():
            if position is not before.positions.get(key):
                standings[key].reach(position)
        return True

    def _is_ahead(self, key: str) -> bool:
        target = self.targets.get(key)
        return target is not None and target.ahead

    def _merge(self, key: str, position: Position) -> Position:
        """Of a dispatcher that got rows before it was overtaken: it has applied what the stream has read, and more."""
        both = union(
            gtid_set(self._flavour, self.targets[key].position.gtid_set), gtid_set(self._flavour, position.gtid_set)
        )
        return replace(position, gtid_set=str(both))

    def _count(self, batch: Batch) -> dict[str, tuple[int, int]]:
        """Rows events and transactions, up to this batch, of the dispatchers that it advances."""
        targets = (self.targets[key] for key in batch.progress if key in self.targets)
        return {target.key: (target.rows_events, target.transactions) for target in targets}
