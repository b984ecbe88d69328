"""Every edge of Add and Remove: who is obeyed, who is refused, and what is left behind."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from hedgerow.common.errors import EtcdUnavailable
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from tests.integration.maintainer.conftest import START, Bench
from tests.integration.maintainer.fakes import FakeNode

pytestmark = pytest.mark.timeout(60)


async def test_a_newer_epoch_supersedes_a_live_older_maintainer(bench: Bench) -> None:
    bench.create_tables("a", "b")
    await bench.add(1)
    first = await bench.phase(mpb.MAINTAINING, 1)
    await bench.eventually(lambda: bench.cluster.where().keys() == {"shop.a", "shop.b", "*"})
    response = await bench.add(2)
    assert not response.HasField("rejection")
    assert (response.stamp.epoch, response.stamp.node) == (2, "n1")
    await bench.phase(mpb.MAINTAINING, 2)
    calls = bench.cluster.dispatch["n1"].calls
    assert ("Bootstrap", 2) in calls
    assert bench.fence() == 2
    assert not [call for call in calls if call[0] in ("remove", "Close")], "healthy dispatchers go on"
    assert first.stamp.epoch == 1


async def test_an_older_delayed_add_is_rejected_where_a_newer_one_runs(bench: Bench) -> None:
    await bench.add(5)
    response = await bench.add(4)
    assert response.rejection.verdict == pb.STALE
    assert (response.rejection.current.epoch, response.rejection.current.node) == (5, "n1")
    assert (await bench.phase(mpb.MAINTAINING, 5)).stamp.epoch == 5


async def test_an_older_delayed_add_is_rejected_where_a_newer_one_had_run(bench: Bench) -> None:
    await bench.add(5)
    await bench.eventually(lambda: bench.cluster.where().keys() == {"*"})
    bench.raise_fence(9)
    bench.cluster.dispatch["n1"].set("*", pb.BROKEN, error=pb.ChangefeedError(code="Fenced"))
    assert (await bench.phase(mpb.SUPERSEDED, 5)).seen_epoch == 9
    assert (await bench.add(4)).rejection.verdict == pb.STALE


async def test_the_same_add_twice_is_idempotent(bench: Bench) -> None:
    await asyncio.gather(bench.add(3), bench.add(3))
    await bench.phase(mpb.MAINTAINING, 3)
    assert not (await bench.add(3)).HasField("rejection")
    assert bench.cluster.dispatch["n1"].calls.count(("Bootstrap", 3)) == 1


async def test_two_concurrent_adds_end_with_the_higher_epoch_whichever_came_last(bench: Bench) -> None:
    for lower, higher in ((1, 2), (4, 3)):
        await asyncio.gather(bench.add(lower), bench.add(higher))
        await bench.phase(mpb.MAINTAINING, max(lower, higher))


async def test_a_lower_term_is_rejected_with_the_highest_one_seen(bench: Bench) -> None:
    await bench.add(1, term=8)
    for response in (await bench.add(2, term=7), await bench.remove(2, term=7)):
        assert response.rejection.verdict == pb.STALE
        assert response.rejection.term == 8
    status = await bench.stub.Status(mpb.StatusRequest(term=7), timeout=5)
    assert (status.rejection.verdict, status.rejection.term) == (pb.STALE, 8)
    drained = await bench.stub.Drain(mpb.DrainRequest(term=7), timeout=5)
    assert drained.rejection.term == 8
    assert bench.drains == []
    assert (await bench.phase(mpb.MAINTAINING, 1, term=8)).stamp.epoch == 1


async def test_a_drain_that_fails_leaves_a_node_that_takes_maintainers(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise EtcdUnavailable("etcd does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(bench.host, "_on_drain", fail)
        with pytest.raises(grpc.aio.AioRpcError, match="etcd does not answer"):
            await bench.stub.Drain(mpb.DrainRequest(term=1), timeout=5)
    assert not (await bench.add(1)).HasField("rejection")
    await bench.phase(mpb.MAINTAINING, 1)


async def test_an_add_for_a_former_life_of_this_node_is_foreign(bench: Bench) -> None:
    response = await bench.add(1, node="n1-before")
    assert response.rejection.verdict == pb.FOREIGN
    assert not (await bench.add(1)).HasField("rejection")


async def test_epoch_0_is_obeyed_only_before_any_other_and_never_after_a_close(bench: Bench) -> None:
    assert not (await bench.add(0)).HasField("rejection")
    await bench.phase(mpb.MAINTAINING, 0)
    await bench.add(1)
    assert (await bench.add(0)).rejection.verdict == pb.STALE
    other = bench.new_spec()
    await bench.remove(0, spec=other)
    await bench.phase(mpb.CLOSED, 0, uid=other.uid)
    assert (await bench.add(0, spec=other)).rejection.verdict == pb.STALE


async def test_a_stale_remove_is_rejected(bench: Bench) -> None:
    await bench.add(5)
    assert (await bench.remove(4)).rejection.verdict == pb.STALE
    await bench.phase(mpb.MAINTAINING, 5)
    assert not [call for call in bench.cluster.dispatch["n1"].calls if call[0] == "Close"]


async def test_remove_takes_over_then_closes_though_the_former_owners_node_is_dead(bench: Bench) -> None:
    bench.create_tables("a")
    await bench.cluster.join("n2")
    await bench.add(1)
    await bench.eventually(lambda: bench.cluster.where().keys() == {"shop.a", "*"})
    for fake in bench.cluster.dispatch.values():  # the owner is another node, at an epoch above ours
        fake.owner = type(fake.owner)(3, "dead")
    await bench.remove(4)
    status = await bench.phase(mpb.CLOSED, 4)
    assert bench.cluster.where() == {}
    assert [fake.closed for fake in bench.cluster.dispatch.values()] == [4, 4]
    assert bench.fence() == 4
    assert status.checkpoint == START.write()
    assert bench.progress().keys() == {"shop.a", "*"}


async def test_a_close_leaves_a_tombstone_for_add_at_or_below_it(bench: Bench) -> None:
    await bench.remove(7)
    await bench.phase(mpb.CLOSED, 7)
    for epoch in (0, 6, 7):
        response = await bench.add(epoch)
        assert (response.rejection.verdict, response.rejection.closed) == (pb.STALE, 7)
    assert not (await bench.add(8)).HasField("rejection")
    await bench.phase(mpb.MAINTAINING, 8)


async def test_an_add_that_comes_while_the_same_epoch_closes_is_stale(bench: Bench) -> None:
    bench.cluster.dispatch["n1"].hanging.add("Close")
    await bench.remove(2)
    assert (await bench.add(2)).rejection.verdict == pb.STALE


async def test_the_same_remove_twice_is_idempotent_also_when_it_is_done(bench: Bench) -> None:
    await asyncio.gather(bench.remove(2), bench.remove(2))
    await bench.phase(mpb.CLOSED, 2)
    assert not (await bench.remove(2)).HasField("rejection")
    assert (await bench.phase(mpb.CLOSED, 2)).stamp.epoch == 2
    assert bench.cluster.dispatch["n1"].calls == [("Close", 2)]


async def test_forget_deletes_the_progress_and_keeps_the_fence_as_a_tombstone(bench: Bench) -> None:
    bench.create_tables("a")
    await bench.add(1)
    await bench.phase(mpb.MAINTAINING, 1)
    await bench.remove(2, forget=True)
    await bench.phase(mpb.CLOSED, 2)
    assert bench.progress() == {}
    assert bench.fence() == 2
    assert bench.sink("SHOW TABLES IN shop") == [("a",)]


async def test_a_changefeed_made_anew_has_another_uid_and_is_not_blocked(bench: Bench) -> None:
    await bench.remove(9, forget=True)
    await bench.phase(mpb.CLOSED, 9)
    again = bench.new_spec()
    bench.cluster.dispatch["n1"].closed = None  # the fake node knows one changefeed only
    assert not (await bench.add(1, spec=again)).HasField("rejection")
    await bench.phase(mpb.MAINTAINING, 1, uid=again.uid)


async def test_a_hanging_close_of_one_changefeed_does_not_delay_another(bench: Bench) -> None:
    bench.cluster.dispatch["n1"].hanging.add("Close")
    await bench.remove(1)
    other = bench.new_spec()
    await bench.add(1, spec=other)
    await bench.phase(mpb.MAINTAINING, 1, uid=other.uid)
    await bench.phase(mpb.CLOSING, 1)


async def test_a_node_that_hangs_in_close_is_left_to_the_fence(bench: Bench) -> None:
    await bench.cluster.join("n2")
    bench.cluster.dispatch["n2"].hanging.add("Close")
    await bench.remove(3)
    await bench.phase(mpb.CLOSED, 3)
    assert bench.fence() == 3
    assert bench.cluster.dispatch["n1"].closed == 3


async def test_a_node_whose_process_is_dead_does_not_hold_a_close(bench: Bench) -> None:
    await bench.cluster.join("n2")
    await bench.cluster.kill("n2")
    await bench.remove(3)
    await bench.phase(mpb.CLOSED, 3)


async def test_a_call_that_is_cut_off_leaves_no_lock_held(bench: Bench) -> None:
    await bench.add(1)
    record = bench.host._registry.record(bench.spec.uid)
    async with record.lock:
        with pytest.raises(grpc.aio.AioRpcError):
            await bench.stub.AddMaintainer(mpb.AddMaintainerRequest(stamp=bench.stamp(2), spec=bench.spec), timeout=0.1)
    await bench.add(3)
    await bench.phase(mpb.MAINTAINING, 3)


async def test_a_leaving_node_takes_no_maintainer_and_its_owner_stays_on_record(bench: Bench) -> None:
    await bench.add(1)
    await bench.stub.Drain(mpb.DrainRequest(term=1), timeout=5)
    assert bench.drains == ["n1"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await bench.add(2)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await bench.phase(mpb.MAINTAINING, 1)


async def test_a_node_that_etcd_shows_as_draining_takes_no_maintainer(bench: Bench) -> None:
    own = bench.cluster.members.nodes["n1"]
    bench.cluster.show(FakeNode("n1", own.address, pb.DRAINING))
    with pytest.raises(grpc.aio.AioRpcError):
        await bench.add(1)
    assert not (await bench.remove(1)).HasField("rejection")


async def test_a_wrong_spec_is_refused_before_the_owner_changes(bench: Bench) -> None:
    await bench.add(1)
    wrong = pb.ChangefeedSpec()
    wrong.CopyFrom(bench.spec)
    wrong.sink = "nonsense"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await bench.add(2, spec=wrong)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    await bench.phase(mpb.MAINTAINING, 1)


async def test_local_fence_and_close_stop_maintainers_and_leave_dispatchers_running(bench: Bench) -> None:
    bench.create_tables("a")
    await bench.add(1)
    await bench.eventually(lambda: bench.cluster.where().keys() == {"shop.a", "*"})
    bench.host.local_fence()
    await bench.host.close()
    assert bench.cluster.where().keys() == {"shop.a", "*"}
    with pytest.raises(grpc.aio.AioRpcError):
        await bench.add(2)
