"""hedgerow.v1.Dispatch on a node: the door to its dispatchers, with the fence in front.

The shell around `handlers`: what is slow (reading a password, waiting for a change or for the end of a close) happens
here, before or after a request is judged and carried out as one step.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog

from hedgerow.common.config import NodeConfig
from hedgerow.common.epoch import Stamp
from hedgerow.common.errors import BadInput, NodeUnavailable, SessionLost
from hedgerow.common.pb.v1 import dispatch_pb2 as pb
from hedgerow.common.pb.v1 import dispatch_pb2_grpc
from hedgerow.dispatcher.control import sinks
from hedgerow.dispatcher.control.core import Core
from hedgerow.dispatcher.control.handlers import Handlers
from hedgerow.dispatcher.control.manager import STOP_GRACE_SECONDS, Manager, OpenStream
from hedgerow.dispatcher.sink.kill_switch import KillSwitch
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.stream.decision import BarrierDecision

log = structlog.get_logger()

MAX_WAIT_SECONDS = 30.0


class DispatchService(dispatch_pb2_grpc.DispatchServicer):
    """One per node id. After `local_fence` or `close` it serves nobody again: a new node id gets a new service."""

    def __init__(
        self, node_id: str, config: NodeConfig | None = None, *, open_stream: OpenStream = sinks.open_stream
    ) -> None:
        self._node = node_id
        self._open_stream = open_stream
        self._stop_grace = min(STOP_GRACE_SECONDS, config.drain_deadline if config else STOP_GRACE_SECONDS)
        self._handlers = Handlers[Manager](node_id, self._open_manager)
        self._switch = KillSwitch()  # above those of all streams

    # For the node that hosts it.

    def dispatcher_count(self) -> int:
        return sum(manager.core.dispatcher_count for manager in self._handlers.managers())

    def local_fence(self) -> None:
        """From any thread, at once: stops every lane and cuts its connection to the sink; nothing starts any more."""
        self._switch.cut()

    async def close(self) -> None:
        """Stops everything and awaits its threads."""
        self._switch.end()
        managers = list(self._handlers.managers())
        for manager in managers:
            manager.core.close()
            manager.wake()
        await asyncio.gather(*(manager.closed() for manager in managers))

    # The service.

    async def Bootstrap(self, request: pb.BootstrapRequest, context: Any) -> pb.BootstrapResponse:
        stamp = self._read_stamp(request.stamp)
        spec: Spec | BadInput
        try:
            spec = await asyncio.to_thread(Spec.read, request.spec)
            if spec.uid != stamp.uid:
                raise BadInput(f"the stamp is of changefeed {stamp.uid!r}, the spec of {spec.uid!r}")
        except BadInput as error:
            spec = error
        self._check_serving()
        return self._handlers.bootstrap(stamp, spec, time.time())

    async def Schedule(self, request: pb.ScheduleRequest, context: Any) -> pb.ScheduleResponse:
        return self._handlers.schedule(self._read_stamp(request.stamp), request)

    async def Heartbeat(self, request: pb.HeartbeatRequest, context: Any) -> pb.HeartbeatResponse:
        stamp = self._read_stamp(request.stamp)
        record, manager, rejection = self._handlers.admit(stamp)
        if manager is None:
            return pb.HeartbeatResponse(stamp=record.stamp(), rejection=rejection)
        await manager.wait_for_change(request.seen_version, min(request.wait_ms / 1000, MAX_WAIT_SECONDS))
        self._check_serving()
        return self._handlers.heartbeat(stamp, request)

    async def Barrier(self, request: pb.BarrierRequest, context: Any) -> pb.BarrierResponse:
        stamp = self._read_stamp(request.stamp)
        if request.action not in (pb.WRITE, pb.PASS):
            raise BadInput(f"a barrier's action is WRITE or PASS, found {request.action}")
        record, manager, rejection = self._handlers.admit(stamp)
        if manager is not None:
            about, flushed = frozenset(request.dispatchers), dict(request.flushed)
            manager.decide(BarrierDecision(request.ddl, request.action, about, stamp.epoch, flushed))
        return pb.BarrierResponse(stamp=record.stamp(), rejection=rejection)

    async def Close(self, request: pb.CloseRequest, context: Any) -> pb.CloseResponse:
        """The close goes on when the caller goes away."""
        stamp = self._read_stamp(request.stamp)
        answer, closing = self._handlers.close(stamp)
        if closing is not None:
            log.info("changefeed-closing", uid=stamp.uid, epoch=stamp.epoch, owner=stamp.node)
            await closing.closed()
        return answer

    def _read_stamp(self, message: Any) -> Stamp:
        self._check_serving()
        stamp = Stamp.read(message)
        if not stamp.uid or not stamp.node:
            raise BadInput("the request carries no stamp: a changefeed's uid and an owner's node")
        return stamp

    def _check_serving(self) -> None:
        if self._switch.is_cut:
            raise SessionLost(f"node {self._node} has lost its etcd session and has stopped its dispatchers")
        if self._switch.is_ending:
            raise NodeUnavailable(f"node {self._node} is shutting down")

    def _open_manager(self, core: Core, after: Manager | None) -> Manager:
        return Manager(core, self._switch.below(), self._open_stream, after=after, stop_grace_seconds=self._stop_grace)
