"""A maintainer's link to one node: Bootstrap, then heartbeats and orders until something breaks, then Bootstrap again.

One `NodeLink` per member, run by one task; a node that hangs delays nobody but its own link. Orders are sent one after
another in the order they were given. After any failure the node is bootstrapped again before anything else is sent, so
what was lost in between is learned, not guessed. A link that stays broken for the grace time is LOST: its dispatchers
are placed elsewhere, which is safe, as the sink fences what the node may still run.

The listener's methods are called in the event loop, do not block, and must not raise.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, assert_never

import grpc
import structlog

from hedgerow.common.backoff import Backoff
from hedgerow.common.control.rpc import to_error
from hedgerow.common.epoch import Stamp, Verdict, admit
from hedgerow.common.errors import HedgerowError, LostOwnership, NodeUnavailable, Rejected
from hedgerow.common.metrics import rejected
from hedgerow.common.pb.v1 import dispatch_pb2, dispatch_pb2_grpc
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.fleet import Orders
from hedgerow.maintainer.operations.api import DecideBarrier, NodeCommand

log = structlog.get_logger()


CLOSING = Backoff(0.1, 5.0)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds."""

    call: float = 3.0  # deadline of Bootstrap, Schedule and Barrier
    bootstrap: float = 1.0  # a new maintainer waits so long for the nodes, then goes on without those that are silent
    heartbeat: float = 1.0  # a node answers at the latest after this
    heartbeat_slack: float = 2.0
    heartbeat_gap: float = 0.02  # between the starts of two heartbeats, at the least
    grace: float = 0.3  # a broken link is lost after this
    retry: float = 0.05  # between two attempts to reach a node
    unfit_retry: float = 1.0  # between two attempts at a node that cannot serve the changefeed
    publish: float = 0.2  # positions and counters are reported this often
    repeat: float = 5.0  # a barrier decision without effect is sent again
    read_retry: float = 1.0  # between two failed readings of the sink or the source
    close: float = 5.0  # a node that does not answer Close for so long is left to the fence
    fence: Backoff = CLOSING  # between two attempts to raise the fence of a sink that does not answer


class Link(enum.Enum):
    CONNECTING = "connecting"
    READY = "ready"
    BROKEN = "broken"  # for less than the grace time
    LOST = "lost"
    UNFIT = "unfit"  # answered that it cannot serve the changefeed


class Listener(Protocol):
    def entered(self, node: str, response: dispatch_pb2.BootstrapResponse, seq: int) -> None: ...
    def beat(self, node: str, response: dispatch_pb2.HeartbeatResponse, seq: int) -> None: ...
    def acknowledged(self, node: str, orders: Orders, seq: int) -> None: ...
    def link_changed(self, node: str) -> None: ...
    def lost_ownership(self, error: LostOwnership) -> None: ...


R = TypeVar(
    "R",
    dispatch_pb2.BootstrapResponse,
    dispatch_pb2.HeartbeatResponse,
    dispatch_pb2.ScheduleResponse,
    dispatch_pb2.BarrierResponse,
    dispatch_pb2.CloseResponse,
)


def check_response(stamp: Stamp, response: Any, address: str) -> None:
    """Judge a response as strictly as a request. Raises Rejected when another owner is obeyed there, NodeUnavailable
    when the node has to be bootstrapped again (it knows a former owner, or nobody)."""
    if isinstance(response, dispatch_pb2.BootstrapResponse) and response.HasField("error"):
        return  # it could not take over, so it answers with the stamp of the owner that stays
    if response.HasField("rejection"):
        rejection = response.rejection
        whose = f"epoch {rejection.current.epoch} of {rejection.current.node or 'nobody'}, closed {rejection.closed}"
        message = f"node {address} does not obey epoch {stamp.epoch} of {stamp.node}: {whose}"
        if rejection.verdict == pb.AHEAD:
            raise NodeUnavailable(message)
        raise Rejected(message, max(rejection.current.epoch, rejection.closed))
    found = Stamp.read(response.stamp)
    verdict = admit(stamp.owner, None, found.owner, may_take_over=False)
    if found.uid == stamp.uid and verdict is Verdict.ACCEPT:
        return
    message = f"node {address} answers for epoch {found.epoch} of {found.node} of changefeed {found.uid}"
    seen = verdict.name if found.uid == stamp.uid else Verdict.FOREIGN.name
    rejected("rpc", seen, service="response", uid=stamp.uid, epoch=stamp.epoch, reason=message)
    if found.uid == stamp.uid and verdict in (Verdict.FOREIGN, Verdict.AHEAD):
        raise Rejected(message, found.epoch)
    raise NodeUnavailable(message)


def unavailable(error: grpc.aio.AioRpcError, address: str) -> HedgerowError:
    """What a failed call means for the caller. A node that is fenced itself (SessionLost) says nothing about our own
    ownership: it is as good as gone."""
    meant = to_error(error, address)
    return NodeUnavailable(str(meant)) if isinstance(meant, LostOwnership) else meant


