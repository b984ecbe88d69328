"""One owner at work: errors, the loss of ownership, an updated filter, what it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from hedgerow.common.binlog.position import Position
from hedgerow.common.epoch import Owner
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.changefeed import Changefeed, Revisions, first_ownership
from hedgerow.coordinator.decisions import SetFailed, SetWarning
from hedgerow.coordinator.reconcile import SeenNode, World, reconcile
from hedgerow.sandbox.proxy import FaultProxy
from tests.integration.maintainer.conftest import START, Bench
from tests.integration.maintainer.steps import at, finish_ddl, started

pytestmark = pytest.mark.timeout(60)


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
    feed = Changefeed(bench.spec, ownership, recorded, Revisions(1, 1, 1))
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
