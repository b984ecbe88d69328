"""A pod that comes back has its name and another address, and DNS is late: who calls it, peers and etcd's clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import grpc
import pytest

from hedgerow.common.control.rpc import Peers
from hedgerow.common.etcd.channels import Endpoint
from hedgerow.common.pb.etcd import rpc_pb2
from hedgerow.common.pb.v1 import admin_pb2, admin_pb2_grpc
from hedgerow.sandbox.ports import free_port
from tests.integration.rpc.dns import NameServer

FORMER, NEW = "127.0.0.2", "127.0.0.3"
SOON = 12.0  # gRPC's own answer is 30 s after the last question; ours is one

Call = Callable[[], Awaitable[object]]
Close = Callable[[], Awaitable[None]]


def call_peer(target: str) -> tuple[Call, Close]:
    peers = Peers()
    stub = admin_pb2_grpc.AdminStub(peers.channel(target, "hedgerow-0-1"))
    return (lambda: stub.List(admin_pb2.ListRequest(), timeout=1)), peers.close


def call_etcd(target: str) -> tuple[Call, Close]:
    endpoint = Endpoint(target, None)
    return (lambda: endpoint.kv.Range(rpc_pb2.RangeRequest(key=b"k"), timeout=1)), endpoint.close


async def serve(address: str) -> grpc.aio.Server:
    """A server without a service: UNIMPLEMENTED comes from it, and from nowhere else."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    assert server.add_insecure_port(address)
    await server.start()
    return server


async def reached(call: Call) -> bool:
    try:
        await call()
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.UNIMPLEMENTED
    return True


@pytest.mark.parametrize("client", [call_peer, call_etcd])
async def test_a_name_whose_address_changes_is_soon_reached_again(client: Callable[[str], tuple[Call, Close]]) -> None:
    port = free_port()
    with NameServer(FORMER) as names:
        call, close = client(names.target("hedgerow-0.peers.test", port))
        former = await serve(f"{FORMER}:{port}")
        assert await reached(call)
        await former.stop(0)
        new = await serve(f"{NEW}:{port}")
        try:
            late = time.monotonic() + 2
            while time.monotonic() < late:  # callers ask while DNS still says the former one
                assert not await reached(call)
                await asyncio.sleep(0.1)
            names.address = NEW
            async with asyncio.timeout(SOON):
                while not await reached(call):  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.1)
        finally:
            await close()
            await new.stop(0)
