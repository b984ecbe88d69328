"""One owner at work: placement over nodes that come and go, DDL, errors, and the loss of ownership."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing

import grpc
import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from common import sinktables
from common.epoch import Owner
from common.mysql import connect
from common.pb.v1 import maintainer_pb2 as mpb
from common.pb.v1 import model_pb2 as pb
from common.position import Position
from common.uri import ServerUri
from coordinator.decisions import SetFailed, SetWarning
from coordinator.feed import Feed, Revisions, first_ownership
from coordinator.reconcile import Node as SeenNode
from coordinator.reconcile import World, reconcile
from hedgerow.sandbox.proxy import FaultProxy
from tests.integration.maintainer.conftest import START, Bench
from tests.integration.maintainer.fakes import FakeDispatch, FakeNode

pytestmark = pytest.mark.timeout(60)


def spread(bench: Bench) -> dict[str, int]:
    """node -> tables"""
    return dict(Counter(node for key, node in bench.cluster.where().items() if key != "*"))


def at(offset: int) -> Position:
    return Position(gtid_set=f"0-1-{offset}", file="binlog.000001", offset=offset, source_id="1")


def ddl_at(offset: int, *touches: str) -> pb.Ddl:
    ddl = pb.Ddl(gtid=f"0-1-{offset}", scope=pb.TABLES)
    ddl.position.CopyFrom(pb.Position(file="binlog.000001", offset=offset, source_id="1"))
    for table in touches:
        ddl.touches.add(schema="shop", table=table)
    return ddl


def finish_ddl(bench: Bench, offset: int, *, add: list[str] | None = None, drop: list[str] | None = None) -> None:
    """What the schema dispatcher's last transaction does."""
    uid = bench.spec.uid
    with bench.pair.sink.connect() as connection, sinktables.transaction(connection) as cursor:
        sinktables.add_progress(cursor, uid, 1, add or [], at(offset))
        sinktables.delete_progress(cursor, uid, drop or [])
        cursor.execute(
            "UPDATE hedgerow.progress SET gtid_set = %s, binlog_pos = %s"
            " WHERE changefeed_uid = %s AND dispatcher = '*'",
            (f"0-1-{offset}", offset, uid),
        )


async def started(bench: Bench, tables: list[str], nodes: list[str], epoch: int = 1) -> list[FakeDispatch]:
    bench.create_tables(*tables)
    for node in nodes:
        await bench.cluster.join(node)
    await bench.add(epoch)
    wanted = {"*", *(f"shop.{table}" for table in tables)}
    await bench.eventually(lambda: bench.cluster.where().keys() == wanted)
    await bench.phase(mpb.MAINTAINING, epoch)
    return [bench.cluster.dispatch[node] for node in ("n1", *nodes)]


async def test_the_first_owner_lists_the_sources_tables_and_spreads_them(bench: Bench) -> None:
    await started(bench, ["a", "b", "c", "d"], ["n2"])
    assert spread(bench) == {"n1": 2, "n2": 2}
    assert bench.progress() == dict.fromkeys(["shop.a", "shop.b", "shop.c", "shop.d", "*"], START)
    assert bench.fence() == 1
    status = await bench.report(lambda s: len(s.dispatchers) == 5)
    assert status.checkpoint == START.write()
    assert status.lag_seconds == 0.5
    assert {d.node for d in status.dispatchers} == {"n1", "n2"}


async def test_a_new_owner_adopts_what_runs_without_stopping_it(bench: Bench) -> None:
    nodes = await started(bench, ["a", "b"], ["n2"])
    before = {key: s.generation for fake in nodes for key, s in fake.statuses.items()}
    for fake in nodes:
        fake.calls.clear()
    await bench.add(2)
    status = await bench.report(lambda s: s.stamp.epoch == 2 and len(s.dispatchers) == 3)
    assert {d.dispatcher: d.generation for d in status.dispatchers} == before
    assert [fake.calls for fake in nodes] == [[("Bootstrap", 2)], [("Bootstrap", 2)]]


