"""What the router gives to the net under the list of dispatchers, and what it keeps from it. Synthetic events."""

from __future__ import annotations

import pytest

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import TableUnreplicated
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.names import TableName
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.stream.intake import Target
from hedgerow.dispatcher.stream.router import Router
from tests.unit.dispatcher.stream.test_router import FILE, FLAVOURS, MANY, Setup, classify


class FakeNet:
    """Every table of schema `s` matches the filter."""

    def __init__(self, *replicated: str) -> None:
        self.replicated = set(replicated)
        self.comes: set[str] = set()  # to the list, before it is asked again
        self.asked: list[tuple[str, str]] = []
        self.caught: list[tuple[str, Position, str]] = []

    def suspects(self, table: TableName) -> bool:
        return table.schema == "s" and table.key not in self.replicated

    def catch(self, table: TableName, before: Position, gtid: str) -> None:
        self.replicated |= self.comes
        self.caught.append((table.key, before, gtid))
        if table.key not in self.replicated:
            raise TableUnreplicated(table.key)

    def forget(self, ddl: pb.Ddl) -> None:
        self.replicated -= {f"{name.schema}.{name.table}" for name in ddl.drops}


def routed(setup: Setup, net: FakeNet, events: list[bytes]) -> Router:
    starts = {key: Position(setup.binlog.gtid_set(number), FILE, 4, "1") for key, number in setup.positions.items()}
    start = starts[min(setup.positions, key=lambda key: setup.positions[key])]
    targets = [Target(key, setup.intake, position) for key, position in starts.items()]
    router = Router(setup.flavour, start, "1", targets, classify, setup.prepared, net)
    at = 0
    while at < len(events):
        at = router.route(events, at, MANY, MANY)
        if router.ddl is not None:
            router.end_ddl()
    return router


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_rows_that_nobody_replicates_are_caught_before_their_transaction(flavour: Flavour) -> None:
    setup = Setup(flavour, {"*": 1, "s.a": 1})
    net = FakeNet("s.a", "s.elsewhere")
    setup.binlog.number = 1
    good = setup.binlog.transaction(("s", "a", 1), ("s", "elsewhere", 2), ("t", "outside", 3))
    routed(setup, net, good)
    assert not net.caught
    end = setup.binlog.offset
    with pytest.raises(TableUnreplicated, match=r"s\.nobody"):
        routed(setup, net, good + setup.binlog.transaction(("s", "a", 1), ("s", "nobody", 4)))
    ((key, before, gtid),) = net.caught
    assert (key, before.offset) == ("s.nobody", end)
    assert before.gtid_set == setup.binlog.gtid_set(2)
    assert gtid in setup.binlog.gtid_set(3) or gtid.endswith(":3")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_table_that_has_come_to_the_list_meanwhile_is_asked_about_once(flavour: Flavour) -> None:
    setup = Setup(flavour, {"*": 1, "s.a": 1})
    net = FakeNet("s.a")
    net.comes = {"s.new"}
    setup.binlog.number = 1
    events = [event for _ in range(3) for event in setup.binlog.transaction(("s", "new", 5))]
    routed(setup, net, events)
    assert [key for key, _, _ in net.caught] == ["s.new"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_the_schema_dispatcher_has_applied_is_not_judged_and_what_follows_is(flavour: Flavour) -> None:
    """A table that was dropped since has no row any more, rightly."""
    setup = Setup(flavour, {"s.a": 1, "*": 3})
    net = FakeNet("s.a")
    setup.binlog.number = 1
    events = [event for _ in range(2) for event in setup.binlog.transaction(("s", "dropped", 5))]
    routed(setup, net, events)
    assert not net.caught
    with pytest.raises(TableUnreplicated):
        routed(setup, net, events + setup.binlog.transaction(("s", "dropped", 5)))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_transactions_of_our_own_changefeeds_are_not_judged(flavour: Flavour) -> None:
    setup = Setup(flavour, {"*": 1})
    net = FakeNet()
    setup.binlog.number = 1
    own = setup.binlog.transaction(("hedgerow", "progress", 8), ("s", "opposite", 9))
    routed(setup, net, own)
    assert not net.caught
    with pytest.raises(TableUnreplicated):
        routed(setup, net, own + setup.binlog.transaction(("s", "opposite", 9)))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_ddl_makes_the_net_ask_again(flavour: Flavour) -> None:
    setup = Setup(flavour, {"*": 1})
    net = FakeNet("s.a")
    forgotten: list[str] = []
    net.forget = lambda ddl: forgotten.append(ddl.statement)  # type: ignore[method-assign]
    setup.binlog.number = 1
    events = setup.binlog.transaction(("s", "a", 1)) + setup.binlog.ddl("DROP TABLE a")
    routed(setup, net, events + setup.binlog.ddl("ignored"))
    assert forgotten == ["DROP TABLE a"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_stream_without_the_schema_dispatcher_judges_nothing(flavour: Flavour) -> None:
    setup = Setup(flavour, {"s.a": 1})
    router = setup.router()
    setup.binlog.number = 1
    events = setup.binlog.transaction(("s", "nobody", 4))
    assert router.route(events, 0, MANY, MANY) == len(events)


def test_rows_that_an_xa_transaction_prepares_are_caught() -> None:
    setup = Setup("mysql", {"*": 1})
    net = FakeNet()
    setup.binlog.number = 1
    with pytest.raises(TableUnreplicated):
        routed(setup, net, setup.binlog.prepared("X'31',X'',1", ("s", "nobody", 4)))
