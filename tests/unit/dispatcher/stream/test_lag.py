"""What a stream says of its lag, on a clock of the test's own."""

from __future__ import annotations

import math

import pytest

from hedgerow.common.lag import Lag
from hedgerow.dispatcher.source.clock import Clock
from hedgerow.dispatcher.stream.lag import SILENT_SECONDS, StreamLag, Unapplied, distance

MYSQL, MARIADB = Clock(-1000.0, 0.0), Clock(-1000.0, 1.0)  # commit time 1100 is at 100 here
START = ("binlog.000001", 4)
AT = ("binlog.000001", 500)
READ = ("binlog.000001", 900)


def connected(clock: Clock = MYSQL) -> StreamLag:
    lag = StreamLag()
    lag.connected(clock, "1")
    return lag


def idle(lag: StreamLag, now: float) -> None:
    lag.at_end(now)
    lag.look([], None, READ, READ, now)


def test_nothing_is_claimed_before_the_source_was_heard() -> None:
    lag = StreamLag()
    lag.look([], None, START, START, 10.0)
    assert lag.at(10.0) is None
    lag.connected(MYSQL, "1")
    lag.look([], None, START, START, 11.0)
    assert lag.at(11.0) is None
    assert not lag.is_current(11.0)
    assert lag.commit_floor == -math.inf
    lag.hold(["s.a"], 12.0)
    assert lag.at(12.0) is None


def test_an_idle_source_has_no_lag_however_long_ago_it_wrote() -> None:
    lag = connected()
    lag.read(1100.0, 100.01)
    lag.look([], None, READ, READ, 100.02)
    assert lag.at(100.5) == Lag(0.0)
    for now in range(101, 400):
        assert lag.at(now + 0.9) == Lag(0.0)
        idle(lag, now + 0.95)
    assert lag.is_current(400.0)


def test_what_is_undone_is_as_old_as_its_commit_and_begins_where_it_begins() -> None:
    lag = connected()
    idle(lag, 99.0)
    lag.read(1105.0, 105.1)
    lag.look([Unapplied(1105.0, AT), Unapplied(1103.0, START)], None, READ, READ, 106.0)
    assert lag.at(110.0) == Lag(7.0)
    assert lag.span == (START, READ)
    lag.look([Unapplied(1105.0, AT)], 1104.0, READ, READ, 111.0)
    assert lag.at(111.0) == Lag(6.0), "what is being read was committed after what was read"


def test_a_source_that_falls_silent_makes_it_unknown_since_then() -> None:
    lag = connected()
    idle(lag, 100.0)
    assert lag.at(100.0 + SILENT_SECONDS) == Lag(0.0)
    lag.look([], None, READ, READ, 104.0)  # the stream goes on looking, and hears nothing
    assert lag.at(160.0) == Lag(60.0, is_known=False)
    assert not lag.is_current(160.0)


def test_a_new_connection_proves_nothing_until_it_has_heard() -> None:
    lag = connected()
    idle(lag, 100.0)
    lag.look([Unapplied(1101.0, AT)], None, READ, READ, 101.5)
    for now in (120.0, 121.0):  # the sink was lost, and the stream begins again
        lag.connected(MYSQL, "1")
        lag.look([], None, AT, AT, now)
        assert lag.at(now) == Lag(now - 101.0)
    lag.heard(122.0)
    lag.look([], None, AT, AT, 122.0)
    assert lag.at(122.0) == Lag(21.0)
    lag.read(1101.0, 122.1)
    lag.look([Unapplied(1101.0, AT)], None, READ, READ, 122.1)
    assert lag.at(123.0) == Lag(22.0)
    lag.look([], None, READ, READ, 123.0)
    assert lag.at(123.0) == Lag(22.0), "it came late, so more may come"
    idle(lag, 124.0)
    assert lag.at(124.0) == Lag(0.0)


@pytest.mark.parametrize("clock", [MYSQL, MARIADB])
def test_catching_up_on_what_concerns_others_is_lag(clock: Clock) -> None:
    lag = connected(clock)
    lag.read(1100.0, 200.0)
    lag.look([], None, READ, READ, 200.0)
    assert lag.at(200.0) == Lag(100.0 - clock.resolution)
    lag.read(1199.5, 200.1)
    lag.look([], None, READ, READ, 200.1)
    assert lag.at(200.1) == Lag(0.0)