async def test_a_silent_node_does_not_hold_the_others_and_is_fenced(bench: Bench) -> None:
    first, second = await started(bench, ["a", "b"], ["n2"])
    second.hanging.update(("Bootstrap", "Heartbeat"))
    await bench.add(2)
    await bench.phase(mpb.MAINTAINING, 2)
    await bench.eventually(lambda: first.statuses.keys() == {"shop.a", "shop.b", "*"})
    assert bench.fence() == 2
    ((moved, old),) = second.statuses.items()
    new = first.statuses[moved]
    assert (new.epoch, new.generation) > (old.epoch, old.generation)


async def test_a_joining_node_takes_its_share(bench: Bench) -> None:
    await started(bench, ["a", "b", "c", "d"], [])
    await bench.cluster.join("n2")
    await bench.eventually(lambda: spread(bench) == {"n1": 2, "n2": 2})
    generations = {s.generation for s in bench.cluster.dispatch["n2"].statuses.values()}
    assert generations == {2}, "a move within an epoch is a higher generation"


async def test_a_move_is_removed_before_it_is_created(bench: Bench) -> None:
    (first,) = await started(bench, ["a", "b"], [])
    second = await bench.cluster.join("n2")
    await bench.eventually(lambda: spread(bench) == {"n1": 1, "n2": 1})
    (moved,) = second.statuses
    assert ("remove", moved) in first.calls
    assert ("create", (moved, 2)) in second.calls


async def test_dispatchers_of_a_dead_process_are_placed_anew_before_its_lease_ends(bench: Bench) -> None:
    first, second = await started(bench, ["a", "b"], ["n2"])
    lost = {key: s.generation for key, s in second.statuses.items()}
    assert lost
    await bench.cluster.kill("n2")
    await bench.eventually(lambda: first.statuses.keys() == {"shop.a", "shop.b", "*"})
    assert all(first.statuses[key].generation == generation + 1 for key, generation in lost.items())


async def test_a_frozen_nodes_dispatchers_are_placed_anew_and_removed_where_it_thaws(bench: Bench) -> None:
    first, second = await started(bench, ["a", "b"], ["n2"])
    second.hanging.update(("Bootstrap", "Heartbeat"))
    await bench.eventually(lambda: first.statuses.keys() == {"shop.a", "shop.b", "*"})
    (orphan,) = second.statuses
    assert first.statuses[orphan].generation == 2
    second.hanging.clear()
    await bench.eventually(lambda: ("remove", orphan) in second.calls)
    await bench.eventually(lambda: not _doubled(bench) and spread(bench) == {"n1": 1, "n2": 1})


def _doubled(bench: Bench) -> bool:
    first, second = bench.cluster.dispatch.values()
    return bool(first.statuses.keys() & second.statuses.keys())


async def test_a_node_that_leaves_is_replaced(bench: Bench) -> None:
    first, _ = await started(bench, ["a", "b"], ["n2"])
    bench.cluster.hide("n2")
    await bench.eventually(lambda: first.statuses.keys() == {"shop.a", "shop.b", "*"})


async def test_a_draining_node_is_emptied(bench: Bench) -> None:
    first, second = await started(bench, ["a", "b"], ["n2"])
    bench.cluster.show(FakeNode("n2", bench.cluster.members.nodes["n2"].address, pb.DRAINING))
    await bench.eventually(lambda: first.statuses.keys() == {"shop.a", "shop.b", "*"} and not second.statuses)


async def test_a_maintainer_whose_node_leaves_lets_its_successor_move_the_dispatchers(bench: Bench) -> None:
    await bench.cluster.join("n2")
    await started(bench, ["a", "b"], [])
    before = bench.cluster.where()
    info = bench.cluster.members.nodes["n1"]
    bench.cluster.show(FakeNode("n1", info.address, pb.DRAINING))
    await asyncio.sleep(0.2)  # nothing may happen: give it the time to go wrong
    assert bench.cluster.where() == before
    bench.cluster.show(FakeNode("n1", info.address, pb.ALIVE))
    bench.cluster.show(FakeNode("n2", bench.cluster.members.nodes["n2"].address, pb.DRAINING))
    await bench.eventually(lambda: set(bench.cluster.where().values()) == {"n1"})


