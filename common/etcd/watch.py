"""Watch: every change of a range from a revision on, each once and in order, whatever member of etcd dies.

A batch holds all changes that one answer of etcd carried; a transaction's changes are never split over two batches.
Where a stream breaks, or says nothing, the next one starts at another endpoint, at the revision after the last event
that was given out. A progress request after two seconds of silence asks only whether the peer is alive: its answer's
revision is not believed, since etcd 3.4 may answer it before events of that revision are out (etcd issue 15220).

A watch waits for etcd for as long as it takes. It raises only where waiting does not help: Compacted, EtcdRefused.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import grpc
import structlog

from hedgerow.common.etcd.channels import EtcdStream, StreamBroken, silent
from hedgerow.common.etcd.client import Etcd
from hedgerow.common.etcd.errors import Compacted, Judgement, judge, refusal
from hedgerow.common.etcd.values import KeyRange, WatchEvent
from hedgerow.common.pb.etcd import rpc_pb2

log = structlog.get_logger()

_SILENCE = 2.0  # seconds before the first probe
_PATIENCE = 1.0  # seconds for each probe
_PROBES = 2
_CONNECT = 2.0
_DENIED = ("permission denied", "user name is empty")
_PAUSES = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class WatchBatch:
    """`revision` is that of the last event; there is at least one."""

    revision: int
    events: tuple[WatchEvent, ...]


class Watch(AsyncIterator[WatchBatch]):
    """Read by one task: `async with Watch(etcd, prefix("/a/"), revision) as watch: async for batch in watch: ...`.

    `revision` is the first one that is given out: one more than that of the snapshot it continues.
    """

    def __init__(self, etcd: Etcd, keys: KeyRange, revision: int) -> None:
        self._etcd = etcd
        self._keys = keys
        self._next = revision
        self._stream: EtcdStream | None = None
        self._failures = 0
        self._refusals = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """By the reading task, or when it has ended. Idempotent."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    async def __anext__(self) -> WatchBatch:
        while True:
            try:
                if self._stream is None:
                    self._stream = await self._open()
                answer = await self._read(self._stream)
            except StreamBroken as broken:
                await self._give_up_stream(broken)
                continue
            self._failures = self._refusals = 0
            fresh = tuple(event for event in map(WatchEvent.read, answer.events) if event.revision >= self._next)
            if fresh:
                self._next = fresh[-1].revision + 1
                return WatchBatch(fresh[-1].revision, fresh)

    async def _open(self) -> EtcdStream:
        stream = await self._etcd.open_stream(lambda endpoint: endpoint.watch.Watch, _CONNECT)
        # From the revision before, which exists: a watcher of a future revision gets no answer to progress requests
        # (etcd issue 20242). Its events are dropped.
        request = rpc_pb2.WatchCreateRequest(
            key=self._keys.start, range_end=self._keys.end, start_revision=max(self._next - 1, 1)
        )
        self._stream = stream
        await stream.write(rpc_pb2.WatchRequest(create_request=request), _CONNECT)
        return stream

    async def _read(self, stream: EtcdStream) -> rpc_pb2.WatchResponse:
        """The next answer, whatever it holds. Raises StreamBroken, Compacted, EtcdRefused."""
        answer = await stream.read(_SILENCE)
        for _ in range(_PROBES):
            if answer is None:
                await stream.write(rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest()), _PATIENCE)
                answer = await stream.read(_PATIENCE)
        if answer is None:
            raise silent(_SILENCE + _PROBES * _PATIENCE)
        if answer.canceled:
            raise self._canceled(stream, answer)
        assert isinstance(answer, rpc_pb2.WatchResponse)
        return answer

    def _canceled(self, stream: EtcdStream, answer: rpc_pb2.WatchResponse) -> Exception:
        if answer.compact_revision:
            return Compacted(self._next, answer.compact_revision)
        reason = answer.cancel_reason.rpartition("desc = ")[2]
        denied = any(text in reason for text in _DENIED)
        # etcd 3.4 says "permission denied" for a token that is too old, too: believe it the second time.
        if denied and self._refusals == 0:
            self._refusals += 1
            return StreamBroken(reason, (grpc.StatusCode.UNAUTHENTICATED, "etcdserver: invalid auth token"))
        if denied:
            what = f"watch of {self._keys.start.decode()}"
            return refusal(what, stream.endpoint.address, grpc.StatusCode.PERMISSION_DENIED, reason)
        return StreamBroken(reason or "canceled", (grpc.StatusCode.UNKNOWN, reason))

    async def _give_up_stream(self, broken: StreamBroken) -> None:
        stream = self._stream
        if stream is not None:
            log.info("etcd-watch-resumes", at=self._next, left=stream.endpoint.address, cause=str(broken))
            self._etcd.stream_failed(stream, broken)
        await self.close()
        if judge(*broken.status) is Judgement.REFUSED:
            address = stream.endpoint.address if stream else "login"
            raise refusal(f"watch of {self._keys.start.decode()}", address, *broken.status)
        await asyncio.sleep(_PAUSES[min(self._failures, len(_PAUSES) - 1)])
        self._failures += 1
