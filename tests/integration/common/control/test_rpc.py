"""Errors, health and reflection over a real gRPC connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from hedgerow.common import errors
from hedgerow.common.control import rpc
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.common.pb.v1 import admin_pb2_grpc

PROBLEMS = [errors.Problem("log_bin is OFF on source", "start it with --log-bin"), errors.Problem("b", "c")]


class Admin(admin_pb2_grpc.AdminServicer):
    async def Get(self, request: pb.ChangefeedRequest, context: Any) -> pb.Changefeed:
        if request.name == "defect":
            raise ZeroDivisionError("secret detail")
        raise errors.NotFound(f"no changefeed {request.name}")

    async def CreateChangefeed(self, request: pb.CreateChangefeedRequest, context: Any) -> pb.Changefeed:
        if request.name == "many":
            raise errors.PreflightFailed([errors.Problem(f"column ü{n} differs " * 5, "fix it") for n in range(500)])
        raise errors.PreflightFailed(PROBLEMS)

    async def Watch(self, request: pb.ChangefeedRequest, context: Any) -> AsyncIterator[pb.Changefeed]:
        yield pb.Changefeed()
        raise errors.Fenced("epoch 3 is below 4")


@pytest.fixture
async def channel() -> AsyncIterator[tuple[grpc.aio.Channel, str]]:
    server = rpc.Server()
    server.add("hedgerow.v1.Admin", admin_pb2_grpc.add_AdminServicer_to_server, Admin())
    address = f"127.0.0.1:{await server.start('127.0.0.1:0')}"
    peers = rpc.Peers()
    yield peers.channel(address, "node1"), address
    await peers.close()
    await server.stop(0)


async def failure(call: Any, address: str) -> errors.HedgerowError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return rpc.to_error(caught.value, address)


async def test_an_error_keeps_its_class_and_message(channel: tuple[grpc.aio.Channel, str]) -> None:
    stub = admin_pb2_grpc.AdminStub(channel[0])
    error = await failure(stub.Get(pb.ChangefeedRequest(name="shop"), timeout=5), channel[1])
    assert type(error) is errors.NotFound
    assert str(error) == "no changefeed shop"


async def test_a_preflight_keeps_every_problem(channel: tuple[grpc.aio.Channel, str]) -> None:
    stub = admin_pb2_grpc.AdminStub(channel[0])
    error = await failure(stub.CreateChangefeed(pb.CreateChangefeedRequest(), timeout=5), channel[1])
    assert isinstance(error, errors.PreflightFailed)
    assert list(error.problems) == PROBLEMS


async def test_a_preflight_with_very_many_problems_says_how_many_more(channel: tuple[grpc.aio.Channel, str]) -> None:
    stub = admin_pb2_grpc.AdminStub(channel[0])
    error = await failure(stub.CreateChangefeed(pb.CreateChangefeedRequest(name="many"), timeout=5), channel[1])
    assert isinstance(error, errors.PreflightFailed)
    told = len(error.problems) - 1
    assert told > 30
    assert error.problems[-1].found == f"{500 - told} more problems"


async def test_a_stream_fails_with_its_error_after_its_messages(channel: tuple[grpc.aio.Channel, str]) -> None:
    call = admin_pb2_grpc.AdminStub(channel[0]).Watch(pb.ChangefeedRequest(), timeout=5)
    assert await call.read() == pb.Changefeed()
    assert type(await failure(call.read(), channel[1])) is errors.Fenced


async def test_a_defect_reaches_the_caller_without_its_details(channel: tuple[grpc.aio.Channel, str]) -> None:
    stub = admin_pb2_grpc.AdminStub(channel[0])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Get(pb.ChangefeedRequest(name="defect"), timeout=5)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "secret detail" not in (caught.value.details() or "")


async def test_a_dead_address_is_refused(channel: tuple[grpc.aio.Channel, str]) -> None:
    async with rpc.open_channel("127.0.0.1:1") as dead:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await admin_pb2_grpc.AdminStub(dead).Get(pb.ChangefeedRequest(), timeout=5)
    assert rpc.is_refused(caught.value)
    assert type(rpc.to_error(caught.value, "127.0.0.1:1")) is errors.NodeUnavailable


async def test_health_and_reflection_name_the_service(channel: tuple[grpc.aio.Channel, str]) -> None:
    checker = health_pb2_grpc.HealthStub(channel[0])
    answer = await checker.Check(health_pb2.HealthCheckRequest(service="hedgerow.v1.Admin"), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    call = reflection_pb2_grpc.ServerReflectionStub(channel[0]).ServerReflectionInfo(timeout=5)
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    listed = await call.read()
    assert "hedgerow.v1.Admin" in {service.name for service in listed.list_services_response.service}
    call.cancel()


async def test_a_taken_port_is_said_plainly(channel: tuple[grpc.aio.Channel, str]) -> None:
    with pytest.raises(errors.BadInput, match="cannot listen on"):
        await rpc.Server().start(channel[1])