async def test_tables_tied_by_a_foreign_key_share_a_node_and_a_lane(bench: Bench) -> None:
    bench.create_tables("a", "b", "parent")
    for run in (bench.source, bench.sink):
        run("CREATE TABLE shop.child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES shop.parent (id))")
    await bench.cluster.join("n2")
    await bench.add(1)
    await bench.eventually(lambda: len(bench.cluster.where()) == 5)
    where = bench.cluster.where()
    assert where["shop.child"] == where["shop.parent"]
    lanes = bench.cluster.dispatch[where["shop.child"]].lanes
    assert lanes["shop.child"] == lanes["shop.parent"]
    assert spread(bench) == {"n1": 2, "n2": 2}


@pytest.mark.parametrize("consistency", [pb.TABLE, pb.TRANSACTION])
async def test_a_takeover_restarts_nothing_that_runs_in_one_lane(bench: Bench, consistency: pb.Consistency) -> None:
    bench.spec.options.consistency = consistency
    bench.create_tables("a", "parent")
    for run in (bench.source, bench.sink):
        run("CREATE TABLE shop.child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES shop.parent (id))")
    await bench.cluster.join("n2")
    await bench.add(1)
    await bench.eventually(lambda: len(bench.cluster.where()) == 4)
    before = bench.cluster.where()
    for fake in bench.cluster.dispatch.values():
        fake.calls.clear()
    await bench.add(2)
    await bench.phase(mpb.MAINTAINING, 2)
    status = await bench.report(lambda s: len(s.dispatchers) == 4)
    assert {d.epoch for d in status.dispatchers} == {2}
    assert bench.cluster.where() == before
    assert {name for fake in bench.cluster.dispatch.values() for name, _ in fake.calls} == {"Bootstrap"}


async def test_place_dispatcher_moves_it_and_it_stays(bench: Bench) -> None:
    await started(bench, ["a", "b"], ["n2"])
    key, node = next((key, node) for key, node in bench.cluster.where().items() if key != "*")
    other = {"n1": "n2", "n2": "n1"}[node]

    async def place(dispatcher: str, epoch: int) -> mpb.PlaceDispatcherResponse:
        request = mpb.PlaceDispatcherRequest(stamp=bench.stamp(epoch), dispatcher=dispatcher, node=other)
        response: mpb.PlaceDispatcherResponse = await bench.stub.PlaceDispatcher(request, timeout=5)
        return response

    assert not (await place(key, 1)).HasField("rejection")
    await bench.eventually(lambda: bench.cluster.where().get(key) == other)
    assert (await place(key, 2)).rejection.verdict == pb.AHEAD
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await place("shop.nothing", 1)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_ddl_is_written_when_all_are_blocked_and_passed_when_the_sink_has_it(bench: Bench) -> None:
    (fake,) = await started(bench, ["a", "b"], [])
    ddl = ddl_at(50, "a")
    fake.set("*", pb.BLOCKED, blocked=ddl, position=at(49).write())
    fake.set("shop.a", pb.RUNNING, position=at(20).write())
    await asyncio.sleep(0.1)  # nothing may happen: give it the time to go wrong
    assert fake.barriers == []
    fake.set("shop.a", pb.BLOCKED, blocked=ddl, position=at(49).write())
    await bench.eventually(lambda: ("WRITE", ("*",)) in fake.barriers)
    assert ("PASS", ("shop.a",)) not in fake.barriers
    finish_ddl(bench, 50)
    fake.set("*", pb.RUNNING, position=at(50).write())
    await bench.eventually(lambda: ("PASS", ("shop.a",)) in fake.barriers)
    fake.set("shop.b", pb.RUNNING, position=at(60).write())
    fake.set("shop.a", pb.RUNNING, position=at(55).write())
    await bench.report(lambda s: s.checkpoint == at(50).write())


