"""When dispatchers without rows are moved: soon over what others wrote, rarely over what we wrote ourselves."""

from __future__ import annotations

from dispatcher.pace import ANY_SECONDS, MANY, MANY_SECONDS, Pace

DAY = 86_400


def test_over_what_others_wrote_at_once_and_once() -> None:
    pace = Pace(0.0)
    assert not pace.is_due(0, 0, 3.0)
    assert pace.is_due(1, 0, 6.0)
    assert not pace.is_due(1, 0, 9.0)
    assert not pace.is_due(1, 0, 10 * ANY_SECONDS)


def test_over_many_of_our_own_every_ten_minutes() -> None:
    pace = Pace(0.0)
    assert not pace.is_due(0, 10 * MANY, MANY_SECONDS - 1)
    assert pace.is_due(0, 10 * MANY, MANY_SECONDS)
    assert not pace.is_due(0, 20 * MANY, MANY_SECONDS + 1)
    assert not pace.is_due(0, 10 * MANY + 1, 2 * MANY_SECONDS)
    assert pace.is_due(0, 20 * MANY, 2 * MANY_SECONDS)


def test_over_a_few_of_our_own_once_a_day() -> None:
    pace = Pace(0.0)
    assert not pace.is_due(0, 1, ANY_SECONDS - 1)
    assert pace.is_due(0, 1, ANY_SECONDS)
    assert not pace.is_due(0, 1, 3 * ANY_SECONDS)


def test_two_idle_directions_do_not_keep_each_other_busy() -> None:
    lanes = 64
    read = {"there": 1000, "back": 0}  # of our own, in the source of that direction
    paces = {direction: [Pace(0.0) for _ in range(lanes)] for direction in read}
    moves = 0
    for now in range(0, 10 * DAY, 60):
        for direction, other in (("there", "back"), ("back", "there")):
            moved = sum(pace.is_due(0, read[direction], float(now)) for pace in paces[direction])
            read[other] += moved
            moves += moved
    assert moves <= 10 * 2 * lanes + 4 * lanes
