"""A node that was away comes back on its address: with a new id it is reached at once, and nobody is told by a channel
that remembers the former one that nothing listens there."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from hedgerow.common.control import rpc
from hedgerow.common.control.rpc import Peers, is_refused
from hedgerow.common.pb.v1 import admin_pb2, admin_pb2_grpc
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.link import Link, NodeLink, Timing, sequence
from hedgerow.sandbox.ports import free_port
from tests.integration.rpc.test_moved_address import serve


async def outcome(peers: Peers, address: str, node: str) -> grpc.aio.AioRpcError:
    """Of a call whose deadline does not matter; a server without a service answers UNIMPLEMENTED."""
    stub = admin_pb2_grpc.AdminStub(peers.channel(address, node))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.List(admin_pb2.ListRequest(), timeout=10)
    return caught.value


async def test_a_new_id_on_an_address_is_not_told_the_former_ones_refusal() -> None:
    address = f"127.0.0.1:{free_port()}"
    peers = Peers()
    for _ in range(8):  # until the channel waits a second between two attempts
        assert is_refused(await outcome(peers, address, "former"))
        await asyncio.sleep(0.2)
    server = await serve(address)
    try:
        assert (await outcome(peers, address, "new")).code() is grpc.StatusCode.UNIMPLEMENTED
        assert peers.channel(address, "new") is peers.channel(address, "new")
    finally:
        await peers.close()
        await server.stop(0)


@pytest.mark.parametrize("order", [("former", "new"), ("new", "former")])
async def test_only_the_channel_of_a_node_that_has_left_is_closed(
    order: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever begins while both have a lease may call them in either order, and keeps what it has made of a channel."""
    monkeypatch.setattr(rpc, "_LOOK_SECONDS", 0.05)
    address = f"127.0.0.1:{free_port()}"
    members = set(order)
    peers = Peers(is_member=members.__contains__)
    server = await serve(address)
    try:
        channels = {node: peers.channel(address, node) for node in order}
        stub = admin_pb2_grpc.AdminStub(channels["new"])
        members.remove("former")
        async with asyncio.timeout(20):
            while channels["former"].get_state() is not grpc.ChannelConnectivity.SHUTDOWN:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)  # ten looks
        with pytest.raises(grpc.aio.AioRpcError, match="UNIMPLEMENTED"):
            await stub.List(admin_pb2.ListRequest(), timeout=10)
        assert peers.channel(address, "new") is channels["new"]
        assert peers.channel(address, "former") is not channels["former"]
    finally:
        await peers.close()
        await server.stop(0)


def link_over(channel: grpc.aio.Channel, address: str, changes: asyncio.Queue[str]) -> NodeLink:
    listener = SimpleNamespace(link_changed=changes.put_nowait)
    stamp = SimpleNamespace(epoch=1, write=pb.Stamp)
    timing = Timing(grace=60.0)
    spec = pb.ChangefeedSpec()
    return NodeLink("node2", address, channel, cast(Any, stamp), spec, cast(Any, listener), sequence(), timing)


async def test_a_node_that_was_not_reached_yet_is_given_nothing() -> None:
    address = f"127.0.0.1:{free_port()}"
    peers = Peers()
    changes: asyncio.Queue[str] = asyncio.Queue()
    link = link_over(peers.channel(address, "node2"), address, changes)
    running = asyncio.create_task(link.run())
    try:
        async with asyncio.timeout(20):
            await changes.get()
        assert link.state is Link.BROKEN
        assert not link.may_host
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await peers.close()


@pytest.mark.parametrize("is_calling", [True, False])
async def test_a_link_whose_channel_was_closed_is_broken_and_does_not_end(is_calling: bool) -> None:
    """Its task is awaited by nobody: of a node whose link ended nobody would hear any more, nor that it is lost."""
    accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.put_nowait(writer)

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    address = f"127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    channel = rpc.open_channel(address)
    writers: list[asyncio.StreamWriter] = []
    changes: asyncio.Queue[str] = asyncio.Queue()
    link = link_over(channel, address, changes)
    if not is_calling:
        await channel.close()
    running = asyncio.create_task(link.run())
    try:
        async with asyncio.timeout(20):
            if is_calling:
                writers.append(await accepted.get())
                await channel.close()
            await changes.get()
        assert link.state is Link.BROKEN
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        for writer in writers:
            writer.close()
        silent.close()
