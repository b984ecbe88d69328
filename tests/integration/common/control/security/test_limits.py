"""What a user may ask for at most, tried with real clients that ask for more."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from hedgerow.common.control import rpc
from hedgerow.common.control.rpc import Server, open_channel
from hedgerow.common.control.security import guard
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.common.pb.v1 import admin_pb2_grpc, dispatch_pb2, dispatch_pb2_grpc
from tests.integration.common.control.security.harness import House, open_house

CODE = grpc.StatusCode
STREAMS, CALLS = 4, 6


class Slow(admin_pb2_grpc.AdminServicer):
    """Watches that never end by themselves, calls that end when they are told to."""

    def __init__(self) -> None:
        self.open = 0
        self.release = asyncio.Event()

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[pb.Changefeed]:
        self.open += 1
        try:
            yield pb.Changefeed()
            await asyncio.Event().wait()
        finally:
            self.open -= 1

    async def List(self, request: Any, context: Any) -> pb.ListResponse:
        await self.release.wait()
        return pb.ListResponse()

    async def Get(self, request: Any, context: Any) -> pb.Changefeed:
        return pb.Changefeed()

    async def CreateChangefeed(self, request: Any, context: Any) -> pb.Changefeed:
        return pb.Changefeed()

    Update = Skip = CreateChangefeed


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
async def house(tmp_path: Path, slow: Slow) -> AsyncIterator[House]:
    async with open_house(tmp_path, slow, user_streams=STREAMS, user_calls=CALLS) as found:
        yield found


async def code(call: Any) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return CODE.OK


def watch(channel: grpc.aio.Channel) -> Any:
    return admin_pb2_grpc.AdminStub(channel).Watch(pb.ChangefeedRequest(name="shop"), timeout=60)


def get(channel: grpc.aio.Channel) -> Any:
    return admin_pb2_grpc.AdminStub(channel).Get(pb.ChangefeedRequest(name="shop"), timeout=20)


async def test_a_user_who_opens_watches_for_ever_gets_a_few_and_hinders_nobody(house: House, slow: Slow) -> None:
    """2,000 watches over 20 connections, kept open as long as they are let."""
    channels = [house.channel("ada") for _ in range(20)]
    calls, codes = [], []
    for channel in channels:
        await channel.channel_ready()
        more = [watch(channel) for _ in range(100)]
        codes += await asyncio.gather(*(code(call.read()) for call in more))
        calls += more
    assert Counter(codes) == {CODE.OK: STREAMS, CODE.RESOURCE_EXHAUSTED: 2000 - STREAMS}
    assert slow.open == STREAMS
    async with house.channel("victor") as other, house.channel("node1") as node:
        assert await code(get(other)) is CODE.OK
        assert await code(watch(other).read()) is CODE.OK
        beat = dispatch_pb2_grpc.DispatchStub(node).Heartbeat(dispatch_pb2.HeartbeatRequest(), timeout=20)
        assert await code(beat) is CODE.OK
    assert await code(get(channels[0])) is CODE.OK, "watches leave a user's calls alone"
    for call in calls:
        call.cancel()
    await until(lambda: slow.open == 0)
    assert await code(watch(channels[1]).read()) is CODE.OK, "what was given back can be had again"
    for channel in channels:
        await channel.close()
    text = (house.directory / "audit.log").read_text()
    assert 0 < text.count("LimitExceeded") < 2000, "a flood of refusals is counted, not written"


async def until(condition: Any, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_user_has_so_many_calls_at_a_time(house: House, slow: Slow) -> None:
    async with house.channel("ada") as channel, house.channel("victor") as other:
        stub = admin_pb2_grpc.AdminStub(channel)
        calls = [asyncio.ensure_future(code(stub.List(pb.ListRequest(), timeout=60))) for _ in range(CALLS + 10)]
        await until(lambda: sum(call.done() for call in calls) == 10)
        assert {call.result() for call in calls if call.done()} == {CODE.RESOURCE_EXHAUSTED}
        assert await code(get(other)) is CODE.OK
        slow.release.set()
        codes = await asyncio.gather(*calls)
        assert (codes.count(CODE.OK), await code(get(channel))) == (CALLS, CODE.OK)


async def test_a_client_that_is_gone_holds_no_watch(house: House, slow: Slow) -> None:
    for _ in range(3):
        channel = house.channel("ada")
        calls = [watch(channel) for _ in range(STREAMS)]
        assert {await code(call.read()) for call in calls} == {CODE.OK}
        await channel.close()
        await until(lambda: slow.open == 0)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.CreateChangefeedRequest(name="a" * 64), "name has 64"),
        (pb.CreateChangefeedRequest(name="a", source="mysql://" + "x" * 5000), "source has 5008"),
        (pb.CreateChangefeedRequest(name="a", filter=["a.b"] * 1001), "filter has 1001"),
        (pb.CreateChangefeedRequest(name="a", filter=["a" * 4097]), "filter has 4097"),
        (pb.CreateChangefeedRequest(name="a", start="gtid:" + "x" * 262144), "start has 262149"),
    ],
)
async def test_what_is_too_long_is_named(house: House, request_: Any, field: str) -> None:
    async with house.channel("ada") as channel:
        with pytest.raises(grpc.aio.AioRpcError, match=field) as caught:
            await admin_pb2_grpc.AdminStub(channel).CreateChangefeed(request_, timeout=20)
    assert caught.value.code() is CODE.INVALID_ARGUMENT


async def test_lists_within_messages_are_bounded_too(house: House) -> None:
    request = pb.UpdateChangefeedRequest(name="a", filter=pb.FilterRules(rules=["a.b"] * 1001))
    async with house.channel("ada") as channel:
        with pytest.raises(grpc.aio.AioRpcError, match=r"filter\.rules has 1001"):
            await admin_pb2_grpc.AdminStub(channel).Update(request, timeout=20)


async def test_a_user_sends_a_mebibyte_at_most_and_a_node_more(house: House) -> None:
    large = pb.CreateChangefeedRequest(name="a", filter=["a" * 4000] * 300)
    beat = dispatch_pb2.BootstrapRequest()
    beat.spec.filter.extend(["a" * 4000] * 300)
    async with house.channel("ada") as user, house.channel("node1") as node:
        assert await code(admin_pb2_grpc.AdminStub(user).CreateChangefeed(large, timeout=20)) is CODE.RESOURCE_EXHAUSTED
        assert await code(dispatch_pb2_grpc.DispatchStub(node).Bootstrap(beat, timeout=20)) is CODE.OK
    async with house.token_channel("hgr_" + "x" * 43) as nobody:
        found = await code(admin_pb2_grpc.AdminStub(nobody).CreateChangefeed(large, timeout=20))
    assert found is CODE.UNAUTHENTICATED, "refused before it is read, where anybody may connect"
    async with house.token_channel(house.tokens["admin"]) as user:
        found = await code(admin_pb2_grpc.AdminStub(user).CreateChangefeed(large, timeout=20))
    assert found is CODE.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    "path", ["/hedgerow.v1.Admin/Get", "/hedgerow.v1.Admin/Watch", "/hedgerow.v1.Dispatch/Heartbeat"]
)
async def test_calls_that_are_begun_and_never_sent_take_no_room_from_peers(
    tmp_path: Path, slow: Slow, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Only the headers come: gRPC itself would wait for the request for ever, and count the call."""
    monkeypatch.setattr(rpc, "_MAX_CONCURRENT_RPCS", 40)
    monkeypatch.setattr(guard, "_REQUEST_SECONDS", 3.0)
    async with (
        open_house(tmp_path, slow, user_calls=CALLS, user_streams=STREAMS) as house,
        house.channel("ada") as user,
        house.channel("node1") as node,
    ):
        calls: list[Any] = [user.stream_unary(f"/hedgerow.v1.{path}")(never_sent()) for _ in range(100)]
        most = 0 if "Dispatch" in path else STREAMS if "Watch" in path else CALLS
        await until(lambda: sum(not call.done() for call in calls) <= most, seconds=30)
        beat = dispatch_pb2_grpc.DispatchStub(node).Heartbeat(dispatch_pb2.HeartbeatRequest(), timeout=20)
        assert await code(beat) is CODE.OK
        await until(lambda: all(call.done() for call in calls), seconds=30)
        assert await code(get(user)) is CODE.OK


