"""Where one owner places dispatchers, over nodes that come and go."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from tests.integration.maintainer.conftest import START, Bench
from tests.integration.maintainer.fakes import FakeNode
from tests.integration.maintainer.steps import spread, started

pytestmark = pytest.mark.timeout(60)


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
