"""What a node does about a changefeed's dispatchers, decided without a stream, a clock or a thread."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from hedgerow.common.binlog.position import Position
from hedgerow.common.epoch import Owner
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.control.core import (
    LOOK_SECONDS,
    MOST_WAIT_SECONDS,
    Closed,
    Core,
    StartStream,
    StopStream,
    Wait,
)
from hedgerow.dispatcher.sink.token import FencingToken
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.table import Placement, Report, TableProgress

SERVER = ServerUri.parse("mysql://repl@server.example:3306/")
SPEC = Spec("u", "shop", SERVER, SERVER, "mysql", (), 4, 1, 1, TableFilter.parse(()))
A, B = Placement("a.a", 1), Placement("a.b", 1)


@pytest.fixture
def core() -> Core:
    return Core("n1", SPEC, Owner(5, "m1"))


def begun(start: StartStream) -> Report:
    at = Position(file="binlog.000001", offset=4)
    return Report(tuple(replace(table, state=pb.RUNNING, position=at) for table in start.tables))


def serve(core: Core, placements: Iterable[Placement], now: float = 0.0) -> StartStream:
    core.schedule(placements, ())
    start = core.decide(now)
    assert isinstance(start, StartStream)
    core.take(begun(start), now)
    return start


def test_what_is_wanted_is_served_and_then_there_is_nothing_to_do(core: Core) -> None:
    assert core.decide(0.0) == Wait()
    start = serve(core, (B, A))
    assert (start.spec, [table.placement for table in start.tables]) == (SPEC, [A, B])
    assert core.decide(1.0) == Wait()


def test_one_that_is_removed_is_gone_only_after_its_stream_has_ended(core: Core) -> None:
    serve(core, (A, B))
    version = core.version
    core.schedule((), (A,))
    assert core.decide(1.0) == StopStream()
    assert {status.dispatcher for status in core.statuses()} == {"a.a", "a.b"}
    core.ended()
    start = core.decide(2.0)
    assert isinstance(start, StartStream)
    assert [table.placement for table in start.tables] == [B]
    assert core.gone_since(version) == [A]


def test_a_stream_goes_on_from_what_was_known_of_its_tables(core: Core) -> None:
    start = serve(core, (A,))
    counted = replace(begun(start).tables[0], rows_events=7, executed=Position(file="binlog.000001", offset=4))
    core.take(Report((counted,)), 0.0)
    core.take_over(Owner(6, "m2"), replace(SPEC, lanes=2))
    assert core.decide(1.0) == StopStream()
    core.ended()
    again = core.decide(1.0)
    assert isinstance(again, StartStream)
    assert again.tables == (replace(counted, state=pb.STARTING),)
    assert again.spec.lanes == 2


def test_those_that_join_before_the_others_have_begun_wait_for_them(core: Core) -> None:
    serve(core, (A,))
    core.schedule((), (A,))
    assert core.decide(10.0) == StopStream()
    core.ended()
    core.schedule((B,), ())
    assert isinstance(core.decide(11.0), StartStream)
    core.schedule((Placement("a.c", 1),), ())
    assert core.decide(11.5) == Wait(LOOK_SECONDS)
    assert core.decide(20.0) == StopStream()


def test_a_takeover_replaces_the_token_and_stops_nothing(core: Core) -> None:
    serve(core, (A,))
    former = core.token
    core.take_over(Owner(6, "m2"), SPEC)
    assert (former, core.token) == (FencingToken("u", 5), FencingToken("u", 6))
    assert core.decide(1.0) == Wait()


def test_what_a_takeover_finds_in_flight_is_dropped(core: Core) -> None:
    core.schedule((A,), ())
    start = core.decide(0.0)
    assert isinstance(start, StartStream), "its row is not claimed yet"
    assert core.take_over(Owner(6, "m2"), SPEC) == []
    assert core.decide(0.0) == StopStream()
    core.ended()
    assert core.decide(0.0) == Wait()
    assert core.statuses() == []


def test_a_node_that_is_fenced_starts_nothing(core: Core) -> None:
    core.schedule((A,), ())
    assert core.decide(0.0, may_start=False) == Wait()


def test_a_close_ends_the_stream_first(core: Core) -> None:
    serve(core, (A,))
    core.close()
    assert core.decide(1.0) == StopStream()
    core.ended()
    assert core.decide(1.0) == Closed()


def test_a_broken_one_keeps_its_epoch_and_is_served_only_when_it_is_placed_again(core: Core) -> None:
    start = serve(core, (A, B))
    broken: TableProgress = replace(begun(start).tables[0], state=pb.BROKEN)
    core.take(Report((broken, *begun(start).tables[1:])), 0.0)
    core.take_over(Owner(6, "m2"), SPEC)
    assert core.decide(1.0) == Wait(), "the others go on"
    assert {status.dispatcher: status.epoch for status in core.statuses()} == {"a.a": 5, "a.b": 6}
    core.schedule((Placement("a.a", 2),), ())
    assert core.decide(1.0) == StopStream()


@pytest.mark.parametrize(("took", "expected"), [(0.25, 2.5), (60.0, MOST_WAIT_SECONDS)])
def test_those_that_join_wait_for_a_few_seconds_at_the_most(core: Core, took: float, expected: float) -> None:
    serve(core, (A,))
    core.schedule((B,), ())
    assert core.decide(100.0) == StopStream()
    core.ended()
    start = core.decide(100.0)
    assert isinstance(start, StartStream)
    core.take(begun(start), 100.0 + took)
    core.schedule((Placement("a.c", 1),), ())
    assert core.decide(100.0 + took) == Wait(expected)
    assert core.decide(100.0 + took + expected) == StopStream()
