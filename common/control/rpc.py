"""gRPC between nodes, and from the command line to a node: channels, the server, and errors that survive the wire.

Handlers raise `HedgerowError`; the server's interceptor turns one into its gRPC status, with the error's code (and the
problems of a preflight) in a trailer, and `to_error` on the other side makes the same class of it again. Everything
else that a handler raises is a defect: it is logged with its traceback and reaches the caller as INTERNAL without one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from hedgerow.common import errors
from hedgerow.common.control.aborts import DETAIL_TRAILER, abort
from hedgerow.common.control.security.channels import RenewedChannel
from hedgerow.common.control.security.guard import Guard
from hedgerow.common.control.security.limits import PEER_MESSAGE_BYTES, USER_CONNECTIONS, USER_MESSAGE_BYTES
from hedgerow.common.control.security.tls import TlsSource, channel_credentials
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.common.resolver import RESOLVE_AGAIN

log = structlog.get_logger()

MAX_MESSAGE_BYTES = PEER_MESSAGE_BYTES

# grpcio ignores grpc.keepalive_timeout_ms: without grpc.http2.ping_timeout_ms a frozen peer is noticed after a minute.
_KEEPALIVE = [
    ("grpc.keepalive_time_ms", 2_000),
    ("grpc.http2.ping_timeout_ms", 2_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
]
_CHANNEL = [
    *_KEEPALIVE,
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
    RESOLVE_AGAIN,
]
# It is also how long a connection may take to be made, and a handshake takes several round trips.
_TLS_CHANNEL = list({**dict(_CHANNEL), "grpc.min_reconnect_backoff_ms": 2_000}.items())
_SERVER = [
    *_KEEPALIVE,
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),
    ("grpc.server_handshake_timeout_ms", 10_000),
]
_LOOK_SECONDS = 60.0  # between two looks whether a channel's node is a member still
# Long polls of every changefeed from every node, and users.
_MAX_CONCURRENT_RPCS = 4096
_FOR_USERS: dict[str, int] = {
    "grpc.max_receive_message_length": USER_MESSAGE_BYTES,
    "grpc.max_concurrent_streams": 256,
    "grpc.max_allowed_incoming_connections": USER_CONNECTIONS,  # whoever reaches the port takes one
}
_MAX_USER_RPCS = 1024
_HEALTH_SECONDS = 1.0  # a watcher that does not read holds the others up


def open_channel(address: str, credentials: grpc.ChannelCredentials | None = None) -> grpc.aio.Channel:
    """A channel to host:port, over TLS with `credentials`. It connects at the first call, and again by itself."""
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=_CHANNEL)
    return grpc.aio.secure_channel(address, credentials, options=_TLS_CHANNEL)


class Peers:
    """One channel per node, shared by all who call it. Owned by the node that calls; closed by it.

    A channel that could not connect answers with its last refusal until it tries again, up to a second later. That says
    nothing of a node that has begun to listen there since, and "refused" is taken for a dead process: so a new node id
    on an address has a channel of its own. One is closed when its node has left. Which of several ids on an address
    that is, is not for the order to tell in which they are called: who begins meets the lease of a node that was
    killed beside that of its successor.
    """

    def __init__(self, tls: TlsSource | None = None, is_member: Callable[[str], bool] = lambda _: True) -> None:
        """`is_member`: whether somebody may call this node id still; one that has left does not come back."""
        self._tls = tls
        self._is_member = is_member
        self._channels: dict[tuple[str, str], grpc.aio.Channel] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def channel(self, address: str, node: str) -> grpc.aio.Channel:
        """`node`: the id of who is called there."""
        channel = self._channels.get((address, node))
        if channel is None:
            channel = self._channels[address, node] = self._open(address)
            task = asyncio.ensure_future(self._close_when_gone(address, node, channel))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        return channel

    async def _close_when_gone(self, address: str, node: str, channel: grpc.aio.Channel) -> None:
        was_member = True  # when it was looked at last: who still calls it has a while to hear of it
        while was_member or self._is_member(node):
            was_member = self._is_member(node)
            await asyncio.sleep(_LOOK_SECONDS)
        del self._channels[address, node]
        await channel.close()

    def _open(self, address: str) -> grpc.aio.Channel:
        if self._tls is None:
            return open_channel(address)
        return RenewedChannel(self._tls, lambda material: open_channel(address, channel_credentials(material)))

    async def close(self) -> None:
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        channels, self._channels = list(self._channels.values()), {}
        await asyncio.gather(*(channel.close() for channel in channels))


def to_error(error: grpc.aio.AioRpcError, address: str) -> errors.HedgerowError:
    """What a failed call to `address` means: the peer's own error, or NodeUnavailable."""
    detail = _read_detail(error)
    message = error.details() or ""
    if detail is not None:
        if detail.problems:
            return errors.PreflightFailed([errors.Problem(p.found, p.fix) for p in detail.problems])
        return errors.kind_of(detail.code)(message)
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return errors.NodeUnavailable(f"node {address} did not answer within the deadline")
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return errors.NodeUnavailable(f"node {address} cannot be reached: {message}{_hint(message)}")
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return errors.NodeUnavailable(
            f"what answers at {address} is no Hedgerow node, or one of another version: {message}"
        )
    return errors.NodeUnavailable(f"node {address} failed with {error.code().name}: {message}")


