"""One channel per endpoint, which of them is in use, and the login.

Everybody uses the same endpoint until an attempt fails there; whoever saw it fail moves all to the next. Calls and
streams that run elsewhere are left alone. A login is made when a token is first needed or was refused, once for all who
wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import structlog
from grpc.aio import EOF, AioRpcError

from hedgerow.common.etcd.config import EtcdConfig
from hedgerow.common.pb.etcd import rpc_pb2, rpc_pb2_grpc
from hedgerow.common.resolver import RESOLVE_AGAIN

log = structlog.get_logger()

Metadata = tuple[tuple[str, str], ...]

# A frozen peer is noticed after time + ping_timeout; grpcio ignores grpc.keepalive_timeout_ms. etcd ends connections
# that are pinged more often than every 5 s (--grpc-keepalive-min-time). min_reconnect_backoff_ms is also how long a
# connection attempt may take. Subchannels are not shared with other clients of the process: neither is their backoff.
_OPTIONS: Sequence[tuple[str, int]] = (
    ("grpc.keepalive_time_ms", 6_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    RESOLVE_AGAIN,
)


class Endpoint:
    """One member of etcd."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None) -> None:
        self.address = address
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        else:
            self._channel = grpc.aio.secure_channel(address, credentials, options=_OPTIONS)
        self.kv: Any = rpc_pb2_grpc.KVStub(self._channel)
        self.lease: Any = rpc_pb2_grpc.LeaseStub(self._channel)
        self.watch: Any = rpc_pb2_grpc.WatchStub(self._channel)
        self.auth: Any = rpc_pb2_grpc.AuthStub(self._channel)

    async def close(self) -> None:
        await self._channel.close()


class Channels:
    """Must be made inside the event loop that uses it."""

    def __init__(self, config: EtcdConfig) -> None:
        credentials = config.credentials() if config.tls else None
        self._config = config
        self._endpoints = [Endpoint(address, credentials) for address in config.endpoints]
        self._current = 0
        self._token: str | None = None
        self._login = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._endpoints)

    @property
    def current(self) -> Endpoint:
        return self._endpoints[self._current]

    def rotate(self, failed: Endpoint, cause: str) -> None:
        """Moves on, unless somebody has moved on from this endpoint already."""
        if failed is self.current and len(self) > 1:
            self._current = (self._current + 1) % len(self)
            log.info("etcd-endpoint-changed", failed=failed.address, now=self.current.address, cause=cause)

    async def metadata(self, endpoint: Endpoint, timeout: float) -> Metadata:
        """What goes with every call: an answer only from a member that has a leader, and the token.

        Logs in first where it must, within `timeout` seconds. Raises AioRpcError, or what the password supplier raises.
        """
        leader = ("hasleader", "true")
        if not self._config.username:
            return (leader,)
        try:
            async with asyncio.timeout(timeout), self._login:
                if self._token is None:
                    self._token = await self._authenticate(endpoint)
                return (leader, ("token", self._token)) if self._token else (leader,)
        except TimeoutError:
            late = grpc.StatusCode.DEADLINE_EXCEEDED
            raise AioRpcError(late, grpc.aio.Metadata(), grpc.aio.Metadata(), "no answer to the login") from None

    def forget_token(self, metadata: Metadata) -> None:
        """etcd refused the token in `metadata`; the next call logs in, unless somebody else has by then."""
        if self._token is not None and ("token", self._token) in metadata:
            self._token = None

    async def _authenticate(self, endpoint: Endpoint) -> str:
        assert self._config.password is not None
        request = rpc_pb2.AuthenticateRequest(name=self._config.username, password=self._config.password())
        try:
            answer = await endpoint.auth.Authenticate(request, metadata=(("hasleader", "true"),))
        except AioRpcError as error:
            # As etcd's own client: credentials may be configured before authentication is enabled.
            if "authentication is not enabled" in (error.details() or ""):
                return ""
            raise
        return str(answer.token)

    async def close(self) -> None:
        for endpoint in self._endpoints:
            await endpoint.close()


class StreamBroken(Exception):
    """The stream ended or did not take a message in time; the text says why."""

    def __init__(self, cause: str, status: tuple[grpc.StatusCode, str]) -> None:
        super().__init__(cause)
        self.status = status


def silent(seconds: float) -> StreamBroken:
    """For a peer that is connected or not, but does not react."""
    return StreamBroken(f"no answer within {seconds:g} s", (grpc.StatusCode.DEADLINE_EXCEEDED, ""))


class EtcdStream:
    """A bidirectional stream whose reader can time out without losing a message, and that leaves no task behind.

    Cancelling a read of grpc.aio cancels the call, so a read that timed out goes on and is picked up by the next one.
    One task reads; close() is called by the same task, or after it ended.
    """

    def __init__(self, endpoint: Endpoint, metadata: Metadata, call: Any) -> None:
        self.endpoint = endpoint
        self.metadata = metadata
        self._call = call
        self._reading: asyncio.Task[Any] | None = None

    async def write(self, message: Any, timeout: float) -> None:
        """Raises StreamBroken, also when the message was not taken within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._call.write(message)
        except TimeoutError:
            raise silent(timeout) from None
        except (AioRpcError, asyncio.InvalidStateError) as error:
            raise await self._broken(error) from None

    async def read(self, timeout: float) -> Any | None:
        """The next message, or None when `timeout` seconds passed without one. Raises StreamBroken."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._call.read())
        await asyncio.wait((self._reading,), timeout=max(timeout, 0))
        if not self._reading.done():
            return None
        reading, self._reading = self._reading, None
        try:
            message = reading.result()
        except AioRpcError as error:
            raise await self._broken(error) from None
        if message is EOF:
            raise await self._broken(None)
        return message

    async def _broken(self, error: BaseException | None) -> StreamBroken:
        if isinstance(error, AioRpcError):
            code, details = error.code(), error.details() or ""
        else:
            code, details = await self._call.code(), await self._call.details() or ""
        return StreamBroken(details or code.name, (code, details))

    async def close(self) -> None:
        self._call.cancel()
        if self._reading is not None:
            await asyncio.wait((self._reading,))
            if not self._reading.cancelled():
                self._reading.exception()  # retrieved, so that it is not reported as lost
            self._reading = None
