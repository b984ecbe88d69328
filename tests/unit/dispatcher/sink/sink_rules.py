"""What every kind of sink keeps (dispatcher.sink.api), as functions that a test of each kind calls with its world."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import pytest

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import Fenced, SinkUnavailable
from hedgerow.dispatcher.sink.api import Collector, Lane, LaneStopped, Marker, Sink
from hedgerow.dispatcher.sink.token import FencingToken

SECONDS = 60.0
A, B = "shop.a", "shop.b"


class World(Protocol):
    """Two tables in a sink whose fence is at epoch 1, with progress rows at `start`. Each of `transactions` puts one
    row into both."""

    uid: str
    description: bytes
    start: Position

    @property
    def transactions(self) -> Sequence[tuple[Sequence[tuple[str, bytes, bytes]], Position]]:
        """Dispatcher, table map and rows event of each row; and the transaction's end. At least four."""

    def sink(self, token: Callable[[], FencingToken]) -> Sink: ...

    def raise_fence(self, epoch: int) -> None: ...

    def count(self, key: str) -> int:
        """Rows that the sink's table has."""


class Opened:
    """One sink at an epoch that can be raised, and one lane of it."""

    def __init__(self, world: World, epoch: int = 1) -> None:
        self.world = world
        self.token = FencingToken(world.uid, epoch)
        self.sink = world.sink(lambda: self.token)
        self.done = threading.Event()
        self.lane: Lane = self.sink.open_lane(0, self.done.set)

    def claim(self, generation: int = 1, *keys: str) -> dict[str, Position]:
        positions = self.lane.claim(dict.fromkeys(keys or (A, B), generation))
        self.collector: Collector = self.lane.collector()
        self.collector.describe(self.world.description)
        return positions

    def collect(self, number: int, *keys: str) -> Position:
        rows, end = self.world.transactions[number]
        for key, table_map, event in rows:
            if key in (keys or (A, B)):
                self.collector.add(key, table_map, event)
        self.collector.end_transaction(end)
        return end

    def give(self, *numbers: int) -> None:
        for number in numbers:
            self.collect(number)
        self.lane.submit(self.collector.take())

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not holds():
            self.done.clear()
            if not holds():
                self.done.wait(min(1.0, deadline - time.monotonic()))
            assert time.monotonic() < deadline, f"{self.lane.applied}, {self.lane.error}"


@contextmanager
def opened(world: World, epoch: int = 1) -> Iterator[Opened]:
    one = Opened(world, epoch)
    try:
        yield one
    finally:
        one.lane.stop()
        one.sink.close()


def where_one_ends_the_next_begins(world: World) -> None:
    with opened(world) as first:
        assert first.claim() == {A: world.start, B: world.start}
        first.give(0, 1)
        first.until(lambda: first.lane.applied.transactions == 2)
        assert first.lane.applied.positions == dict.fromkeys((A, B), world.transactions[1][1])
    with opened(world) as second:
        positions = second.claim(2)
        assert {position.offset for position in positions.values()} == {world.transactions[1][1].offset}
        second.give(2)
        second.until(lambda: second.lane.applied.transactions == 1)
    assert (world.count(A), world.count(B)) == (3, 3)


def what_is_below_the_fence_writes_nothing(world: World) -> None:
    with opened(world) as one:
        one.claim()
        one.give(0)
        one.until(lambda: one.lane.applied.batches == 1)
        world.raise_fence(2)
        one.give(1)
        one.until(lambda: one.lane.error is not None)
        assert isinstance(one.lane.error, Fenced)
        assert one.lane.applied.refused == 1
        with pytest.raises(Fenced):
            one.lane.submit(one.lane.collector().take())
        assert one.sink.ledger.fence() == 2
    with opened(world) as late, pytest.raises(Fenced):
        late.claim(9)
    assert world.count(A) == 1


def a_lane_whose_token_was_raised_in_time_goes_on(world: World) -> None:
    with opened(world) as one:
        one.claim()
        world.raise_fence(2)
        one.token = FencingToken(world.uid, 2)
        one.give(0)
        one.until(lambda: one.lane.applied.batches == 1)
        assert one.sink.ledger.incarnations()[A] == (2, 1)
    assert world.count(A) == 1


def what_another_has_claimed_since_ends_the_lane(world: World) -> None:
    with opened(world) as old, opened(world) as new:
        old.claim()
        new.claim(2, A)
        assert new.sink.ledger.incarnations() == {A: (1, 2), B: (1, 1)}
        old.give(0)
        old.until(lambda: old.lane.error is not None)
        assert isinstance(old.lane.error, Fenced)
    assert (world.count(A), world.count(B)) == (0, 0), "all of the transaction or nothing"


def an_older_generation_claims_nothing_of_what_it_asks_for(world: World) -> None:
    with opened(world) as new:
        new.claim(2, A)
    with opened(world) as old:
        with pytest.raises(Fenced):
            old.lane.claim({A: 1, B: 5})
        assert isinstance(old.lane.error, Fenced)
        assert old.sink.ledger.incarnations()[B][1] == 0


