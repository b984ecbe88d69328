"""The router over synthetic events: who gets what, what is skipped, where it stops."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import UnsupportedEvent
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.source.statements import Statement
from hedgerow.dispatcher.stream.intake import LaneIntake, Target
from hedgerow.dispatcher.stream.router import Router
from tests.unit.dispatcher.binlog import Binlog

FILE = "binlog.000001"
MANY = 1_000_000
FLAVOURS: list[Flavour] = ["mariadb", "mysql"]


class Collected:
    """What a lane's coalescer would have got: (dispatcher, payload) and the ends of transactions."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []

    def add(self, dispatcher: str, table_map: bytes, rows_event: bytes) -> None:
        assert table_map[19:25] == rows_event[19:25], "the map is that of the rows"
        self.got.append((dispatcher, rows_event[27:].decode()))

    def end_transaction(self, position: Position, gtid: bytes = b"", file: str = "") -> None:
        self.got.append(("", "end"))

    def prepare(self, xid: str) -> None:
        self.got.append((xid, "prepared"))

    def decide(self, xid: str, dispatchers: Collection[str], *, commit: bool) -> None:
        self.got += [(key, f"{xid} {'commit' if commit else 'rollback'}") for key in sorted(dispatchers)]


def classify(statement: Statement) -> pb.Ddl | None:
    if "ignored" in statement.text:
        return None
    return pb.Ddl(statement=statement.text, default_schema=statement.default_schema)