async def test_dispatchers_of_created_tables_appear_and_hold_the_checkpoint_and_dropped_ones_vanish(
    bench: Bench,
) -> None:
    (fake,) = await started(bench, ["a", "b"], [])
    fake.set("*", pb.BLOCKED, blocked=ddl_at(50), position=at(49).write())
    fake.set("shop.a", pb.BLOCKED, blocked=ddl_at(60, "a"), position=at(59).write())
    fake.set("shop.b", position=at(70).write())
    await bench.eventually(lambda: ("WRITE", ("*",)) in fake.barriers)
    finish_ddl(bench, 50, add=["shop.new"])
    fake.set("*", pb.BLOCKED, blocked=ddl_at(60, "a"), position=at(59).write())
    await bench.eventually(lambda: "shop.new" in fake.statuses)
    await bench.report(lambda s: s.checkpoint == at(50).write())
    fake.set("shop.new", position=at(70).write())
    await bench.eventually(lambda: fake.barriers.count(("WRITE", ("*",))) == 2)
    finish_ddl(bench, 60, drop=["shop.a"])
    fake.set("*", position=at(70).write())
    await bench.eventually(lambda: "shop.a" not in fake.statuses)
    assert not [keys for action, keys in fake.barriers if action == "PASS"]
    await bench.report(lambda s: s.checkpoint == at(70).write())


async def test_tables_that_a_ddl_ties_together_are_moved_together_before_they_pass(bench: Bench) -> None:
    first, second = await started(bench, ["parent", "child"], ["n2"])
    where = bench.cluster.where()
    assert where["shop.child"] != where["shop.parent"]
    ddl = ddl_at(50, "child", "parent")
    nodes = {"n1": first, "n2": second}
    for key in ("*", "shop.child", "shop.parent"):
        nodes[where[key]].set(key, pb.BLOCKED, blocked=ddl, position=at(49).write())
    await bench.eventually(lambda: ("WRITE", ("*",)) in nodes[where["*"]].barriers)
    for fake in nodes.values():
        fake.first_state = pb.STARTING
    bench.sink("ALTER TABLE shop.child ADD FOREIGN KEY (id) REFERENCES shop.parent (id)")
    finish_ddl(bench, 50)
    nodes[where["*"]].set("*", position=at(50).write())
    await bench.eventually(lambda: _together(bench))
    home = nodes[bench.cluster.where()["shop.child"]]
    assert home.lanes["shop.child"] == home.lanes["shop.parent"]
    await asyncio.sleep(0.1)  # nothing may happen: give it the time to go wrong
    assert not [keys for fake in nodes.values() for action, keys in fake.barriers if action == "PASS"]
    for key in ("shop.child", "shop.parent"):
        home.set(key, pb.BLOCKED, blocked=ddl, position=at(49).write())
    await bench.eventually(lambda: ("PASS", ("shop.child", "shop.parent")) in home.barriers)


def _together(bench: Bench) -> bool:
    where = bench.cluster.where()
    return "shop.parent" in where and where.get("shop.child") == where["shop.parent"]


async def test_a_broken_dispatcher_ends_the_maintainer_with_its_error(bench: Bench) -> None:
    (fake,) = await started(bench, ["a"], [])
    fake.set("shop.a", pb.BROKEN, error=pb.ChangefeedError(code="SinkDiverged", message="1062"))
    status = await bench.phase(mpb.ERRED, 1)
    error = status.error
    assert (error.code, error.retriable, error.node, error.dispatcher) == ("SinkDiverged", False, "n1", "shop.a")
    assert fake.statuses.keys() == {"shop.a", "*"}, "the coordinator decides, not the maintainer"


async def test_a_retrying_dispatchers_error_is_shown_and_taken_back(bench: Bench) -> None:
    (fake,) = await started(bench, ["a"], [])
    error = pb.ChangefeedError(code="SinkUnavailable", message="refused", retriable=True)
    fake.set("shop.a", pb.RETRYING, error=error)
    shown = await bench.report(lambda s: s.HasField("error"))
    assert (shown.phase, shown.error.code, shown.error.retriable) == (mpb.MAINTAINING, "SinkUnavailable", True)
    fake.set("shop.a", pb.RUNNING)
    await bench.report(lambda s: not s.HasField("error"))


async def test_a_dispatcher_whose_incarnation_was_fenced_is_placed_anew_while_we_own(bench: Bench) -> None:
    (fake,) = await started(bench, ["a"], [])
    fake.set("shop.a", pb.BROKEN, error=pb.ChangefeedError(code="Fenced"))
    await bench.eventually(lambda: "shop.a" in fake.statuses and fake.statuses["shop.a"].generation == 2)
    await bench.report(lambda s: s.phase == mpb.MAINTAINING and not s.HasField("error") and len(s.dispatchers) == 2)


