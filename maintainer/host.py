"""hedgerow.v1.MaintainerHost on a node: the door through which the coordinator hands out ownership.

Every request carries the coordinator's term and is refused below the highest term seen; every stamped one asks
`common.epoch.admit` under its changefeed's lock. A newer owner supersedes what runs here: cancel, await, then start. A
takeover validates first, then changes the owner on record, then acts.

`Status` is a long poll over one version counter. A report is whole and the latest wins, so a coordinator that polls
slowly costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from hedgerow.common.epoch import Owner, Stamp, Verdict
from hedgerow.common.errors import BadInput, NodeUnavailable, NotFound, SessionLost
from hedgerow.common.metrics import rejected
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import maintainer_pb2_grpc
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.common.signal import Signal
from hedgerow.maintainer.closing import Closing
from hedgerow.maintainer.link import Timing
from hedgerow.maintainer.maintainer import Maintainer
from hedgerow.maintainer.members import MembersSource, NodeChannels
from hedgerow.maintainer.registry import ENDED, Record, Registry, Worker
from hedgerow.maintainer.store import SinkStore

log = structlog.get_logger()

MAX_WAIT_SECONDS = 30.0


class HostService(maintainer_pb2_grpc.MaintainerHostServicer):
    """One per node id. After `local_fence` or `close` it serves nobody again: a new node id gets a new service."""

    def __init__(
        self,
        members: MembersSource,
        channels: NodeChannels,
        node_id: str,
        on_drain: Callable[[], Awaitable[None]],
        dispatcher_count: Callable[[], int],
        timing: Timing | None = None,
    ) -> None:
        """`on_drain` turns the node's liveness to DRAINING, idempotently. `dispatcher_count` counts those of all
        changefeeds on this node."""
        self._members = members
        self._channels = channels
        self._node = node_id
        self._on_drain = on_drain
        self._dispatcher_count = dispatcher_count
        self._timing = timing or Timing()
        self._registry = Registry()
        self._term = 0
        self._changed = Signal()
        self._draining = False
        self._closed = False
        self._fenced = False

    # For the node that hosts it.

    def local_fence(self) -> None:
        """At once, in the event loop: cancels every maintainer; nothing starts any more. `close` awaits their ends."""
        self._fenced = True
        for worker in self._registry.workers():
            worker.cancel()
        self._changed.notify()

    def maintainer_count(self) -> int:
        """Of those that have not ended: a node that hands over waits until there is none."""
        return sum(worker.status().phase not in ENDED for worker in self._registry.workers())

    async def close(self) -> None:
        """Stops every maintainer and awaits its tasks. Dispatchers keep running for the successors."""
        self._closed = True
        self._changed.notify()
        await asyncio.gather(*(worker.stop() for worker in self._registry.workers()))

    # The service.

    async def AddMaintainer(self, request: mpb.AddMaintainerRequest, context: Any) -> mpb.AddMaintainerResponse:
        stamp = self._read_stamp(request.stamp, request.spec)
        record = self._registry.record(stamp.uid)
        async with record.lock:
            record.settle()
            rejection = self._judge(record, stamp, may_take_over=True)
            if rejection is None and record.started == stamp.owner and record.closing:
                rejection = record.reject(stamp, Verdict.STALE, self._term)  # one epoch has one role: this is too late
            if rejection is not None:
                return mpb.AddMaintainerResponse(stamp=record.stamp(self._term), rejection=rejection)
            if record.started != stamp.owner or record.forgotten:
                self._check_hosting()

                def start() -> Worker:
                    return Maintainer(
                        stamp,
                        request.spec,
                        self._members,
                        self._channels,
                        self._changed.notify,
                        begun=request.begun,
                        timing=self._timing,
                    )

                await self._replace(record, stamp, start, closing=False)
            return mpb.AddMaintainerResponse(stamp=record.stamp(self._term))

    async def RemoveMaintainer(
        self, request: mpb.RemoveMaintainerRequest, context: Any
    ) -> mpb.RemoveMaintainerResponse:
        """Returns when the close has begun; Status tells when it is CLOSED."""
        stamp = self._read_stamp(request.stamp, request.spec)
        record = self._registry.record(stamp.uid)
        async with record.lock:
            record.settle()
            known = record.owner == stamp.owner and (record.closed == stamp.epoch or isinstance(record.worker, Closing))
            rejection = (
                self._judge_term(request.stamp.term) if known else self._judge(record, stamp, may_take_over=True)
            )
            if rejection is not None:
                return mpb.RemoveMaintainerResponse(stamp=record.stamp(self._term), rejection=rejection)
            if not known:

                def start() -> Worker:
                    return Closing(
                        stamp,
                        request.spec,
                        self._members,
                        self._channels,
                        self._changed.notify,
                        forget=request.forget,
                        timing=self._timing,
                    )

                await self._replace(record, stamp, start, closing=True)
            elif record.forgotten:
                record.confirm_close(stamp)
                self._changed.notify()
            return mpb.RemoveMaintainerResponse(stamp=record.stamp(self._term))

    async def Status(self, request: mpb.StatusRequest, context: Any) -> mpb.StatusResponse:
        rejection = self._judge_term(request.term)
        if rejection is None:
            self._check_serving()
            await self._changed.wait(request.seen_version, min(request.wait_ms / 1000, MAX_WAIT_SECONDS))
            self._check_serving()
            rejection = self._judge_term(request.term)
        if rejection is not None:
            return mpb.StatusResponse(node=self._node, rejection=rejection)
        self._registry.settle()
        return mpb.StatusResponse(
            version=self._changed.version,
            node=self._node,
            maintainers=self._registry.statuses(),
            dispatchers=self._dispatcher_count(),
        )

    async def PlaceDispatcher(self, request: mpb.PlaceDispatcherRequest, context: Any) -> mpb.PlaceDispatcherResponse:
        stamp = self._read_stamp(request.stamp, None)
        record = self._registry.record(stamp.uid)
        async with record.lock:
            record.settle()
            rejection = self._judge(record, stamp, may_take_over=False)
            if rejection is not None:
                return mpb.PlaceDispatcherResponse(stamp=record.stamp(self._term), rejection=rejection)
            if not isinstance(record.worker, Maintainer):
                raise NotFound(f"no maintainer of changefeed {stamp.uid} runs on node {self._node}")
            record.worker.place(request.dispatcher, request.node)
            return mpb.PlaceDispatcherResponse(stamp=record.stamp(self._term))

    async def Drain(self, request: mpb.DrainRequest, context: Any) -> mpb.DrainResponse:
        self._check_serving()
        rejection = self._judge_term(request.term)
        if rejection is not None:
            return mpb.DrainResponse(rejection=rejection)
        await self._on_drain()
        self._draining = True
        return mpb.DrainResponse()

    # Admission.

    def _read_stamp(self, message: pb.Stamp, spec: pb.ChangefeedSpec | None) -> Stamp:
        self._check_serving()
        stamp = Stamp.read(message)
        if not stamp.uid or not stamp.node:
            raise BadInput("the request carries no stamp: a changefeed's uid and an owner's node")
        if spec is not None and spec.uid != stamp.uid:
            raise BadInput(f"the stamp is of changefeed {stamp.uid!r}, the spec of {spec.uid!r}")
        if spec is not None:
            SinkStore(spec, stamp)  # reads its URIs and its filter
        return stamp

    def _check_serving(self) -> None:
        if self._fenced:
            raise SessionLost(f"node {self._node} has lost its etcd session and has stopped its maintainers")
        if self._closed:
            raise NodeUnavailable(f"node {self._node} is shutting down")

    def _check_hosting(self) -> None:
        own = self._members.members.nodes.get(self._node)
        if self._draining or own is None or own.liveness != pb.ALIVE:
            raise NodeUnavailable(f"node {self._node} is leaving and takes no maintainers")

    def _judge_term(self, term: int) -> pb.Rejection | None:
        """None where the coordinator is not below the highest term seen, which it raises."""
        if term < self._term:
            rejected("rpc", Verdict.STALE.name, service="MaintainerHost", term=term, current_term=self._term)
            return pb.Rejection(verdict=pb.STALE, term=self._term)
        self._term = term
        return None

    def _judge(self, record: Record, stamp: Stamp, *, may_take_over: bool) -> pb.Rejection | None:
        """None where the request is to be obeyed."""
        if stamp.term < self._term:
            return record.reject(stamp, Verdict.STALE, self._term)
        self._term = stamp.term
        if stamp.node != self._node:  # meant for another node, or for a former life of this one
            return record.reject(stamp, Verdict.FOREIGN, self._term)
        return record.judge(stamp, may_take_over=may_take_over, term=self._term)

    async def _replace(self, record: Record, stamp: Stamp, start: Callable[[], Worker], *, closing: bool) -> None:
        """Under the record's lock. The owner is raised before the former worker is awaited, so that nothing older than
        `stamp` is obeyed any more even where the call is cut off here; the caller's next attempt starts the worker."""
        former, record.owner = record.owner, Owner(stamp.epoch, stamp.node)
        if record.worker is not None:
            log.info("maintainer-superseded", uid=stamp.uid, former_epoch=former.epoch, epoch=stamp.epoch)
            await record.worker.stop()
        record.worker = record.last = None
        self._check_serving()
        record.worker = start()
        record.started, record.closing = stamp.owner, closing
        self._changed.notify()