class Setup:
    def __init__(self, flavour: Flavour, positions: dict[str, int], *, by_gtid: bool = True) -> None:
        """`positions`: per dispatcher the number of transactions that it has applied."""
        self.binlog = Binlog(flavour)
        self.lane = Collected()
        self.intake = LaneIntake(self.lane)
        self.by_gtid = by_gtid
        self.flavour = flavour
        self.positions = positions
        self.prepared: dict[str, set[str]] = {}

    def router(self, ends: list[int] | None = None) -> Router:
        """`ends`: without GTIDs, the offsets at which the transactions end."""

        def place(number: int) -> Position:
            if self.by_gtid:
                return Position(self.binlog.gtid_set(number) or self.binlog.gtid_set(1), FILE, 4, "1")
            return Position("", FILE, (ends or [4])[number], "1")

        starts = {key: place(number) for key, number in self.positions.items()}
        start = starts[min(self.positions, key=lambda key: self.positions[key])]
        targets = [Target(key, self.intake, position) for key, position in starts.items()]
        return Router(self.flavour, start, "1", targets, classify, self.prepared)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_rows_go_to_their_dispatcher_and_others_are_ignored(flavour: Flavour) -> None:
    setup = Setup(flavour, {"s.a": 1, "s.b": 1})
    router = setup.router()
    setup.binlog.number = 1
    events = setup.binlog.transaction(("s", "a", 1), ("s", "b", 2), ("s", "other", 3), ("t", "a", 4))
    events += setup.binlog.transaction(("t", "a", 4))
    assert router.route(events, 0, MANY, MANY) == len(events)
    assert setup.lane.got == [("s.a", "2:a"), ("s.b", "2:b"), ("", "end")]
    assert router.position.gtid_set == setup.binlog.gtid_set(3)
    assert router.position.offset == setup.binlog.offset


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_table_id_that_means_another_table_later_is_not_confused(flavour: Flavour) -> None:
    setup = Setup(flavour, {"s.a": 1, "s.b": 1})
    router = setup.router()
    setup.binlog.number = 1
    events = setup.binlog.transaction(("s", "a", 1)) + setup.binlog.transaction(("s", "other", 1))
    events += setup.binlog.transaction(("s", "b", 1)) + setup.binlog.transaction(("s", "a", 1))
    router.route(events, 0, MANY, MANY)
    assert [key for key, _ in setup.lane.got if key] == ["s.a", "s.b", "s.a"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_transaction_that_writes_progress_is_skipped_whole_and_the_next_is_not(flavour: Flavour) -> None:
    setup = Setup(flavour, {"s.a": 1})
    router = setup.router()
    setup.binlog.number = 1
    ours = setup.binlog.transaction(("hedgerow", "progress", 9), ("s", "a", 1))
    theirs = setup.binlog.transaction(("s", "a", 1))
    again = setup.binlog.transaction(("hedgerow", "progress", 9), ("s", "a", 1))
    router.route(ours + theirs + again, 0, MANY, MANY)
    assert setup.lane.got == [("s.a", "3:a"), ("", "end")]
    assert (router.foreign, router.own) == (1, 2)
    assert router.position.gtid_set == setup.binlog.gtid_set(4)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_progress_behind_rows_is_refused(flavour: Flavour) -> None:
    setup = Setup(flavour, {"s.a": 1})
    router = setup.router()
    setup.binlog.number = 1
    with pytest.raises(UnsupportedEvent, match="progress first"):
        router.route(setup.binlog.transaction(("s", "a", 1), ("hedgerow", "progress", 9)), 0, MANY, MANY)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("by_gtid", [True, False])
def test_a_dispatcher_that_is_ahead_gets_only_what_it_has_not_applied(flavour: Flavour, by_gtid: bool) -> None:
    setup = Setup(flavour, {"s.a": 1, "s.b": 3}, by_gtid=by_gtid)
    binlog = setup.binlog
    ends = [binlog.offset]
    events: list[list[bytes]] = []
    for _ in range(5):
        events.append(binlog.transaction(("s", "a", 1), ("s", "b", 2)))
        ends.append(binlog.offset)
    router = setup.router(ends)
    behind = [target for target in router.targets() if target.ahead]
    assert [target.key for target in behind] == ["s.b"]
    router.route([event for transaction in events[1:] for event in transaction], 0, MANY, MANY)
    assert [text for key, text in setup.lane.got if key == "s.a"] == ["2:a", "3:a", "4:a", "5:a"]
    assert [text for key, text in setup.lane.got if key == "s.b"] == ["4:b", "5:b"]
    assert not behind[0].ahead
    assert bool(router.position.gtid_set) == by_gtid


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_stream_that_begins_behind_a_ddl_in_its_transaction(flavour: Flavour) -> None:
    """CREATE TABLE ... SELECT without GTIDs: the schema dispatcher ends after the statement, before the rows."""
    setup = Setup(flavour, {"*": 0, "s.a": 1}, by_gtid=False)
    binlog = setup.binlog
    binlog.begin()
    binlog.query("CREATE TABLE s.a (id INT)", "s")
    inside = binlog.offset
    events = binlog.rows("s", "a", 1, b"0:a") + binlog.commit()
    router = setup.router([inside, binlog.offset])
    events += binlog.transaction(("s", "a", 1))
    router.route(events, 0, MANY, MANY)
    assert setup.lane.got == [("s.a", "2:a"), ("", "end")]
    assert not any(target.ahead for target in router.targets())


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_it_returns_when_a_batch_is_full(flavour: Flavour) -> None:
    setup = Setup(flavour, {"s.a": 1})
    router = setup.router()
    setup.binlog.number = 1
    first, second = setup.binlog.transaction(("s", "a", 1)), setup.binlog.transaction(("s", "a", 1), ("s", "a", 1))
    events = first + second
    assert router.route(events, 0, 1, MANY) == len(first)
    at = router.route(events, len(first), MANY, 1)
    assert setup.intake.open
    assert at < len(events)
    assert router.position.gtid_set == setup.binlog.gtid_set(2)
    assert router.route(events, at, MANY, MANY) == len(events)
    assert not setup.intake.open


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_it_stops_behind_a_ddl_and_goes_on_when_it_is_decided(flavour: Flavour) -> None:
    setup = Setup(flavour, {"s.a": 1})
    router = setup.router()
    setup.binlog.number = 1
    before = setup.binlog.transaction(("s", "a", 1))
    ddl = setup.binlog.ddl("ALTER TABLE a ADD b INT")
    end = setup.binlog.offset
    after = setup.binlog.transaction(("s", "a", 1))
    events = before + ddl + after
    at = router.route(events, 0, MANY, MANY)
    assert at == len(before + ddl)
    assert router.ddl is not None
    assert router.ddl.statement == "ALTER TABLE a ADD b INT"
    assert router.ddl.default_schema == "s"
    assert (router.ddl.position.file, router.ddl.position.offset, router.ddl.position.gtid_set) == (FILE, end, "")
    assert router.position.gtid_set == setup.binlog.gtid_set(2)
    assert router.position_after_ddl().gtid_set == setup.binlog.gtid_set(3)
    router.end_ddl()
    assert router.position.gtid_set == setup.binlog.gtid_set(3)
    assert router.route(events, at, MANY, MANY) == len(events)
    assert [text for key, text in setup.lane.got if key] == ["2:a", "4:a"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_ddl_without_effect_or_that_everyone_has_passed_is_no_barrier(flavour: Flavour) -> None:
    setup = Setup(flavour, {"s.a": 1})
    router = setup.router()
    setup.binlog.number = 1
    events = setup.binlog.ddl("ignored")
    assert router.route(events, 0, MANY, MANY) == len(events)
    assert router.ddl is None
    assert router.position.gtid_set == setup.binlog.gtid_set(2)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_dropped_dispatcher_gets_nothing_more(flavour: Flavour) -> None:
    setup = Setup(flavour, {"s.a": 1, "s.b": 1})
    router = setup.router()
    setup.binlog.number = 1
    router.route(setup.binlog.transaction(("s", "a", 1), ("s", "b", 2)), 0, MANY, MANY)
    router.drop("s.a")
    router.route(setup.binlog.transaction(("s", "a", 1), ("s", "b", 2)), 0, MANY, MANY)
    assert [text for key, text in setup.lane.got if key == "s.a"] == ["2:a"]
    assert [text for key, text in setup.lane.got if key == "s.b"] == ["2:b", "3:b"]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("word", ["COMMIT", "ROLLBACK"])
def test_prepared_rows_are_decided_over_where_they_are(flavour: Flavour, word: str) -> None:
    setup = Setup(flavour, {"s.a": 1, "s.b": 1})
    router = setup.router()
    setup.binlog.number = 1
    events = setup.binlog.prepared("X'31',X'',1", ("s", "a", 1), ("s", "other", 3))
    events += setup.binlog.transaction(("s", "b", 2)) + setup.binlog.decided(f"XA {word} X'31',X'',1")
    events += setup.binlog.transaction(("s", "a", 1))
    router.route(events, 0, MANY, MANY)
    assert setup.lane.got == [
        ("X'31',X'',1", "prepared"),
        ("s.a", "2:a"),
        ("", "end"),
        ("s.b", "3:b"),
        ("", "end"),
        ("s.a", f"X'31',X'',1 {word.lower()}"),
        ("", "end"),
        ("s.a", "5:a"),
        ("", "end"),
    ]
    assert router.position.gtid_set == setup.binlog.gtid_set(5)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_decision_reaches_what_was_prepared_before_the_stream_began(flavour: Flavour) -> None:
    setup = Setup(flavour, {"s.a": 1, "s.b": 1})
    setup.prepared = {"X'31',X'',1": {"s.a", "elsewhere.t"}}
    router = setup.router()
    setup.binlog.number = 1
    again = setup.binlog.decided("XA COMMIT X'31',X'',1")
    router.route(again + setup.binlog.decided("XA COMMIT X'31',X'',1"), 0, MANY, MANY)
    assert setup.lane.got == [("s.a", "X'31',X'',1 commit"), ("", "end")]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("by_gtid", [True, False])
def test_what_is_stored_belongs_to_the_last_of_several_with_the_same_xid(flavour: Flavour, by_gtid: bool) -> None:
    """s.b has applied the first of them, and stored the second; s.a is at the beginning."""
    setup = Setup(flavour, {"s.a": 1, "s.b": 4}, by_gtid=by_gtid)
    setup.prepared = {"X'31',X'',1": {"s.b"}}
    binlog = setup.binlog
    ends = [binlog.offset]
    parts = [binlog.transaction(("s", "a", 1))]
    ends.append(binlog.offset)
    makes: list[Callable[[], list[bytes]]] = [
        lambda: binlog.prepared("X'31',X'',1", ("s", "a", 1), ("s", "b", 2)),
        lambda: binlog.decided("XA COMMIT X'31',X'',1"),
        lambda: binlog.prepared("X'31',X'',1", ("s", "a", 1), ("s", "b", 2)),
        lambda: binlog.decided("XA ROLLBACK X'31',X'',1"),
    ]
    for make in makes:
        parts.append(make())
        ends.append(binlog.offset)
    router = setup.router(ends)
    router.route([event for part in parts[1:] for event in part], 0, MANY, MANY)
    assert [(key, text) for key, text in setup.lane.got if key.startswith("s.")] == [
        ("s.a", "2:a"),
        ("s.a", "X'31',X'',1 commit"),
        ("s.a", "4:a"),
        ("s.a", "X'31',X'',1 rollback"),
        ("s.b", "X'31',X'',1 rollback"),
    ]


def test_one_phase_is_prepared_and_committed_at_once() -> None:
    setup = Setup("mysql", {"s.a": 1})
    router = setup.router()
    setup.binlog.number = 1
    router.route(setup.binlog.prepared("X'31',X'',1", ("s", "a", 1), one_phase=True), 0, MANY, MANY)
    assert [text for _, text in setup.lane.got] == ["prepared", "2:a", "X'31',X'',1 commit", "end"]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("by_gtid", [True, False])
def test_rows_that_follow_a_ddl_in_its_transaction_are_routed_behind_it(flavour: Flavour, by_gtid: bool) -> None:
    """The schema dispatcher is ahead of the stream until the transaction ends; the position stays before it."""
    setup = Setup(flavour, {"*": 1, "s.a": 1}, by_gtid=by_gtid)
    router = setup.router([4, 4])
    binlog = setup.binlog
    binlog.number = 1
    events = [*binlog.begin(), binlog.query("CREATE TABLE a (id INT)", "s"), *binlog.rows("s", "a", 1)]
    events += binlog.commit() + binlog.transaction(("s", "a", 1))
    before = router.position
    at = router.route(events, 0, MANY, MANY)
    assert router.ddl is not None
    assert router.rows_follow
    behind = router.position_after_ddl()
    assert behind.gtid_set == (binlog.gtid_set(2) if by_gtid else "")
    assert (router.position.gtid_set, router.position.offset) == (before.gtid_set, before.offset)
    router.overtake("*", behind)
    router.end_ddl()
    schema = next(target for target in router.targets() if target.key == "*")
    assert schema.ahead
    assert schema.covered
    assert (router.position.gtid_set, router.position.offset) == (before.gtid_set, before.offset)
    assert router.route(events, at, MANY, MANY) == len(events)
    assert [text for key, text in setup.lane.got if key] == ["r", "3:a"]
    assert not schema.ahead
    assert router.position.gtid_set == (binlog.gtid_set(3) if by_gtid else "")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_statement_behind_rows_of_its_transaction_is_refused(flavour: Flavour) -> None:
    setup = Setup(flavour, {"s.a": 1})
    router = setup.router()
    binlog = setup.binlog
    binlog.number = 1
    events = [*binlog.begin(), *binlog.rows("s", "a", 1), binlog.query("CREATE TABLE b (id INT)", "s")]
    with pytest.raises(UnsupportedEvent, match="comes after rows"):
        router.route(events, 0, MANY, MANY)
