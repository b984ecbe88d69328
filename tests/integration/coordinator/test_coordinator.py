"""The coordinator on a real etcd, with real gRPC to nodes that only pretend to maintain."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY

from hedgerow.common import errors
from hedgerow.common.control.rpc import to_error
from hedgerow.common.etcd import prefix
from hedgerow.common.ids import Keys
from hedgerow.common.pb.v1 import admin_pb2 as apb
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from tests.integration.coordinator.conftest import StartNode
from tests.integration.coordinator.nodes import CLUSTER, Node, creation, eventually, named

RETRIABLE = pb.ChangefeedError(code="SinkUnavailable", message="the sink does not answer", retriable=True)
FATAL = pb.ChangefeedError(code="SinkDiverged", message="row not found (1032)")


async def failure(call: Any) -> errors.HedgerowError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return to_error(caught.value, "node")


async def keys_of(node: Node) -> list[str]:
    return list((await node.etcd.range(prefix(Keys(CLUSTER).changefeeds))).items)


async def test_a_changefeed_lives_through_create_pause_resume_and_remove(start_node: StartNode) -> None:
    a = await start_node("a")
    made = await a.admin.CreateChangefeed(creation(), timeout=10)
    assert (made.ownership.epoch, made.ownership.node, made.status.state) == (1, a.id, pb.NORMAL)
    assert (made.live.phase, made.spec.options.lanes, made.spec.start) == (mpb.MAINTAINING, 4, "now")

    paused = await a.admin.Pause(named(), timeout=10)
    assert (paused.status.state, paused.ownership.epoch, paused.ownership.closed) == (pb.STOPPED, 2, True)
    assert await a.admin.Pause(named(), timeout=10) == paused

    resumed = await a.admin.Resume(named(), timeout=10)
    assert (resumed.status.state, resumed.ownership.epoch, resumed.live.phase) == (pb.NORMAL, 3, mpb.MAINTAINING)
    assert [change.reason for change in resumed.ownership.changes] == [
        "created by user",
        "paused by user",
        "resumed by user",
    ]

    await a.admin.Remove(named(), timeout=10)
    assert await keys_of(a) == []
    assert [(kind, stamp.epoch) for kind, stamp in a.host.requests] == [
        ("add", 1),
        ("close", 2),
        ("add", 3),
        ("forget", 4),
    ]
    assert isinstance(await failure(a.admin.Get(named(), timeout=5)), errors.NotFound)


async def test_chains_are_refused(start_node: StartNode) -> None:
    a = await start_node("a")
    made = await a.admin.CreateChangefeed(creation(), timeout=10)
    chain = creation("chain")
    chain.source, chain.sink = made.spec.sink, "mysql://u@elsewhere/"
    error = await failure(a.admin.CreateChangefeed(chain, timeout=5))
    assert isinstance(error, errors.PreflightFailed)
    assert "itself the sink of changefeed shop" in str(error)
    opposite = creation("opposite")
    opposite.source, opposite.sink = made.spec.sink, made.spec.source
    await a.admin.CreateChangefeed(opposite, timeout=10)


async def test_wrong_requests_change_nothing(start_node: StartNode) -> None:
    a = await start_node("a")
    await a.admin.CreateChangefeed(creation(), timeout=10)
    assert isinstance(await failure(a.admin.CreateChangefeed(creation(), timeout=5)), errors.AlreadyExists)
    for field, value in (("name", "No Name"), ("source", "mysql://u:p@h:1/"), ("sink", "nonsense")):
        request = creation("other")
        setattr(request, field, value)
        assert isinstance(await failure(a.admin.CreateChangefeed(request, timeout=5)), errors.BadInput)
    request = creation("other")
    request.options.lanes = 1000
    error = await failure(a.admin.CreateChangefeed(request, timeout=5))
    assert str(error) == "lanes is 1000, but must be from 1 to 64"
    assert isinstance(await failure(a.admin.Resume(named(), timeout=5)), errors.IllegalTransition)
    assert isinstance(await failure(a.admin.Pause(named("none"), timeout=5)), errors.NotFound)
    drain = apb.DrainNodeRequest(node=a.id)
    assert isinstance(await failure(a.admin.DrainNode(drain, timeout=5)), errors.IllegalTransition)
    assert len(await keys_of(a)) == 3
    assert (await a.admin.Get(named(), timeout=5)).ownership.epoch == 1


async def test_every_node_forwards_to_the_coordinator(start_node: StartNode) -> None:
    a = await start_node("a")
    await eventually(lambda: a.coordinator.term)
    b = await start_node("b")
    await b.admin.CreateChangefeed(creation(), timeout=10)
    listed = await b.admin.List(apb.ListRequest(), timeout=5)
    assert [each.spec.name for each in listed.changefeeds] == ["shop"]
    nodes = (await b.admin.ListNodes(apb.ListNodesRequest(), timeout=5)).nodes
    assert [(node.info.id, node.coordinator) for node in nodes] == sorted([(a.id, True), (b.id, False)])
    assert isinstance(await failure(b.admin.Get(named("none"), timeout=5)), errors.NotFound)
    forwarded = b.admin.Get(named(), timeout=5, metadata=(("hedgerow-forwarded", "1"),))
    assert isinstance(await failure(forwarded), errors.NodeUnavailable)


async def test_without_a_coordinator_a_call_says_so_before_its_deadline(start_node: StartNode) -> None:
    a = await start_node("a", coordinates=False)
    error = await failure(a.admin.List(apb.ListRequest(), timeout=1))
    assert isinstance(error, errors.NodeUnavailable)
    assert "no coordinator" in str(error)


async def test_a_pause_that_is_not_confirmed_tells_why(start_node: StartNode) -> None:
    a = await start_node("a")
    await a.admin.CreateChangefeed(creation(), timeout=10)
    a.host.closes = False
    error = await failure(a.admin.Pause(named(), timeout=1.5))
    assert isinstance(error, errors.NodeUnavailable)
    assert str(error) == f"changefeed shop is paused, but its stop is not confirmed yet: node {a.id} has not finished"
    a.host.report(a.host.requests[-1][1].uid, mpb.CLOSED)
    assert (await a.admin.Pause(named(), timeout=5)).ownership.epoch == 2


async def test_a_dead_owner_is_replaced_without_waiting_for_its_lease(start_node: StartNode) -> None:
    a = await start_node("a")
    await eventually(lambda: a.coordinator.term)
    b = await start_node("b", coordinates=False)
    await eventually(lambda: a.coordinator.term and len(a.coordinator.term.world().nodes) == 2)
    await a.admin.CreateChangefeed(creation(), timeout=10)
    await a.admin.MoveMaintainer(apb.MoveMaintainerRequest(name="shop", node="b"), timeout=10)
    began = time.monotonic()
    await b.vanish()
    await eventually(lambda: any(status.stamp.epoch == 3 for status in a.host.statuses.values()))
    assert time.monotonic() - began < 5
    shop = await a.admin.Get(named(), timeout=5)
    assert (shop.ownership.node, shop.ownership.epoch) == (a.id, 3)
    assert shop.live.phase == mpb.MAINTAINING
    assert shop.ownership.changes[-1].reason in (f"node {b.id} does not answer", f"node {b.id} is gone")
    await eventually(lambda: b.membership.session.lost.is_set())


async def test_a_changefeed_whose_owner_is_dead_is_removed_by_another(start_node: StartNode) -> None:
    a = await start_node("a")
    await eventually(lambda: a.coordinator.term)
    b = await start_node("b", coordinates=False)
    await eventually(lambda: a.coordinator.term and len(a.coordinator.term.world().nodes) == 2)
    await a.admin.CreateChangefeed(creation(), timeout=10)
    await a.admin.MoveMaintainer(apb.MoveMaintainerRequest(name="shop", node="b"), timeout=10)
    removing = asyncio.create_task(b.vanish())
    await a.admin.Remove(named(), timeout=10)
    await removing
    assert await keys_of(a) == []
    kind, stamp = a.host.requests[-1]
    assert (kind, stamp.node) == ("forget", a.id)
    assert stamp.epoch >= 3


async def test_a_call_that_hangs_delays_no_other_changefeed_and_not_its_own_pause(start_node: StartNode) -> None:
    a = await start_node("a")
    a.host.hangs = "stuck"
    stuck = asyncio.ensure_future(a.admin.CreateChangefeed(creation("stuck"), timeout=10))
    await eventually(lambda: a.coordinator.term and "stuck" in a.coordinator.term.table.changefeeds)
    began = time.monotonic()
    made = await a.admin.CreateChangefeed(creation("shop"), timeout=10)
    assert made.live.phase == mpb.MAINTAINING
    paused = await a.admin.Pause(named("stuck"), timeout=10)
    assert paused.ownership.closed
    assert time.monotonic() - began < 2
    await stuck


async def test_metrics_show_the_epoch_the_state_and_why_owners_changed(start_node: StartNode) -> None:
    a = await start_node("a")

    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0

    before = value("hedgerow_ownership_changes_total", reason="paused")
    await a.admin.CreateChangefeed(creation(), timeout=10)
    await a.admin.Pause(named(), timeout=10)
    await eventually(lambda: value("hedgerow_changefeed_epoch", changefeed="shop", node=a.id) == 2)
    assert value("hedgerow_changefeed_state", changefeed="shop", state="stopped") == 1
    assert value("hedgerow_ownership_changes_total", reason="paused") == before + 1
    await a.stop_coordinating()
    assert value("hedgerow_changefeed_epoch", changefeed="shop", node=a.id) == 0


async def test_an_error_is_shown_retried_under_a_new_epoch_and_forgotten(start_node: StartNode) -> None:
    a = await start_node("a")
    uid = (await a.admin.CreateChangefeed(creation(), timeout=10)).spec.uid
    a.host.report(uid, mpb.ERRED, RETRIABLE)
    term = await eventually(lambda: a.coordinator.term)
    await eventually(lambda: term.table.changefeeds["shop"].status.state == pb.WARNING)
    assert term.table.changefeeds["shop"].status.error == RETRIABLE
    await eventually(lambda: term.table.changefeeds["shop"].status.state == pb.NORMAL)
    shop = await a.admin.Get(named(), timeout=5)
    assert not shop.status.HasField("error")
    assert (shop.ownership.epoch, shop.status.attempts, shop.ownership.changes[-1].reason) == (
        2,
        1,  # it has not been well for long
        "retry after SinkUnavailable",
    )


async def test_a_fatal_error_fails_it_and_closes_it_until_it_is_resumed(start_node: StartNode) -> None:
    a = await start_node("a")
    uid = (await a.admin.CreateChangefeed(creation(), timeout=10)).spec.uid
    a.host.report(uid, mpb.MAINTAINING, FATAL)
    term = await eventually(lambda: a.coordinator.term)
    await eventually(lambda: term.table.changefeeds["shop"].ownership.closed)
    shop = await a.admin.Get(named(), timeout=5)
    assert (shop.status.state, shop.status.error.code, shop.ownership.epoch) == (pb.FAILED, "SinkDiverged", 2)
    resumed = await a.admin.Resume(named(), timeout=10)
    assert (resumed.status.state, resumed.status.HasField("error"), resumed.ownership.epoch) == (pb.NORMAL, False, 3)


async def test_an_update_restarts_and_a_drained_node_gives_its_work_away(start_node: StartNode) -> None:
    a = await start_node("a")
    await eventually(lambda: a.coordinator.term)
    await a.admin.CreateChangefeed(creation(), timeout=10)
    b = await start_node("b")
    request = apb.UpdateChangefeedRequest(name="shop", filter=apb.FilterRules(rules=["shop.*"]))
    updated = await b.admin.Update(request, timeout=10)
    assert (list(updated.spec.filter), updated.ownership.epoch, updated.ownership.node) == (["shop.*"], 2, a.id)

    move = apb.MoveDispatcherRequest(name="shop", dispatcher="shop.orders", node="b")
    await b.admin.MoveDispatcher(move, timeout=10)
    assert a.host.placed == [("shop.orders", b.id)]

    drained = await b.admin.DrainNode(apb.DrainNodeRequest(node="a"), timeout=10)
    assert drained.info.liveness == pb.DRAINING
    await eventually(lambda: updated.spec.uid in b.host.statuses)
    shop = await b.admin.Get(named(), timeout=5)
    assert (shop.ownership.node, shop.ownership.epoch) == (b.id, 3)
    assert isinstance(await failure(b.admin.DrainNode(apb.DrainNodeRequest(node="b"), timeout=5)), errors.UserError)
    moved = apb.MoveMaintainerRequest(name="shop", node="a")
    assert "is draining" in str(await failure(b.admin.MoveMaintainer(moved, timeout=5)))


async def test_a_watch_follows_the_changefeed_to_its_end(start_node: StartNode) -> None:
    a = await start_node("a")
    await eventually(lambda: a.coordinator.term)
    b = await start_node("b")
    await a.admin.CreateChangefeed(creation(), timeout=10)
    watch = b.admin.Watch(named(), timeout=20)
    assert (await watch.read()).ownership.epoch == 1
    await a.admin.Pause(named(), timeout=10)
    while (seen := await watch.read()).status.state != pb.STOPPED or not seen.ownership.closed:
        pass
    await a.admin.Remove(named(), timeout=10)
    while (last := await watch.read()) is not grpc.aio.EOF:
        assert last.ownership.epoch >= 2
    assert isinstance(await failure(b.admin.Watch(named(), timeout=5).read()), errors.NotFound)
