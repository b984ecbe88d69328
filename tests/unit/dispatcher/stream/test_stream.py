"""A stream from a source to a sink, both in memory: rows once each, barriers, XA, takeovers, failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import Fenced, SinkUnavailable, TableUnreplicated
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.sink.token import FencingToken
from tests.unit.dispatcher.stream.memory_stream import StreamWorld

XID = "X'31',X'',1"
Make = Callable[..., StreamWorld]


@pytest.fixture(params=["mariadb", "mysql"])
def make(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    worlds: list[StreamWorld] = []

    def made(**options: Any) -> StreamWorld:
        flavour: Flavour = request.param
        worlds.append(StreamWorld(tmp_path, monkeypatch, flavour, pb.ChangefeedOptions(**options)))
        return worlds[-1]

    yield made
    for world in worlds:
        world.end(abort=True)


def test_every_row_comes_once_and_in_order_of_its_table(make: Make) -> None:
    world = make(lanes=2, batch_transactions=7)
    world.add("s.a", "s.b", "s.other")
    world.run({"s.a": 0, "s.b": 1})
    for number in range(60):
        world.transaction(*("a", "b", "other")[: number % 3 + 1])
    world.until(lambda: world.has_all("s.a", "s.b"))
    assert not world.server.of("s.other"), "it is another node's"
    world.end()
    assert world.server.progress["s.a"].position.offset == world.log.offset
    assert world.server.commits < 60, "transactions are put together"


def test_a_stream_that_is_cut_is_followed_by_one_that_applies_the_rest(make: Make) -> None:
    world = make(lanes=2, batch_transactions=3)
    world.add("s.a", "s.b")
    world.run({"s.a": 0, "s.b": 1})
    for _ in range(10):
        world.transaction("a", "b")
    world.until(lambda: len(world.server.rows) >= 2)
    with world.server.hold():
        for _ in range(10):
            world.transaction("b", "a")
        world.end(abort=True)
    world.run({"s.a": 0, "s.b": 1}, generation=2)
    world.transaction("a", "b")
    world.until(lambda: world.has_all("s.a", "s.b"))


def test_what_was_committed_and_not_answered_is_not_applied_again(make: Make) -> None:
    world = make()
    world.add("s.a")
    world.server.lost_answers.append(SinkUnavailable("the connection was lost at COMMIT"))
    world.run({"s.a": 0})
    world.transaction("a")
    world.until(lambda: not world.server.lost_answers)
    world.transaction("a")
    world.until(lambda: world.has_all("s.a") and world.is_in(pb.RUNNING, "s.a"))
    assert any(one.error is not None and one.state == pb.RETRYING for report, _ in world.seen for one in report.tables)


def test_a_transaction_larger_than_a_batch_becomes_visible_whole(make: Make) -> None:
    world = make(batch_bytes=200)
    world.add("s.a")
    world.run({"s.a": 0})
    world.write(world.log.begin())
    for _ in range(40):
        world.write(world.log.rows("s", "a", 10, b"x:a"))
    world.until(lambda: world.of("s.a") is not None)
    assert not world.server.rows
    world.write(world.log.commit())
    world.until(lambda: world.has_all("s.a"))
    assert len(world.server.rows) == 40
    assert world.server.commits == 1


def test_a_takeover_that_replaces_the_token_in_time_stops_nothing(make: Make) -> None:
    world = make()
    world.add("s.a")
    world.run({"s.a": 0})
    world.transaction("a")
    world.until(lambda: world.has_all("s.a"))
    world.token = replace(world.token, epoch=2)
    with world.server.changed:
        world.server.fence = 2
    world.transaction("a")
    world.until(lambda: world.has_all("s.a"))
    assert world.server.progress["s.a"].incarnation == (2, 1)
    assert world.is_in(pb.RUNNING, "s.a")


def test_a_takeover_while_a_lane_claims_breaks_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make()
    world.add("s.a")
    claim = world.server.claim

    def claim_overtaken(claimant: object, epoch: int, generations: Mapping[str, int]) -> dict[str, Position]:
        if epoch == 1:  # it has read the token; then come a Bootstrap and the fence
            world.token = replace(world.token, epoch=2)
            world.server.fence = 2
        return claim(claimant, epoch, generations)

    monkeypatch.setattr(world.server, "claim", claim_overtaken)
    world.run({"s.a": 0})
    world.transaction("a")
    world.until(lambda: world.has_all("s.a") or world.is_in(pb.BROKEN, "s.a"))
    assert world.is_in(pb.RUNNING, "s.a")
    assert world.server.progress["s.a"].incarnation == (2, 1)


def test_a_stream_below_the_fence_is_broken_and_writes_nothing(make: Make) -> None:
    world = make()
    world.add("s.a")
    world.run({"s.a": 0})
    world.until(lambda: world.is_in(pb.RUNNING, "s.a"))
    with world.server.changed:
        world.server.fence = 2
    world.transaction("a")
    world.until(lambda: world.is_in(pb.BROKEN, "s.a"))
    found = world.of("s.a")
    assert found is not None
    assert isinstance(found.error, Fenced)
    assert not world.server.rows


def test_only_the_dispatcher_that_another_has_claimed_is_broken(make: Make) -> None:
    world = make()
    world.add("s.a", "s.b")
    world.run({"s.a": 0, "s.b": 0})
    world.until(lambda: world.is_in(pb.RUNNING, "s.a", "s.b"))
    with world.server.changed:
        world.server.claim(object(), 1, {"s.a": 2})
    world.transaction("a", "b")
    world.until(lambda: world.is_in(pb.BROKEN, "s.a") and world.has_all("s.b"))
    assert not world.server.of("s.a")
    assert world.is_in(pb.RUNNING, "s.b")


def test_a_dispatcher_is_blocked_at_a_ddl_only_when_all_before_it_is_durable(make: Make) -> None:
    world = make(lanes=2)
    world.add("*", "s.a", "s.b")
    stream = world.run({"*": 0, "s.a": 0, "s.b": 1})
    world.until(lambda: world.is_in(pb.RUNNING, "*", "s.a", "s.b"))
    with world.server.hold():
        for _ in range(5):
            world.transaction("a", "b")
        world.write(world.log.ddl("ALTER TABLE a ADD v INT"))
        reports = len(world.seen)
        world.until(lambda: len(world.seen) > reports)  # of the stream that waits for its lanes
    world.until(lambda: world.is_in(pb.BLOCKED, "*", "s.a"))
    before = [rows for report, rows in world.seen if any(one.state == pb.BLOCKED for one in report.tables)]
    assert before[0] == 10
    assert world.is_in(pb.RUNNING, "s.b")
    assert not world.server.statements
    world.decide(stream, dispatch_pb2.WRITE, "*", flushed={"s.a": 1})
    world.until(lambda: world.server.statements == ["ALTER TABLE a ADD v INT"])
    world.until(lambda: world.is_in(pb.RUNNING, "*"))
    world.transaction("a", "b")
    world.decide(stream, dispatch_pb2.PASS, "s.a")
    world.until(lambda: world.has_all("s.a", "s.b") and world.is_in(pb.RUNNING, "s.a"))


def test_a_write_that_did_not_count_on_all_is_not_carried_out(make: Make) -> None:
    world = make()
    world.add("*", "s.a")
    stream = world.run({"*": 0, "s.a": 0})
    world.write(world.log.ddl("ALTER TABLE a ADD v INT"))
    world.until(lambda: world.is_in(pb.BLOCKED, "*", "s.a"))
    world.decide(stream, dispatch_pb2.WRITE, "*", flushed={"s.a": 9})
    world.decide(stream, dispatch_pb2.WRITE, "*", flushed={"s.a": 1})
    world.until(lambda: world.is_in(pb.RUNNING, "*"))
    assert world.server.statements == ["ALTER TABLE a ADD v INT"]


def test_a_table_that_is_created_is_listed_before_its_rows_without_a_decision(make: Make) -> None:
    world = make()
    world.add("*")
    world.run({"*": 0})
    world.write(world.log.ddl("CREATE TABLE new (id INT)"))
    end = world.log.offset
    world.transaction("new")
    world.until(lambda: "s.new" in world.server.progress)
    assert world.server.progress["s.new"].position.offset == end
    world.end()
    world.run({"*": 0, "s.new": 0}, generation=2)
    world.until(lambda: world.has_all("s.new"))


@pytest.mark.unreplicated
def test_rows_of_a_table_that_nobody_replicates_stop_the_stream_before_them(make: Make) -> None:
    world = make()
    world.add("*", "s.a")
    world.run({"*": 0, "s.a": 0})
    world.transaction("a")
    before = world.log.offset
    world.transaction("unknown")
    world.until(lambda: world.is_in(pb.BROKEN, "*"))
    found = world.of("*")
    assert found is not None
    assert isinstance(found.error, TableUnreplicated)
    assert world.server.progress["s.unknown"].position.offset == before


def test_xa_rows_wait_in_the_sink_for_their_decision(make: Make) -> None:
    world = make()
    world.add("s.a", "s.b")
    world.run({"s.a": 0, "s.b": 0})
    world.write(world.log.prepared(XID, ("s", "a", 10), ("s", "b", 11)))
    world.until(lambda: bool(world.server.stored))
    assert world.server.stored.keys() == {XID}
    assert not world.server.rows
    world.end()
    world.run({"s.a": 0, "s.b": 0}, generation=2)  # it knows of them from the sink alone
    world.write(world.log.decided(f"XA COMMIT {XID}"))
    world.until(lambda: world.has_all("s.a", "s.b"))
    assert not world.server.stored
    world.write(world.log.prepared(XID, ("s", "a", 10)))
    world.write(world.log.decided(f"XA ROLLBACK {XID}"))
    world.transaction("b")
    world.until(lambda: world.has_all("s.b"))
    assert len(world.server.of("s.a")) == 1


def test_an_abort_while_the_sink_is_at_work_ends_at_once(make: Make) -> None:
    world = make()
    world.add("s.a")
    world.run({"s.a": 0})
    world.until(lambda: world.is_in(pb.RUNNING, "s.a"))
    with world.server.hold():
        world.transaction("a")
        world.end(abort=True)
        assert not world.server.rows
    assert world.token == FencingToken("u", 1)
