"""Admission at the Dispatch service: every handler, every verdict; and what a takeover and a close do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from hedgerow.common.errors import BadInput, SessionLost
from hedgerow.common.pb.v1 import dispatch_pb2, model_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.control import core
from hedgerow.dispatcher.control.service import DispatchService
from tests.unit.dispatcher.fakes import Caller, Streams

ALL = ("bootstrap", "schedule", "heartbeat", "barrier", "close")
TAKING_OVER = ("bootstrap", "close")
OTHERS = ("schedule", "heartbeat", "barrier")


@pytest.fixture
def streams() -> Streams:
    return Streams()


@pytest.fixture
async def service(streams: Streams) -> AsyncIterator[DispatchService]:
    service = DispatchService("n1", open_stream=streams)
    yield service
    streams.hang = False
    for stream in streams.made:
        stream.hangs = False
    await service.close()


async def settle() -> None:
    """Lets the manager's task and the callbacks of its stream run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def owned(service: DispatchService, epoch: int = 5, node: str = "m1") -> Caller:
    owner = Caller(service, epoch, node)
    assert not (await owner.bootstrap()).HasField("rejection")
    return owner


def assert_rejected(answer: object, verdict: pb.Verdict, epoch: int, node: str, closed: int = 0) -> None:
    rejection = answer.rejection  # type: ignore[attr-defined]
    assert (rejection.verdict, rejection.current.epoch, rejection.current.node, rejection.closed) == (
        verdict,
        epoch,
        node,
        closed,
    )


@pytest.mark.parametrize("handler", ALL)
@pytest.mark.parametrize(
    ("epoch", "node", "verdict"), [(4, "m1", pb.STALE), (0, "m1", pb.STALE), (5, "m2", pb.FOREIGN), (4, "m2", pb.STALE)]
)
async def test_stale_and_foreign_requests_are_answered_with_the_owner(
    service: DispatchService, handler: str, epoch: int, node: str, verdict: pb.Verdict
) -> None:
    owner = await owned(service)
    assert_rejected(await Caller(service, epoch, node).call(handler), verdict, 5, "m1")
    assert not (await owner.heartbeat()).HasField("rejection")


@pytest.mark.parametrize("handler", OTHERS)
async def test_a_newer_epoch_has_to_bootstrap_first(service: DispatchService, handler: str) -> None:
    await owned(service)
    assert_rejected(await Caller(service, 6, "m2").call(handler), pb.AHEAD, 5, "m1")


@pytest.mark.parametrize("handler", ALL)
async def test_the_owner_is_obeyed(service: DispatchService, handler: str) -> None:
    owner = await owned(service)
    assert not (await owner.call(handler)).HasField("rejection")


@pytest.mark.parametrize("handler", OTHERS)
@pytest.mark.parametrize("epoch", [0, 1])
async def test_nobody_is_obeyed_before_a_bootstrap(service: DispatchService, handler: str, epoch: int) -> None:
    assert_rejected(await Caller(service, epoch, "m1").call(handler), pb.AHEAD, 0, "")


@pytest.mark.parametrize("handler", ALL)
async def test_a_tombstone_rejects_what_is_not_above_it(service: DispatchService, handler: str) -> None:
    owner = await owned(service)
    await owner.close()
    for caller in (Caller(service, 5, "m2"), Caller(service, 4, "m1"), Caller(service, 0, "m1")):
        assert_rejected(await caller.call(handler), pb.STALE, 0, "", 5)
    if handler in TAKING_OVER:
        assert not (await Caller(service, 6, "m2").call(handler)).HasField("rejection")
    else:
        assert_rejected(await Caller(service, 6, "m2").call(handler), pb.AHEAD, 0, "", 5)


async def test_a_close_without_a_manager_leaves_a_tombstone(service: DispatchService) -> None:
    assert not (await Caller(service, 3, "m1").close()).HasField("rejection")
    assert_rejected(await Caller(service, 3, "m1").bootstrap(), pb.STALE, 0, "", 3)