def _hint(message: str) -> str:
    """What gRPC's own words mean, where they do not say it."""
    if "HTTP/2" in message or "SETTINGS frame" in message:
        return " (what listens there does not speak gRPC: is it the port of something else?)"
    closed = "failed to connect" in message and ("Socket closed" in message or "Connection reset" in message)
    if closed or "handshake" in message.lower() or "SSL" in message:
        return (
            " (is TLS on at one end only, or is a certificate of another authority, expired, or not for this address? "
            "The log of the other end may say more)"
        )
    return ""


def is_refused(error: grpc.aio.AioRpcError) -> bool:
    """Whether the peer's host answered that nobody listens: the process is dead, not slow."""
    return error.code() is grpc.StatusCode.UNAVAILABLE and "Connection refused" in (error.details() or "")


def _read_detail(error: grpc.aio.AioRpcError) -> pb.ErrorDetail | None:
    for key, value in error.trailing_metadata() or ():
        if key == DETAIL_TRAILER:
            return pb.ErrorDetail.FromString(value if isinstance(value, bytes) else value.encode())
    return None


class _ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Gives every handler's HedgerowError its status and trailer."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith("/hedgerow."):
            return handler
        method = handler_call_details.method
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                _guard_stream(method, handler.unary_stream), handler.request_deserializer, handler.response_serializer
            )
        return grpc.unary_unary_rpc_method_handler(
            _guard_unary(method, handler.unary_unary), handler.request_deserializer, handler.response_serializer
        )


async def _report(method: str, context: grpc.aio.ServicerContext[Any, Any], error: Exception) -> None:
    if isinstance(error, errors.HedgerowError):
        await abort(context, error)
    log.exception("handler-failed", method=method)
    await context.abort(grpc.StatusCode.INTERNAL, f"{method} failed on the node: {type(error).__name__}; see its log")


def _guard_unary(method: str, behaviour: Any) -> Any:
    async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await behaviour(request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await _report(method, context, error)

    return guarded


def _guard_stream(method: str, behaviour: Any) -> Any:
    async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        try:
            async for response in behaviour(request, context):
                yield response
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await _report(method, context, error)

    return guarded


class Server:
    """A node's gRPC server with health checking and reflection over the services given to it."""

    def __init__(
        self, guard: Guard | None = None, *, for_users: bool = False, connection_age: float | None = None
    ) -> None:
        """`for_users`: what comes is bounded more tightly, before it is known who calls. `connection_age`: after about
        so many seconds a connection is made again, without a call that fails, so that its certificate is verified with
        the authorities of the day; none: never."""
        options = [*({**dict(_SERVER), **_FOR_USERS} if for_users else dict(_SERVER)).items()]
        if connection_age is not None:
            options.append(("grpc.max_connection_age_ms", round(connection_age * 1000)))
            options.append(("grpc.max_connection_age_grace_ms", round(connection_age * 4 * 1000)))
        self._server = grpc.aio.server(
            interceptors=[guard or Guard(), _ErrorInterceptor()],
            options=options,
            maximum_concurrent_rpcs=_MAX_USER_RPCS if for_users else _MAX_CONCURRENT_RPCS,
        )
        self._health = health.aio.HealthServicer()
        self._names: list[str] = [health.SERVICE_NAME]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    def add(self, name: str, register: Callable[[Any, grpc.aio.Server], None], servicer: Any) -> None:
        """`register` is the generated add_…Servicer_to_server, `name` the service's full name."""
        register(servicer, self._server)
        self._names.append(name)

    @property
    def services(self) -> tuple[str, ...]:
        """Full names of all that is served."""
        return (*self._names, reflection.SERVICE_NAME)

    async def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listens on host:port (port 0: any free one), over TLS with `credentials`, and returns the port. Raises
        BadInput when it cannot."""
        reflection.enable_server_reflection(self.services, self._server)
        try:
            if credentials is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, credentials)
        except RuntimeError:
            port = 0
        if port == 0:
            raise errors.BadInput(
                f"cannot listen on {address}: the address is not this machine's, or its port is taken; "
                "give another with --listen"
            )
        await self._server.start()
        await self._set_health(self._names, health_pb2.HealthCheckResponse.SERVING)
        return port

    async def stop(self, grace: float) -> None:
        """Says NOT_SERVING, lets running calls end for `grace` seconds, then cuts them."""
        await self._set_health(self._names, health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.stop(grace)

    async def _set_health(self, names: Sequence[str], status: int) -> None:
        for name in ["", *names]:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._health.set(name, status), _HEALTH_SECONDS)