def a_part_of_a_transaction_is_nothing_without_its_end(world: World) -> None:
    with opened(world) as one:
        one.claim()
        (rows, _), done = world.transactions[0], len(world.transactions[0][0])
        for key, table_map, event in rows:
            one.collector.add(key, table_map, event)
        assert done == 2
        one.lane.submit(one.collector.take(final=False))
        one.collector.mark(Marker(1, 1, 1))
        assert not one.collector.empty
    with opened(world) as next_one:
        assert next_one.claim(2) == {A: world.start, B: world.start}
    assert world.count(A) == 0


def parts_become_visible_together(world: World) -> None:
    with opened(world) as one:
        one.claim()
        rows, end = world.transactions[0]
        for key, table_map, event in rows:
            one.collector.add(key, table_map, event)
            one.lane.submit(one.collector.take(final=False))
        one.collector.end_transaction(end)
        one.collector.mark(Marker(1, 1, 1))
        one.lane.submit(one.collector.take())
        one.until(lambda: one.lane.applied.marker == Marker(1, 1, 1))
        assert one.lane.applied.positions == {A: end, B: end}
    assert (world.count(A), world.count(B)) == (1, 1)


def a_marker_is_answered_when_what_is_before_it_is_durable(world: World) -> None:
    first, second, third = (Marker(1, 7, nonce) for nonce in (1, 2, 3))
    with opened(world) as one:
        one.claim()
        one.collect(0)
        one.collector.mark(first)
        one.collect(1)
        one.collector.mark(second)
        one.lane.submit(one.collector.take())
        one.until(lambda: one.lane.applied.marker is not None)
        assert one.lane.applied.marker == second, "the latest wins"
        assert world.count(A) == 2
        batches = one.lane.applied.positions
        one.collector.mark(third)
        assert not one.collector.empty
        one.lane.submit(one.collector.take())
        one.until(lambda: one.lane.applied.marker == third)
        assert one.lane.applied.positions == batches, "a marker alone moves nobody"


def a_marker_after_what_the_fence_refused_is_never_answered(world: World) -> None:
    with opened(world) as one:
        one.claim()
        world.raise_fence(2)
        one.collect(0)
        one.collector.mark(Marker(1, 1, 1))
        one.lane.submit(one.collector.take())
        one.until(lambda: one.lane.error is not None)
        assert one.lane.applied.marker is None


def dispatchers_without_rows_move_too(world: World) -> None:
    with opened(world) as one:
        one.claim()
        end = world.transactions[3][1]
        one.collector.advance([B], end)
        one.lane.submit(one.collector.take())
        one.until(lambda: B in one.lane.applied.positions and one.lane.applied.batches == 1)
        assert one.lane.applied.positions[B] == end
    with opened(world) as next_one:
        found = next_one.claim(2)
        assert (found[A].offset, found[B].offset) == (world.start.offset, end.offset)


def after_a_cut_nothing_is_written_and_nothing_opens(world: World) -> None:
    with opened(world) as one:
        one.claim()
        one.sink.cut()
        assert one.sink.is_cut
        with pytest.raises(LaneStopped):
            one.give(0)
        late = one.sink.open_lane(1, one.done.set)
        with pytest.raises(LaneStopped):
            late.claim({A: 2})
        late.stop()
    assert world.count(A) == 0


def a_lane_that_is_given_up_ends_with_that_error(world: World) -> None:
    with opened(world) as one:
        one.claim()
        error = SinkUnavailable("nothing is heard of it")
        one.lane.give_up(error)
        assert one.lane.error is error
        with pytest.raises(SinkUnavailable):
            one.give(0)


def a_dispatcher_comes_to_the_list_once_and_by_nobody_below_the_fence(world: World) -> None:
    with opened(world) as one:
        one.sink.ledger.enlist("shop.c", 1, world.start)
        one.sink.ledger.enlist("shop.c", 1, world.transactions[0][1])
        assert one.sink.ledger.incarnations()["shop.c"] == (1, 0)
        assert one.lane.claim({"shop.c": 1})["shop.c"].offset == world.start.offset
        world.raise_fence(2)
        with pytest.raises(Fenced):
            one.sink.ledger.enlist("shop.d", 1, world.start)


RULES: list[Callable[[World], None]] = [
    where_one_ends_the_next_begins,
    what_is_below_the_fence_writes_nothing,
    a_lane_whose_token_was_raised_in_time_goes_on,
    what_another_has_claimed_since_ends_the_lane,
    an_older_generation_claims_nothing_of_what_it_asks_for,
    a_part_of_a_transaction_is_nothing_without_its_end,
    parts_become_visible_together,
    a_marker_is_answered_when_what_is_before_it_is_durable,
    a_marker_after_what_the_fence_refused_is_never_answered,
    dispatchers_without_rows_move_too,
    after_a_cut_nothing_is_written_and_nothing_opens,
    a_lane_that_is_given_up_ends_with_that_error,
    a_dispatcher_comes_to_the_list_once_and_by_nobody_below_the_fence,
]