async def test_epoch_0_can_be_closed_and_is_then_rejected(service: DispatchService) -> None:
    old = Caller(service, 0, "m1")
    assert not (await old.bootstrap()).HasField("rejection")
    assert not (await old.schedule(("a.b",))).HasField("rejection")
    assert_rejected(await Caller(service, 0, "m2").schedule(), pb.STALE, 0, "m1")
    assert not (await old.close()).HasField("rejection")
    assert (await old.bootstrap()).rejection.verdict == pb.STALE
    assert not (await Caller(service, 1, "m2").bootstrap()).HasField("rejection")


async def test_a_repeated_close_of_the_same_owner_is_done(service: DispatchService) -> None:
    owner = await owned(service)
    await owner.close()
    assert not (await owner.close()).HasField("rejection")


async def test_two_concurrent_bootstraps_end_with_the_higher_epoch(service: DispatchService) -> None:
    for high, low in ((7, 6), (9, 8)):
        callers = [Caller(service, high, "m7"), Caller(service, low, "m6")]
        for order in (callers, callers[::-1]):
            await asyncio.gather(*(caller.bootstrap() for caller in order))
            assert_rejected(await Caller(service, 1, "m0").schedule(), pb.STALE, high, "m7")


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "http://nowhere"},
        {"sink": "mysql://repl:secret@127.0.0.1/"},
        {"flavour": "oracle"},
        {"source": "mysql://repl@127.0.0.1/?password_file=/nowhere/password"},
        {"sink": "mysql://repl@127.0.0.1/?password_env=HEDGEROW_SECRET_NOT_SET"},
    ],
)
async def test_a_bootstrap_that_cannot_serve_leaves_the_former_owner_in_charge(
    service: DispatchService, changes: dict[str, str]
) -> None:
    owner = await owned(service)
    answer = await Caller(service, 6, "m2").bootstrap(**changes)
    assert not answer.HasField("rejection")
    missing_secret = any("password_" in value for value in changes.values())
    assert (answer.error.code, answer.error.retriable) == (
        ("SecretUnreadable", True) if missing_secret else ("BadInput", False)
    )
    assert answer.stamp == owner.stamp
    assert not (await owner.schedule()).HasField("rejection")


async def test_a_takeover_with_an_equal_spec_goes_on_without_a_stop(service: DispatchService, streams: Streams) -> None:
    owner = await owned(service)
    await owner.schedule(("a.b",))
    await settle()
    streams.made[0].report()
    await settle()
    answer = await Caller(service, 6, "m2").bootstrap()
    assert streams.made[0].token().epoch == 6
    assert [(one.dispatcher, one.epoch, one.state) for one in answer.dispatchers] == [("a.b", 6, pb.RUNNING)]
    await settle()
    assert not streams.made[0].cancelled
    assert len(streams.made) == 1


async def test_a_takeover_with_another_spec_restarts_the_stream_with_it(
    service: DispatchService, streams: Streams
) -> None:
    owner = await owned(service)
    await owner.schedule(("a.b",))
    await settle()
    streams.made[0].report()
    await settle()
    await Caller(service, 6, "m2").bootstrap(sink="mysql://repl@127.0.0.1:3308/")
    await settle()
    assert streams.made[0].cancelled
    assert streams.made[1].spec.sink.port == 3308
    assert streams.made[1].placements == streams.made[0].placements


async def test_a_takeover_drops_creates_in_flight_and_reports_removes_in_flight(
    service: DispatchService, streams: Streams
) -> None:
    owner = await owned(service)
    await owner.schedule(("a.done",))
    await settle()
    streams.made[0].report()
    await settle()
    streams.made[0].hangs = True
    await owner.schedule(("a.new",), ("a.done",))
    answer = await Caller(service, 6, "m2").bootstrap()
    assert [one.dispatcher for one in answer.removing] == ["a.done"]
    await settle()
    assert streams.made[0].cancelled
    assert {one.dispatcher for one in (await Caller(service, 6, "m2").heartbeat()).dispatchers} == {"a.new", "a.done"}
    streams.made[0].end()
    await settle()
    assert list((await Caller(service, 6, "m2").heartbeat()).dispatchers) == []
    assert len(streams.made) == 1


