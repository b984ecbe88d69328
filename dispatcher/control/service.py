"""hedgerow.v1.Dispatch on a node: the door to its dispatchers, with the fence in front.

Every handler reads the stamp, asks the changefeed's record, and answers a request that is not admitted with the
verdict and the current owner. What is slow (reading a password, stopping a stream) happens outside the record's lock.
A takeover validates first, then changes the owner, then acts.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import structlog

from hedgerow.common.config import NodeConfig
from hedgerow.common.epoch import Stamp, Verdict
from hedgerow.common.errors import BadInput, NodeUnavailable, SessionLost
from hedgerow.common.pb.v1 import dispatch_pb2 as pb
from hedgerow.common.pb.v1 import dispatch_pb2_grpc
from hedgerow.dispatcher.control.board import write_error
from hedgerow.dispatcher.control.manager import STOP_GRACE_SECONDS, Manager, OpenStream
from hedgerow.dispatcher.control.pending import Placement
from hedgerow.dispatcher.control.registry import Record, Registry
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.stream.stream import Stream

log = structlog.get_logger()

MAX_WAIT_SECONDS = 30.0


class DispatchService(dispatch_pb2_grpc.DispatchServicer):
    """One per node id. After `local_fence` or `close` it serves nobody again: a new node id gets a new service."""

    def __init__(self, node_id: str, config: NodeConfig | None = None, *, open_stream: OpenStream = Stream) -> None:
        self._node = node_id
        self._open_stream = open_stream
        self._stop_grace = min(STOP_GRACE_SECONDS, config.drain_deadline if config else STOP_GRACE_SECONDS)
        self._registry: Registry[Manager] = Registry()
        self._fenced = threading.Event()
        self._closed = False

    # For the node that hosts it.

    def dispatcher_count(self) -> int:
        return sum(manager.dispatcher_count for manager in self._registry.managers())

    def local_fence(self) -> None:
        """From any thread, at once: stops every lane and cuts its connection to the sink; nothing starts any more."""
        self._fenced.set()
        for manager in self._registry.managers():
            manager.abort()

    async def close(self) -> None:
        """Stops everything and awaits its threads."""
        self._closed = True
        await asyncio.gather(*(manager.close() for manager in self._registry.managers()))

    # The service.

    async def Bootstrap(self, request: pb.BootstrapRequest, context: Any) -> pb.BootstrapResponse:
        stamp = self._read_stamp(request.stamp)
        spec: Spec | None = None
        problem: BadInput | None = None
        try:
            spec = await asyncio.to_thread(Spec.read, request.spec)
            if spec.uid != stamp.uid:
                raise BadInput(f"the stamp is of changefeed {stamp.uid!r}, the spec of {spec.uid!r}")
        except BadInput as error:
            problem = error
        async with self._registry.locked(stamp.uid) as record:
            self._check_serving()
            verdict = record.admit(stamp, may_take_over=True)
            if not verdict.admits:
                return pb.BootstrapResponse(stamp=record.stamp(), rejection=record.rejection(verdict))
            if spec is None or problem is not None:
                assert problem is not None
                failed = write_error(problem, self._node, "", time.time())
                return pb.BootstrapResponse(stamp=record.stamp(), error=failed)
            removing = self._take_over(record, stamp, spec)
            assert record.manager is not None
            return pb.BootstrapResponse(
                stamp=record.stamp(),
                dispatchers=record.manager.statuses(),
                removing=[
                    pb.DispatcherPlacement(dispatcher=p.dispatcher, generation=p.generation, lane=p.lane)
                    for p in removing
                ],
                version=record.manager.version,
            )

    async def Schedule(self, request: pb.ScheduleRequest, context: Any) -> pb.ScheduleResponse:
        stamp = self._read_stamp(request.stamp)
        async with self._registry.locked(stamp.uid) as record:
            manager, verdict = self._admit(record, stamp)
            if manager is None:
                return pb.ScheduleResponse(stamp=record.stamp(), rejection=record.rejection(verdict))
            manager.schedule(_read_placements(request.create), _read_placements(request.remove))
            return pb.ScheduleResponse(stamp=record.stamp())

    async def Heartbeat(self, request: pb.HeartbeatRequest, context: Any) -> pb.HeartbeatResponse:
        stamp = self._read_stamp(request.stamp)
        async with self._registry.locked(stamp.uid) as record:
            manager, verdict = self._admit(record, stamp)
            if manager is None:
                return pb.HeartbeatResponse(stamp=record.stamp(), rejection=record.rejection(verdict))
        await manager.wait_for_change(request.seen_version, min(request.wait_ms / 1000, MAX_WAIT_SECONDS))
        async with self._registry.locked(stamp.uid) as record:
            manager, verdict = self._admit(record, stamp)
            if manager is None:
                return pb.HeartbeatResponse(stamp=record.stamp(), rejection=record.rejection(verdict))
            lag = manager.lag()
            since = request.seen_version if request.changes and manager.can_tell_since(request.seen_version) else 0
            return pb.HeartbeatResponse(
                stamp=record.stamp(),
                version=manager.version,
                dispatchers=manager.statuses(since),
                lag_seconds=lag.seconds if lag is not None else 0.0,
                rows=manager.rows,
                lag=lag.write() if lag is not None else None,
                changes=bool(since),
                gone=[
                    pb.DispatcherPlacement(dispatcher=p.dispatcher, generation=p.generation)
                    for p in manager.gone_since(since)
                ],
            )

    async def Barrier(self, request: pb.BarrierRequest, context: Any) -> pb.BarrierResponse:
        stamp = self._read_stamp(request.stamp)
        if request.action not in (pb.WRITE, pb.PASS):
            raise BadInput(f"a barrier's action is WRITE or PASS, found {request.action}")
        async with self._registry.locked(stamp.uid) as record:
            manager, verdict = self._admit(record, stamp)
            if manager is None:
                return pb.BarrierResponse(stamp=record.stamp(), rejection=record.rejection(verdict))
            manager.barrier(request.ddl, request.action, request.dispatchers, request.flushed)
            return pb.BarrierResponse(stamp=record.stamp())

    async def Close(self, request: pb.CloseRequest, context: Any) -> pb.CloseResponse:
        """A close that is asked again by the owner that closed waits for the same end and is answered as done."""
        stamp = self._read_stamp(request.stamp)
        async with self._registry.locked(stamp.uid) as record:
            if stamp.owner != record.closed_by or record.manager is not None:
                verdict = record.admit(stamp, may_take_over=True)
                if not verdict.admits:
                    return pb.CloseResponse(stamp=record.stamp(), rejection=record.rejection(verdict))
                manager = record.bury(stamp.owner)
                if manager is not None:
                    log.info("changefeed-closing", uid=stamp.uid, epoch=stamp.epoch, owner=stamp.node)
                    # A task of its own: the close goes on when the caller goes away.
                    record.closing = asyncio.create_task(manager.close(), name=f"close-{stamp.uid}")
            closing = record.closing
        if closing is not None:
            await asyncio.shield(closing)
        return pb.CloseResponse(stamp=stamp.write())

    # Admission.

    def _read_stamp(self, message: Any) -> Stamp:
        self._check_serving()
        stamp = Stamp.read(message)
        if not stamp.uid or not stamp.node:
            raise BadInput("the request carries no stamp: a changefeed's uid and an owner's node")
        return stamp

    def _check_serving(self) -> None:
        if self._fenced.is_set():
            raise SessionLost(f"node {self._node} has lost its etcd session and has stopped its dispatchers")
        if self._closed:
            raise NodeUnavailable(f"node {self._node} is shutting down")

    def _admit(self, record: Record[Manager], stamp: Stamp) -> tuple[Manager | None, Verdict]:
        """For requests that may not take over: the manager, or None with the verdict to answer with."""
        self._check_serving()
        verdict = record.admit(stamp, may_take_over=False)
        if not verdict.admits:
            return None, verdict
        return record.manager, Verdict.AHEAD  # None: an epoch 0 that has not bootstrapped

    def _take_over(self, record: Record[Manager], stamp: Stamp, spec: Spec) -> list[Placement]:
        record.owner = stamp.owner
        if record.manager is not None:
            return record.manager.take_over(stamp.owner, spec)
        record.manager = Manager(
            self._node,
            spec,
            stamp.owner,
            self._open_stream,
            after=record.closing,
            stop_grace_seconds=self._stop_grace,
        )
        if self._fenced.is_set():  # a local fence came meanwhile, and did not see this manager
            record.manager.abort()
        return []


def _read_placements(messages: Any) -> list[Placement]:
    return [Placement(message.dispatcher, message.generation, message.lane) for message in messages]
