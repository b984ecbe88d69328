"""When dispatchers without rows are moved: in proportion to what a restart would read again, rarely over our own."""

from __future__ import annotations

from dataclasses import replace

from hedgerow.common.binlog.position import Position
from hedgerow.dispatcher.stream.idle_advance import (
    ANY_SECONDS,
    FOREIGN_BYTES,
    FOREIGN_SECONDS,
    MANY,
    MANY_SECONDS,
    IdleAdvance,
    Read,
)

DAY = 86_400
START = Read(file="b.000001", offset=500, source_id="s")


def pace() -> IdleAdvance:
    made = IdleAdvance(0.0)
    made.begin([Position("", "b.000001", 900, "s"), Position("", "b.000001", 500, "s")])
    return made


def over(foreign: int = 0, own: int = 0, **changes: object) -> Read:
    return replace(START, foreign=foreign, own=own, **changes)  # type: ignore[arg-type]


def test_over_a_little_of_others_once_a_minute_and_once() -> None:
    one = pace()
    moves = [second for second in range(0, 3600, 3) if one.is_due(over(foreign=1 + second), float(second))]
    assert len(moves) == 3600 // FOREIGN_SECONDS - 1
    assert one.is_due(over(foreign=9999), 4000.0)
    assert not one.is_due(over(foreign=9999), 10 * ANY_SECONDS), "nothing has been written since"


def test_over_much_of_others_at_once() -> None:
    one = pace()
    assert not one.is_due(over(foreign=9, offset=499 + FOREIGN_BYTES), 3.0)
    assert one.is_due(over(foreign=9, offset=500 + FOREIGN_BYTES), 3.0)
    assert not one.is_due(over(foreign=12, offset=600 + FOREIGN_BYTES), 6.0)


def test_out_of_a_file_that_ended_and_of_a_server_that_is_gone_at_once() -> None:
    for change in ({"file": "b.000002", "offset": 4}, {"source_id": "t"}):
        one = pace()
        assert one.is_due(over(foreign=1, **change), 3.0)
        assert not one.is_due(over(foreign=2, **change), 6.0)


def test_a_stream_that_ends_moves_over_everything() -> None:
    one = pace()
    assert one.is_due(over(foreign=1), 0.5, leaving=True)
    assert not one.is_due(over(foreign=1), 0.6, leaving=True)


def test_over_many_of_our_own_every_ten_minutes() -> None:
    one = pace()
    assert not one.is_due(over(own=10 * MANY), MANY_SECONDS - 1)
    assert one.is_due(over(own=10 * MANY), MANY_SECONDS)
    assert not one.is_due(over(own=20 * MANY), MANY_SECONDS + 1)
    assert not one.is_due(over(own=10 * MANY + 1), 2 * MANY_SECONDS)
    assert one.is_due(over(own=20 * MANY), 2 * MANY_SECONDS)


def test_over_a_few_of_our_own_once_a_day() -> None:
    one = pace()
    assert not one.is_due(over(own=1), ANY_SECONDS - 1)
    assert one.is_due(over(own=1), ANY_SECONDS)
    assert not one.is_due(over(own=1), 3 * ANY_SECONDS)


def test_two_idle_directions_do_not_keep_each_other_busy() -> None:
    lanes = 64
    read = {"there": 1000, "back": 0}  # of our own, in the source of that direction
    paces = {direction: [pace() for _ in range(lanes)] for direction in read}
    moves = 0
    for now in range(0, 10 * DAY, 60):
        for direction, other in (("there", "back"), ("back", "there")):
            moved = sum(one.is_due(over(own=read[direction]), float(now)) for one in paces[direction])
            read[other] += moved
            moves += moved
    assert moves <= 10 * 2 * lanes + 4 * lanes
