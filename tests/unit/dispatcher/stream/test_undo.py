"""Rows that the source has rolled back are left out for every dispatcher that comes to them, whenever it does."""

from __future__ import annotations

from typing import Any, cast

import pytest

from hedgerow.common.binlog.position import Position
from hedgerow.common.mysql.connect import Flavour
from hedgerow.dispatcher.stream.intake import LaneIntake, Target
from hedgerow.dispatcher.stream.router import Router
from hedgerow.dispatcher.stream.undo import RolledBack, Undone
from tests.unit.dispatcher.binlog import Binlog
from tests.unit.dispatcher.stream.test_router import FILE, FLAVOURS, MANY, Collected

NO_SOURCE: Any = None  # it is asked for engines only where the transaction was ended


class Log:
    """A transaction of two tables that is rolled back, and one that is not."""

    def __init__(self, flavour: Flavour) -> None:
        self._flavour = flavour
        log = Binlog(flavour)
        log.begin()
        self._start = Position(log.gtid_set(1), FILE, log.offset, "1")
        self._events = [*log.begin(), *log.rows("s", "a", 10, b"gone:a"), *log.rows("s", "b", 11, b"gone:b")]
        self._events += [log.query("ROLLBACK"), *log.transaction(("s", "a", 10), ("s", "b", 11))]

    def read(self, undone: Undone, *dispatchers: str) -> list[tuple[str, str]]:
        """What their lane gets."""
        lane = Collected()
        intake = LaneIntake(lane)
        targets = [Target(key, intake, self._start) for key in dispatchers]
        router = Router(self._flavour, self._start, "1", targets, cast(Any, None), {}, None, undone)
        router.route(self._events, 0, MANY, MANY)
        return lane.got


def learn(undone: Undone, log: Log, *dispatchers: str) -> None:
    with pytest.raises(RolledBack) as caught:
        log.read(undone, *dispatchers)
    found = caught.value
    undone.learn(NO_SOURCE, RolledBack(found.marker, found.keys, 0.0, found.what))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_was_learned_is_left_out(flavour: Flavour) -> None:
    undone, log = Undone(), Log(flavour)
    learn(undone, log, "s.a", "s.b")
    assert log.read(undone, "s.a", "s.b") == [("s.a", "3:a"), ("s.b", "3:b"), ("", "end")]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_dispatcher_that_was_away_when_it_was_learned_does_not_get_the_rows_either(flavour: Flavour) -> None:
    """As one whose lane rests after an error: the others go on without it, and it comes to the transaction later."""
    undone, log = Undone(), Log(flavour)
    learn(undone, log, "s.b")
    learn(undone, log, "s.a", "s.b")
    assert log.read(undone, "s.a", "s.b") == [("s.a", "3:a"), ("s.b", "3:b"), ("", "end")]
    assert log.read(undone, "s.a") == [("s.a", "3:a"), ("", "end")]