async def never_sent() -> AsyncIterator[Any]:
    await asyncio.Event().wait()
    yield b""


async def test_who_only_connects_takes_a_bounded_number_of_sockets(
    tmp_path: Path, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the port where no certificate is asked for. Those who do not go on with the handshake are sent away."""
    monkeypatch.setitem(rpc._FOR_USERS, "grpc.max_allowed_incoming_connections", 20)
    async with open_house(tmp_path, slow) as house, house.channel("node1") as node:
        host, _, port = house.token_address.partition(":")
        with contextlib.ExitStack() as stack:
            idle = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(60)]
            for one in idle:
                one.setblocking(False)
            await until(lambda: sum(map(is_open, idle)) <= 20)
            beat = dispatch_pb2_grpc.DispatchStub(node).Heartbeat(dispatch_pb2.HeartbeatRequest(), timeout=20)
            assert await code(beat) is CODE.OK, "peers have a port of their own"
            await until(lambda: not any(map(is_open, idle)), seconds=60)
            async with house.token_channel(house.tokens["viewer"]) as channel:
                assert await code(get(channel)) is CODE.OK


def is_open(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


async def test_without_tls_a_token_is_refused_and_said_to_be_lost(slow: Slow) -> None:
    server = Server()
    server.add("hedgerow.v1.Admin", admin_pb2_grpc.add_AdminServicer_to_server, slow)
    async with open_channel(f"127.0.0.1:{await server.start('127.0.0.1:0')}") as channel:
        call = admin_pb2_grpc.AdminStub(channel).Get(
            pb.ChangefeedRequest(name="a"), timeout=20, metadata=(("authorization", "Bearer hgr_" + "x" * 43),)
        )
        with pytest.raises(grpc.aio.AioRpcError, match="replace the token") as caught:
            await call
    assert caught.value.code() is CODE.UNAUTHENTICATED
    assert "xxx" not in (caught.value.details() or "")
    await server.stop(0)


async def test_without_tls_a_host_has_the_same_limits(slow: Slow) -> None:
    server = Server()
    server.add("hedgerow.v1.Admin", admin_pb2_grpc.add_AdminServicer_to_server, slow)
    address = f"127.0.0.1:{await server.start('127.0.0.1:0')}"
    async with open_channel(address) as channel:
        calls = [watch(channel) for _ in range(100)]
        codes = await asyncio.gather(*(code(call.read()) for call in calls))
        assert codes.count(CODE.OK) == slow.open == 16
        assert await code(get(channel)) is CODE.OK
    await server.stop(0)