def test_whole_seconds_make_no_false_second() -> None:
    """Committed at 100.9 and seen at once: MariaDB says that it was at 100."""
    lag = connected(MARIADB)
    idle(lag, 100.0)
    lag.read(1100.0, 100.91)
    lag.look([Unapplied(1100.0, AT)], None, READ, READ, 100.92)
    assert lag.at(100.92) == Lag(0.0)
    found = lag.at(103.0)
    assert found is not None
    assert found.seconds == pytest.approx(2.08)


def test_a_time_stamp_is_not_believed_against_what_was_heard() -> None:
    """MariaDB's is of the beginning of the last statement; SET timestamp and a clock that is wrong make any."""
    lag = connected(MARIADB)
    idle(lag, 100.0)
    floor = lag.commit_floor
    lag.read(1001.0, 100.5)
    lag.look([Unapplied(max(1001.0, floor), AT)], None, READ, READ, 100.5)
    assert lag.at(101.5) == Lag(1.5)
    lag.look([], None, READ, READ, 101.5)
    assert lag.at(101.5) == Lag(0.0)
    lag.read(9999.0, 102.0)
    lag.look([Unapplied(9999.0, AT)], 9999.0, READ, READ, 102.0)
    assert lag.at(102.0) == Lag(0.0)
    assert lag.at(110.0) == Lag(8.0), "never negative, and it grows"


def test_what_comes_to_who_waited_was_committed_now() -> None:
    """By a statement that took three seconds, of which MariaDB's time stamp tells the beginning."""
    lag = connected(MARIADB)
    idle(lag, 100.0)
    lag.arrived(100.9)
    assert MARIADB.latest(lag.commit_floor) == pytest.approx(100.9)
    lag.read(1097.0, 100.9)
    lag.arrived(101.5)  # a source that is sending may be late
    assert MARIADB.latest(lag.commit_floor) == pytest.approx(100.9)


def test_who_is_left_behind_counts_until_it_begins_again() -> None:
    lag = connected()
    lag.read(1100.0, 100.0)
    lag.look([Unapplied(1100.0, AT)], None, READ, READ, 100.0)
    lag.hold(["s.a", "s.b"], 103.0)
    idle(lag, 104.0)
    assert lag.at(104.0) == Lag(4.0)
    assert not lag.is_current(104.0)
    assert lag.span is None
    lag.release(["s.a"])
    idle(lag, 105.0)
    assert lag.at(105.0) == Lag(5.0), "the other still is"
    lag.release(["s.b"])
    lag.connected(MYSQL, "1")
    lag.look([], None, AT, AT, 106.0)
    assert lag.at(106.0) == Lag(6.0), "and begins where it is"
    idle(lag, 107.0)
    assert lag.at(107.0) == Lag(0.0)


def test_who_is_left_behind_with_nothing_undone_is_not_known_since_then() -> None:
    lag = connected()
    idle(lag, 100.0)
    lag.hold(["s.a"], 100.0)
    idle(lag, 130.0)
    assert lag.at(130.0) == Lag(30.0, is_known=False)


def test_the_distance_over_several_files() -> None:
    sizes = {"b.000001": 1000, "b.000002": 300, "b.000003": 500}
    assert distance(("b.000001", 900), ("b.000001", 950), {}) == 50
    assert distance(("b.000001", 900), ("b.000003", 20), sizes) == 100 + 300 + 20
    assert distance(("b.000002", 300), ("b.000003", 20), sizes) == 20
    assert distance(("b.000003", 300), ("b.000002", 20), sizes) == 0, "an end that was asked for a while ago"
    assert distance(("b.000000", 900), ("b.000003", 20), sizes) is None, "it was purged"
    assert distance(("", 0), ("b.000003", 20), sizes) is None
    assert distance(("b.999999", 5), ("b.1000000", 20), {"b.999999": 10, "b.1000000": 20}) == 25