@pytest.mark.parametrize("owner", [Owner(9, "n7"), Owner(1, "n7")], ids=["stale", "foreign"])
async def test_a_maintainer_that_a_node_does_not_obey_stops_itself_and_says_so(bench: Bench, owner: Owner) -> None:
    (fake,) = await started(bench, ["a"], [])
    fake.owner = owner
    fake.touch()
    status = await bench.phase(mpb.SUPERSEDED, 1)
    assert "n7" in status.error.message
    assert status.seen_epoch == owner.epoch
    assert fake.statuses.keys() == {"shop.a", "*"}


async def test_a_maintainer_that_is_stale_from_the_start_stops_before_it_touches_the_sink(bench: Bench) -> None:
    bench.cluster.dispatch["n1"].owner = Owner(9, "n7")
    await bench.add(3)
    await bench.phase(mpb.SUPERSEDED, 3)
    assert bench.sink("SHOW DATABASES LIKE 'hedgerow'") == []


async def test_a_maintainer_below_the_sinks_fence_stops_itself(bench: Bench) -> None:
    await started(bench, ["a"], [])
    bench.raise_fence(6)
    await bench.add(5)
    status = await bench.phase(mpb.SUPERSEDED, 5)
    assert status.error.code == "Fenced"
    assert bench.fence() == 6


async def test_a_close_below_the_sinks_fence_tells_how_high_it_is(bench: Bench) -> None:
    await started(bench, ["a"], [])
    bench.raise_fence(6)
    await bench.remove(5)
    assert (await bench.phase(mpb.SUPERSEDED, 5)).seen_epoch == 6


async def test_a_node_that_cannot_serve_shows_why_and_gets_nothing(bench: Bench) -> None:
    second = await bench.cluster.join("n2")
    second.error = pb.ChangefeedError(code="BadInput", message="flavour is not known on n2", node="n2")
    bench.create_tables("a", "b")
    await bench.add(1)
    first = bench.cluster.dispatch["n1"]
    await bench.eventually(lambda: first.statuses.keys() == {"shop.a", "shop.b", "*"})
    status = await bench.report(lambda s: s.HasField("error"))
    assert (status.phase, status.error.message) == (mpb.MAINTAINING, "flavour is not known on n2")
    (decision,) = reconcile(as_coordinator(bench, status))
    assert isinstance(decision, SetWarning)
    assert decision.retry_at is None, "it is shown, and replication goes on"


async def test_with_no_node_that_can_serve_it_gives_up_with_the_reason(bench: Bench) -> None:
    bench.cluster.dispatch["n1"].error = pb.ChangefeedError(code="BadInput", message="flavour is not known on n1")
    await bench.add(1)
    status = await bench.phase(mpb.ERRED, 1)
    assert (status.error.code, status.error.message) == ("BadInput", "flavour is not known on n1")
    assert isinstance(reconcile(as_coordinator(bench, status))[0], SetFailed)


def as_coordinator(bench: Bench, status: mpb.MaintainerStatus) -> World:
    """What the coordinator decides from when n1 reports this."""
    ownership = first_ownership(bench.spec.uid, "n1", "created", 0.0)
    recorded = pb.ChangefeedStatus(state=pb.NORMAL, checkpoint=START.write())
    feed = Feed(bench.spec, ownership, recorded, Revisions(1, 1, 1))
    return World({feed.name: feed}, {"n1": SeenNode("n1", pb.ALIVE, False, {feed.uid: status})}, 1.0)


async def test_an_updated_filter_drops_and_adds_dispatchers(bench: Bench) -> None:
    bench.create_tables("a", "b", "c")
    bench.spec.filter[:] = ["shop.a", "shop.b"]
    await bench.add(1)
    await bench.eventually(lambda: bench.cluster.where().keys() == {"shop.a", "shop.b", "*"})
    finish_ddl(bench, 40)
    bench.source("CREATE TABLE shop.later (id INT PRIMARY KEY)")  # its DDL has not reached the sink
    bench.spec.former_filters.add(rules=bench.spec.filter)  # what `update` writes
    bench.spec.filter[:] = ["shop.*", "!shop.a"]
    await bench.add(2)
    await bench.eventually(lambda: bench.cluster.where().keys() == {"shop.b", "shop.c", "*"})
    assert bench.progress() == {"shop.b": START, "shop.c": at(40), "*": at(40)} | {
        "*": Position("0-1-40", START.file, 40, START.source_id)
    }