async def test_creates_and_removes_are_one_restart_and_the_removed_go_after_it(
    service: DispatchService, streams: Streams
) -> None:
    owner = await owned(service)
    await owner.schedule(("a.a", "a.b"))
    await settle()
    streams.made[0].report(rows_events=3)
    await settle()
    streams.made[0].hangs = True
    await owner.schedule(("a.c",), ("a.a",))
    await owner.schedule(("a.d",))
    await settle()
    assert {one.dispatcher for one in (await owner.heartbeat()).dispatchers} == {"a.a", "a.b", "a.c", "a.d"}
    streams.made[0].end()
    await settle()
    assert [one.dispatcher for one in streams.made[1].placements] == ["a.b", "a.c", "a.d"]
    found = {one.dispatcher: one for one in (await owner.heartbeat()).dispatchers}
    assert found.keys() == {"a.b", "a.c", "a.d"}
    assert found["a.b"].rows_events == 3
    assert len(streams.made) == 2


async def test_a_broken_dispatcher_is_not_served_again_until_it_is_placed_anew(
    service: DispatchService, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "RESTART_SHARE", 0)
    owner = await owned(service)
    await owner.schedule(("a.a",))
    await settle()
    streams.made[0].report(pb.BROKEN)
    await settle()
    await owner.schedule(("a.b",))
    await settle()
    assert [one.dispatcher for one in streams.made[1].placements] == ["a.b"]
    streams.made[1].report()
    await settle()
    await owner.schedule(("a.a",), generation=2)
    await settle()
    assert [(one.dispatcher, one.generation) for one in streams.made[2].placements] == [("a.a", 2), ("a.b", 1)]


