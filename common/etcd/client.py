"""Etcd: reads, guarded transactions and leases, over several endpoints.

One deadline covers an operation. It is divided over the endpoints: an attempt gets its share, and when every endpoint
has failed the round starts again after a short pause, until the deadline. What may be sent again:

- reads, leases and compactions always;
- a transaction whose own writes make its compares false (`values.applies_once`). Sent again after its answer was lost,
  it finds what its keys hold now, and mostly that tells whether the first one was applied (`values.was_applied`);
- any other transaction never after its answer was lost.

Where it cannot be told, the caller gets Ambiguous, never a guess.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Self

from grpc.aio import AioRpcError

from hedgerow.common.etcd.attempts import Attempts
from hedgerow.common.etcd.channels import Channels, Endpoint, EtcdStream, Metadata, StreamBroken
from hedgerow.common.etcd.config import EtcdConfig
from hedgerow.common.etcd.errors import Judgement, judge
from hedgerow.common.etcd.values import (
    Compare,
    KeyRange,
    KeyValue,
    Operation,
    Snapshot,
    TxnResult,
    applies_once,
    keys_of,
    was_applied,
)
from hedgerow.common.pb.etcd import rpc_pb2


class Etcd:
    """A client. Make it inside the event loop; it connects at the first call. Timeouts are seconds."""

    def __init__(self, config: EtcdConfig) -> None:
        self.config = config
        self._channels = Channels(config)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Sessions, watches and mirrors are closed before."""
        await self._channels.close()

    async def get(self, key: str, *, timeout: float | None = None) -> KeyValue | None:
        """Linearizable. Raises EtcdUnavailable, EtcdRefused."""
        request = rpc_pb2.RangeRequest(key=key.encode())
        answer = await self._call(f"get {key}", lambda e: e.kv.Range, request, timeout)
        return KeyValue.read(answer.kvs[0]) if answer.kvs else None

    async def range(self, keys: KeyRange, *, timeout: float | None = None) -> Snapshot:
        """All keys of the range at one revision. Linearizable. Raises EtcdUnavailable, EtcdRefused."""
        request = rpc_pb2.RangeRequest(key=keys.start, range_end=keys.end)
        answer = await self._call(f"range {keys.start.decode()}", lambda e: e.kv.Range, request, timeout)
        return Snapshot.of(answer.header.revision, map(KeyValue.read, answer.kvs))

    async def txn(
        self, compares: Sequence[Compare], operations: Sequence[Operation], *, timeout: float | None = None
    ) -> TxnResult:
        """Writes all of `operations` if all of `compares` hold, else nothing and says what was found.

        Raises EtcdUnavailable where it was surely not applied, Ambiguous (an EtcdUnavailable) where that is not known,
        EtcdRefused, LeaseNotFound.
        """
        keys = keys_of(compares, operations)
        reads = [rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=key.encode())) for key in keys]
        request = rpc_pb2.TxnRequest(
            compare=[compare.write() for compare in compares],
            success=[operation.write() for operation in operations],
            failure=reads,
        )
        what = f"txn on {', '.join(dict.fromkeys(o.key for o in operations))}"
        attempts = self._attempts(what, timeout, repeatable=applies_once(compares, operations))
        answer = await self._try(attempts, lambda e: e.kv.Txn, request, writes=True)
        if answer.succeeded:
            return TxnResult(True, answer.header.revision, MappingProxyType({}))
        values = [response.response_range.kvs for response in answer.responses]
        found = {key: KeyValue.read(kvs[0]) if kvs else None for key, kvs in zip(keys, values, strict=True)}
        if attempts.in_doubt:
            applied = was_applied(compares, operations, found)
            if applied is None:
                raise attempts.gave_up()
            if applied:
                revision = max(now.mod_revision for o in operations if (now := found[o.key]) is not None)
                return TxnResult(True, revision, MappingProxyType({}))
        return TxnResult(False, answer.header.revision, MappingProxyType(found))

    async def compact(self, revision: int, *, timeout: float | None = None) -> None:
        """Drops the history before `revision`. Raises EtcdUnavailable, EtcdRefused."""
        request = rpc_pb2.CompactionRequest(revision=revision)
        await self._call(f"compact {revision}", lambda e: e.kv.Compact, request, timeout)

    async def grant_lease(self, ttl: int, *, timeout: float | None = None) -> tuple[int, int]:
        """(id, ttl granted, in seconds). A lost answer leaves a lease without keys that ends by itself."""
        request = rpc_pb2.LeaseGrantRequest(TTL=ttl)
        answer = await self._call(f"lease of {ttl} s", lambda e: e.lease.LeaseGrant, request, timeout)
        return answer.ID, answer.TTL

    async def revoke_lease(self, lease: int, *, timeout: float | None = None) -> None:
        """Its keys vanish at once. Raises LeaseNotFound where it is over already, EtcdUnavailable, EtcdRefused."""
        request = rpc_pb2.LeaseRevokeRequest(ID=lease)
        await self._call(f"revoke of lease {lease:x}", lambda e: e.lease.LeaseRevoke, request, timeout)

    async def open_stream(self, method: Callable[[Endpoint], Any], timeout: float) -> EtcdStream:
        """A stream at the current endpoint; it connects at the first write. Raises StreamBroken if the login fails."""
        endpoint = self._channels.current
        try:
            metadata = await self._channels.metadata(endpoint, timeout)
        except AioRpcError as error:
            details = error.details() or error.code().name
            self._channels.rotate(endpoint, details)
            raise StreamBroken(details, (error.code(), details)) from None
        return EtcdStream(endpoint, metadata, method(endpoint)(metadata=metadata))

    def stream_failed(self, stream: EtcdStream, broken: StreamBroken) -> None:
        """The next stream is opened elsewhere, with a new login where the old one was refused."""
        if judge(*broken.status) is Judgement.LOGIN:
            self._channels.forget_token(stream.metadata)
        self._channels.rotate(stream.endpoint, str(broken))

    async def _call(
        self,
        what: str,
        method: Callable[[Endpoint], Any],
        request: Any,
        timeout: float | None,
    ) -> Any:
        return await self._try(self._attempts(what, timeout), method, request)

    def _attempts(self, what: str, timeout: float | None, *, repeatable: bool = True) -> Attempts:
        return Attempts(what, timeout or self.config.timeout, len(self._channels), repeatable=repeatable)

    async def _try(
        self, attempts: Attempts, method: Callable[[Endpoint], Any], request: Any, *, writes: bool = False
    ) -> Any:
        channels = self._channels
        while True:
            endpoint = channels.current
            metadata: Metadata | None = None
            try:
                metadata = await channels.metadata(endpoint, attempts.share)
                return await method(endpoint)(request, timeout=attempts.share, metadata=metadata)
            except AioRpcError as error:
                code, details = error.code(), error.details() or ""
            sent = metadata is not None
            judgement = attempts.failed(endpoint.address, code, details, sent=sent, writes=writes)
            if judgement is Judgement.LOGIN and metadata is not None:
                channels.forget_token(metadata)
            else:
                channels.rotate(endpoint, details)
            await asyncio.sleep(attempts.pause)