async def test_a_failover_needs_the_sink_but_not_the_source(bench: Bench) -> None:
    await started(bench, ["a"], [])
    bench.spec.source = "mysql://nobody@127.0.0.1:1"
    await bench.add(2)
    await bench.phase(mpb.MAINTAINING, 2)
    other = bench.new_spec()
    other.source = bench.spec.source
    await bench.add(3, spec=other)  # the fake node knows one changefeed only
    status = await bench.phase(mpb.ERRED, 3, uid=other.uid)
    assert (status.error.code, status.error.retriable) == ("SourceUnavailable", True)


async def test_a_close_waits_for_a_sink_that_does_not_answer_and_says_so(
    bench: Bench, fault_proxy: Callable[[int], FaultProxy]
) -> None:
    proxy = fault_proxy(bench.pair.sink.port)
    spec = bench.new_spec()
    spec.sink = spec.sink.replace(str(bench.pair.sink.port), proxy.address.rpartition(":")[2])
    proxy.cut()
    await bench.remove(2, spec=spec)
    shown = await bench.report(lambda s: s.HasField("error"), uid=spec.uid)
    assert (shown.phase, shown.error.code, shown.error.retriable) == (mpb.CLOSING, "SinkUnavailable", True)
    proxy.resume()
    closed = await bench.phase(mpb.CLOSED, 2, uid=spec.uid)
    assert not closed.HasField("error")


async def test_status_answers_as_soon_as_something_changes(bench: Bench) -> None:
    first = await bench.stub.Status(mpb.StatusRequest(term=1), timeout=5)
    assert (first.node, first.dispatchers, list(first.maintainers)) == ("n1", 7, [])
    request = mpb.StatusRequest(term=1, seen_version=first.version, wait_ms=30_000)
    waiting = asyncio.ensure_future(bench.stub.Status(request, timeout=30))
    await bench.add(1)
    answer = await asyncio.wait_for(waiting, 5)
    assert answer.version > first.version
    assert [status.stamp.epoch for status in answer.maintainers] == [1]


def writer(bench: Bench, generation: int) -> Connection[Cursor]:
    """A lane's session, that has claimed shop.a and then stands still in the middle of a transaction."""
    connection = connect(ServerUri.parse(bench.pair.sink_uri), "sink")
    sinktables.claim(connection, bench.spec.uid, 1, {"shop.a": generation})
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        sinktables.check_fence(cursor, bench.spec.uid, 1)
    return connection


async def test_a_takeover_does_not_wait_for_a_frozen_writer_that_no_node_answers_for(bench: Bench) -> None:
    await started(bench, ["a"], [])
    with closing(writer(bench, generation=2)) as frozen:  # the node answers for generation 1
        before = time.monotonic()
        await bench.add(2)
        await bench.phase(mpb.MAINTAINING, 2)
        assert time.monotonic() - before < 0.8, "a lock wait lasts a second"
        with pytest.raises(pymysql.MySQLError):
            frozen.query("COMMIT")


async def test_a_takeover_leaves_the_sessions_of_nodes_that_answer_alone(bench: Bench) -> None:
    await started(bench, ["a"], [])
    with closing(writer(bench, generation=1)) as working:
        working.query("COMMIT")
        await bench.add(2)
        await bench.phase(mpb.MAINTAINING, 2)
        working.ping(reconnect=False)


async def test_the_sessions_of_a_node_that_is_lost_are_ended(bench: Bench) -> None:
    await bench.cluster.join("n2")
    await started(bench, ["a", "b"], [])
    (lost,) = [key for key, node in bench.cluster.where().items() if node == "n2" and key != "*"]
    with closing(connect(ServerUri.parse(bench.pair.sink_uri), "sink")) as frozen:
        sinktables.claim(frozen, bench.spec.uid, 1, {lost: 1})
        frozen_id = sinktables.this_session(frozen).id
        await bench.cluster.kill("n2")
        await bench.eventually(lambda: lost in bench.cluster.dispatch["n1"].statuses)
        query = f"SELECT 1 FROM information_schema.processlist WHERE id = {frozen_id}"
        await bench.eventually(lambda: not bench.sink(query))