async def test_those_that_join_wait_for_more_unless_one_waits_at_a_ddl(
    service: DispatchService, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart costs as much as there are dispatchers; tables that are created one by one share one."""
    monkeypatch.setattr(core, "RESTART_SHARE", 1e9)
    monkeypatch.setattr(core, "MOST_WAIT_SECONDS", 1e9)
    owner = await owned(service)
    for number, key in enumerate(("a.a", "a.b")):
        await owner.schedule((key,))
        await settle()
        streams.made[number].report()
        await settle()
    await owner.schedule(("a.c",))
    await owner.schedule(("a.d",))
    await settle()
    assert len(streams.made) == 2
    streams.made[1].report(pb.BLOCKED)
    await owner.schedule(("a.e",))
    await settle()
    assert [one.dispatcher for one in streams.made[2].placements] == ["a.a", "a.b", "a.c", "a.d", "a.e"]


async def test_a_late_create_or_remove_of_an_older_generation_changes_nothing(
    service: DispatchService, streams: Streams
) -> None:
    owner = await owned(service)
    await owner.schedule(("a.a",), generation=3)
    await settle()
    await owner.schedule(("a.a",), generation=2)
    await owner.schedule((), ("a.a",), generation=2)
    await settle()
    assert [(one.dispatcher, one.generation) for one in (await owner.heartbeat()).dispatchers] == [("a.a", 3)]
    assert len(streams.made) == 1
    await owner.schedule((), ("a.a",), generation=3)
    await settle()
    assert list((await owner.heartbeat()).dispatchers) == []


async def test_a_heartbeat_answers_as_soon_as_something_changes(service: DispatchService, streams: Streams) -> None:
    owner = await owned(service)
    await owner.schedule(("a.a",))
    await settle()
    first = await owner.heartbeat()
    waiting = asyncio.create_task(owner.heartbeat(first.version, 20_000))
    await settle()
    assert not waiting.done()
    streams.made[0].report()
    async with asyncio.timeout(5):
        assert (await waiting).dispatchers[0].state == pb.RUNNING


async def test_a_heartbeat_may_tell_only_what_has_changed(service: DispatchService, streams: Streams) -> None:
    owner = await owned(service)
    await owner.schedule(("a.b", "a.c"))
    await settle()
    first = await owner.heartbeat(changes=True)
    assert not first.changes, "who has seen nothing is told everything"
    assert {one.dispatcher for one in first.dispatchers} == {"a.b", "a.c"}
    again = await owner.heartbeat(first.version, changes=True)
    assert (again.changes, list(again.dispatchers), list(again.gone)) == (True, [], [])
    await owner.schedule((), ("a.b",))
    await settle()
    later = await owner.heartbeat(first.version, changes=True)
    assert [(one.dispatcher, one.generation) for one in later.gone] == [("a.b", 1)]
    assert [one.dispatcher for one in later.dispatchers] == ["a.c"], "its stream was started again"
    whole = await owner.heartbeat(first.version)
    assert (whole.changes, [one.dispatcher for one in whole.dispatchers]) == (False, ["a.c"])


async def test_a_waiting_heartbeat_of_a_superseded_owner_is_rejected(service: DispatchService) -> None:
    owner = await owned(service)
    version = (await owner.heartbeat()).version
    waiting = asyncio.create_task(owner.heartbeat(version, 20_000))
    await settle()
    await Caller(service, 6, "m2").bootstrap()
    async with asyncio.timeout(5):
        assert_rejected(await waiting, pb.STALE, 6, "m2")


async def test_decisions_reach_the_stream_with_the_epoch_of_who_decided(
    service: DispatchService, streams: Streams
) -> None:
    owner = await owned(service)
    await owner.schedule(("a.b",))
    await settle()
    await owner.barrier(dispatch_pb2.WRITE)
    assert [(one.action, one.epoch) for one in streams.made[0].decisions] == [(dispatch_pb2.WRITE, 5)]
    with pytest.raises(BadInput):
        await owner.barrier(dispatch_pb2.BARRIER_ACTION_UNSPECIFIED)


async def test_a_hanging_close_delays_no_other_changefeed_and_no_verdict(
    service: DispatchService, streams: Streams
) -> None:
    streams.hang = True
    owner = await owned(service)
    await owner.schedule(("a.b",))
    await settle()
    closing = asyncio.create_task(owner.close())
    await settle()
    assert not closing.done()
    async with asyncio.timeout(1):
        assert_rejected(await owner.schedule(), pb.STALE, 0, "", 5)
        assert not (await Caller(service, 1, "m1", "u2").bootstrap()).HasField("rejection")
        successor = Caller(service, 6, "m2")
        assert not (await successor.bootstrap()).HasField("rejection")
        await successor.schedule(("a.b",))
    await settle()
    assert len(streams.made) == 1, "no stream starts before the former has ended"
    streams.made[0].end()
    await closing
    await settle()
    assert len(streams.made) == 2


async def test_an_exception_leaves_nothing_undecided(service: DispatchService, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = await owned(service)
    for handler, method in (
        ("schedule", "core.Core.schedule"),
        ("heartbeat", "core.Core.statuses"),
        ("barrier", "manager.Manager.decide"),
        ("bootstrap", "core.Core.take_over"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"hedgerow.dispatcher.control.{method}", _fails)
            with pytest.raises(ZeroDivisionError):
                await owner.call(handler)
    async with asyncio.timeout(1):
        assert not (await owner.heartbeat()).HasField("rejection")


def _fails(*_: object) -> None:
    raise ZeroDivisionError


async def test_a_local_fence_aborts_every_stream_and_refuses_everything_after(
    service: DispatchService, streams: Streams
) -> None:
    callers = [Caller(service, 1, "m1", uid) for uid in ("u1", "u2")]
    for caller in callers:
        await caller.bootstrap()
        await caller.schedule(("a.b",))
    await settle()
    thread = threading.Thread(target=service.local_fence)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert [stream.aborted for stream in streams.made] == [True, True]
    for handler in ALL:
        with pytest.raises(SessionLost):
            await callers[0].call(handler)


async def test_a_request_without_a_stamp_is_refused(service: DispatchService) -> None:
    with pytest.raises(BadInput):
        await service.Schedule(dispatch_pb2.ScheduleRequest(stamp=model_pb2.Stamp(uid="u1")), None)
