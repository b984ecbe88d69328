"""Dispatchers ahead of their stream, over synthetic events: each gets exactly what it has not applied, once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hedgerow.common.binlog.gtid import MysqlGtidSet
from hedgerow.common.binlog.position import Position, least
from hedgerow.common.mysql.connect import Flavour
from hedgerow.dispatcher.stream.intake import LaneIntake, Target
from hedgerow.dispatcher.stream.router import Router
from tests.unit.dispatcher.binlog import SOURCE, Binlog
from tests.unit.dispatcher.stream.test_router import FILE, MANY, Collected, classify

TRANSACTIONS = 12


def written(flavour: Flavour) -> tuple[list[list[bytes]], list[int]]:
    """Each transaction has rows of tables a, b and c; and the offsets where they end, beginning with none."""
    binlog = Binlog(flavour)
    events, ends = [], [binlog.offset]
    for _ in range(TRANSACTIONS):
        events.append(binlog.transaction(("s", "a", 1), ("s", "b", 2), ("s", "c", 3)))
        ends.append(binlog.offset)
    return events, ends


def received(flavour: Flavour, positions: list[Position], events: list[list[bytes]]) -> dict[str, list[int]]:
    """What the dispatchers s.a, s.b and s.c at these positions get, as numbers of transactions; none is ahead then."""
    lane = Collected()
    targets = [Target(f"s.{name}", LaneIntake(lane), position) for name, position in zip("abc", positions, strict=True)]
    router = Router(flavour, least(positions, flavour), "1", targets, classify, {})
    router.route([event for transaction in events for event in transaction], 0, MANY, MANY)
    assert not any(target.ahead or target.covered for target in targets)
    got: dict[str, list[int]] = {target.key: [] for target in targets}
    for key, text in lane.got:
        if key:
            got[key].append(int(text.partition(":")[0]))
    return got


def mysql_set(numbers: set[int]) -> str:
    result = MysqlGtidSet()
    for number in numbers:
        result.add(SOURCE, number)
    return str(result)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sets(st.integers(1, TRANSACTIONS - 1)), min_size=3, max_size=3))
def test_sets_in_any_relation(applied: list[set[int]]) -> None:
    """As after a failover to a source that has committed the same in another order. The source skips what all have."""
    applied = [one | {1} for one in applied]
    events, _ = written("mysql")
    sent = [events[number - 1] for number in range(1, TRANSACTIONS + 1) if not all(number in one for one in applied)]
    got = received("mysql", [Position(mysql_set(one), FILE, 4, "1") for one in applied], sent)
    for name, one in zip("abc", applied, strict=True):
        assert got[f"s.{name}"] == [number for number in range(1, TRANSACTIONS + 1) if number not in one]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["mariadb", "mysql"]), st.booleans(), st.lists(st.integers(1, 11), min_size=3, max_size=3))
def test_places_in_one_binlog(flavour: Flavour, by_gtid: bool, counts: list[int]) -> None:
    events, ends = written(flavour)
    gtid = Binlog(flavour).gtid_set
    positions = [Position(gtid(count) if by_gtid else "", FILE, ends[count], "1") for count in counts]
    got = received(flavour, positions, events[min(counts) :])
    for name, count in zip("abc", counts, strict=True):
        assert got[f"s.{name}"] == list(range(count + 1, TRANSACTIONS + 1))