class NodeLink:
    """Created by the maintainer, which runs `run` as a task and cancels it."""

    def __init__(
        self,
        node: str,
        address: str,
        channel: grpc.aio.Channel,
        stamp: Stamp,
        spec: pb.ChangefeedSpec,
        listener: Listener,
        seqs: Iterator[int],
        timing: Timing,
    ) -> None:
        self.state = Link.CONNECTING
        self.error: pb.ChangefeedError | None = None
        self._node = node
        self._address = address
        self._stub = dispatch_pb2_grpc.DispatchStub(channel)
        self._stamp = stamp
        self._spec = spec
        self._listener = listener
        self._seqs = seqs
        self._timing = timing
        self._outbox: asyncio.Queue[Orders | NodeCommand] = asyncio.Queue()
        self._loss: asyncio.TimerHandle | None = None
        self._was_ready = False
        self._log = log.bind(changefeed=spec.name, epoch=stamp.epoch, node=node)

    @property
    def answered(self) -> bool:
        """Whether the first attempt has led to something."""
        return self.state not in (Link.CONNECTING, Link.BROKEN)

    @property
    def may_host(self) -> bool:
        """A node whose link has just broken keeps what it has; one that was not reached yet is given nothing."""
        return self.state is Link.READY or (self.state is Link.BROKEN and self._was_ready)

    def send(self, what: Orders | NodeCommand) -> None:
        """Only while READY. What is not sent when the link breaks is dropped."""
        self._outbox.put_nowait(what)

    async def run(self) -> None:
        """Ends only by cancellation, or after it has told the listener that ownership is lost."""
        try:
            while True:
                pause = self._timing.retry
                try:
                    await self._session()
                except LostOwnership as error:
                    self._listener.lost_ownership(error)
                    return
                except HedgerowError as error:
                    self._break(error)
                except Exception as error:  # a defect; nobody awaits this task, so it must not end of it
                    if self.state not in (Link.BROKEN, Link.LOST):
                        self._log.exception("link-failed")
                    self._break(NodeUnavailable(f"node {self._address}: {type(error).__name__}: {error}"))
                else:
                    pause = self._timing.unfit_retry
                await asyncio.sleep(pause)
        finally:
            self._cancel_loss()

    async def _session(self) -> None:
        """Returns when the node cannot serve the changefeed; raises when the link breaks."""
        seq = next(self._seqs)
        request = dispatch_pb2.BootstrapRequest(stamp=self._stamp.write(), spec=self._spec)
        response = await self._call(self._stub.Bootstrap(request, timeout=self._timing.call))
        if response.HasField("error"):
            self.error = response.error
            self._enter(Link.UNFIT)
            return
        self.error = None
        self._outbox = asyncio.Queue()
        self._listener.entered(self._node, response, seq)
        self._was_ready = True
        self._enter(Link.READY)
        tasks = [asyncio.create_task(self._beat(response.version)), asyncio.create_task(self._deliver(self._outbox))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _beat(self, version: int) -> None:
        timing = self._timing
        clock = asyncio.get_running_loop().time
        while True:
            begun = clock()
            seq = next(self._seqs)
            request = dispatch_pb2.HeartbeatRequest(
                stamp=self._stamp.write(), seen_version=version, wait_ms=round(timing.heartbeat * 1000), changes=True
            )
            deadline = timing.heartbeat + timing.heartbeat_slack
            response = await self._call(self._stub.Heartbeat(request, timeout=deadline))
            version = response.version
            self._listener.beat(self._node, response, seq)
            await asyncio.sleep(max(0.0, begun + timing.heartbeat_gap - clock()))

    async def _deliver(self, outbox: asyncio.Queue[Orders | NodeCommand]) -> None:
        stamp = self._stamp.write()
        while True:
            what = await outbox.get()
            match what:
                case Orders():
                    schedule = dispatch_pb2.ScheduleRequest(stamp=stamp, create=what.create, remove=what.remove)
                    await self._call(self._stub.Schedule(schedule, timeout=self._timing.call))
                    self._listener.acknowledged(self._node, what, next(self._seqs))
                case DecideBarrier(_, ddl, action, dispatchers, flushed):
                    barrier = dispatch_pb2.BarrierRequest(
                        stamp=stamp, ddl=ddl, action=action, dispatchers=dispatchers, flushed=flushed
                    )
                    await self._call(self._stub.Barrier(barrier, timeout=self._timing.call))
                case _:
                    assert_never(what)

    async def _call(self, call: grpc.aio.UnaryUnaryCall[Any, R]) -> R:
        try:
            response = await call
        except grpc.aio.AioRpcError as error:
            raise unavailable(error, self._address) from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise NodeUnavailable(f"a call to node {self._address} was cut off: its channel was closed") from None
        check_response(self._stamp, response, self._address)
        return response

    def _break(self, error: HedgerowError) -> None:
        if self.state in (Link.BROKEN, Link.LOST) or self._loss is not None:
            return
        self._log.info("link-broken", error=str(error))
        self._enter(Link.BROKEN)
        self._loss = asyncio.get_running_loop().call_later(self._timing.grace, self._lose)

    def _lose(self) -> None:
        self._loss = None
        self._log.warning("node-lost", grace=self._timing.grace)
        self._enter(Link.LOST)

    def _enter(self, state: Link) -> None:
        if state is not Link.BROKEN:
            self._cancel_loss()
        self.state = state
        self._listener.link_changed(self._node)

    def _cancel_loss(self) -> None:
        if self._loss is not None:
            self._loss.cancel()
            self._loss = None


def sequence() -> Iterator[int]:
    """Orders heartbeats and acknowledgements of one maintainer."""
    return itertools.count(1)
