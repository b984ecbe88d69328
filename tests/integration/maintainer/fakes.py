"""Nodes whose Dispatch service is real gRPC and a real fence, and whose dispatchers only pretend to replicate."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hedgerow.common.binlog.position import Position
from hedgerow.common.control.rpc import Server
from hedgerow.common.epoch import NOBODY, Owner, Stamp, admit, rejection
from hedgerow.common.pb.v1 import dispatch_pb2, dispatch_pb2_grpc
from hedgerow.common.pb.v1 import model_pb2 as pb


class FakeDispatch(dispatch_pb2_grpc.DispatchServicer):
    """One node's dispatchers of one changefeed at a time. `calls` has every request that was obeyed, in order."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.owner = NOBODY
        self.closed: int | None = None
        self.statuses: dict[str, pb.DispatcherStatus] = {}
        self.lanes: dict[str, int] = {}
        self.calls: list[tuple[str, Any]] = []
        self.barriers: list[tuple[str, tuple[str, ...]]] = []
        self.position = Position()
        self.first_state = pb.RUNNING  # of a new dispatcher
        self.hanging: set[str] = set()
        self.error: pb.ChangefeedError | None = None
        self.version = 1
        self._changed = asyncio.Event()

    def touch(self) -> None:
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def set(self, dispatcher: str, state: pb.DispatcherState = pb.RUNNING, **fields: Any) -> None:
        """Changes what a dispatcher reports."""
        former = self.statuses[dispatcher]
        status = pb.DispatcherStatus(
            dispatcher=dispatcher,
            epoch=former.epoch,
            generation=former.generation,
            state=state,
            lane=former.lane,
            **fields,
        )
        if former.HasField("position") and not status.HasField("position"):
            status.position.CopyFrom(former.position)
        self.statuses[dispatcher] = status
        self.touch()

    def _judge(self, stamp: pb.Stamp, *, may_take_over: bool) -> pb.Rejection | None:
        verdict = admit(self.owner, self.closed, Stamp.read(stamp).owner, may_take_over=may_take_over)
        return None if verdict.admits else rejection(verdict, self.owner, self.closed)

    def _stamp(self, uid: str) -> pb.Stamp:
        return Stamp(uid, self.owner.epoch, self.owner.node).write()

    async def _hang(self, name: str) -> None:
        if name in self.hanging:
            await asyncio.Event().wait()

    async def Bootstrap(self, request: dispatch_pb2.BootstrapRequest, context: Any) -> dispatch_pb2.BootstrapResponse:
        await self._hang("Bootstrap")
        uid = request.stamp.uid
        if (refused := self._judge(request.stamp, may_take_over=True)) is not None:
            return dispatch_pb2.BootstrapResponse(stamp=self._stamp(uid), rejection=refused)
        if self.error is not None:
            return dispatch_pb2.BootstrapResponse(stamp=self._stamp(uid), error=self.error)
        self.owner = Owner(request.stamp.epoch, request.stamp.node)
        for status in self.statuses.values():
            status.epoch = self.owner.epoch
        self.calls.append(("Bootstrap", request.stamp.epoch))
        return dispatch_pb2.BootstrapResponse(
            stamp=self._stamp(uid), dispatchers=self.statuses.values(), version=self.version
        )

    async def Schedule(self, request: dispatch_pb2.ScheduleRequest, context: Any) -> dispatch_pb2.ScheduleResponse:
        if (refused := self._judge(request.stamp, may_take_over=False)) is not None:
            return dispatch_pb2.ScheduleResponse(stamp=self._stamp(request.stamp.uid), rejection=refused)
        for placement in request.remove:
            self.calls.append(("remove", placement.dispatcher))
            self.statuses.pop(placement.dispatcher, None)
        for placement in request.create:
            self.calls.append(("create", (placement.dispatcher, placement.generation)))
            self.lanes[placement.dispatcher] = placement.lane
            self.statuses[placement.dispatcher] = pb.DispatcherStatus(
                dispatcher=placement.dispatcher,
                epoch=self.owner.epoch,
                generation=placement.generation,
                state=self.first_state,
                position=self.position.write() if self.position != Position() else None,
                lane=placement.lane,
            )
        self.touch()
        return dispatch_pb2.ScheduleResponse(stamp=self._stamp(request.stamp.uid))

    async def Heartbeat(self, request: dispatch_pb2.HeartbeatRequest, context: Any) -> dispatch_pb2.HeartbeatResponse:
        await self._hang("Heartbeat")
        if request.seen_version == self.version:
            try:
                async with asyncio.timeout(request.wait_ms / 1000):
                    await self._changed.wait()
            except TimeoutError:
                pass
        if (refused := self._judge(request.stamp, may_take_over=False)) is not None:
            return dispatch_pb2.HeartbeatResponse(stamp=self._stamp(request.stamp.uid), rejection=refused)
        return dispatch_pb2.HeartbeatResponse(
            stamp=self._stamp(request.stamp.uid),
            version=self.version,
            dispatchers=self.statuses.values(),
            lag=pb.Lag(seconds=0.5, known=True, bytes=7),
        )

    async def Barrier(self, request: dispatch_pb2.BarrierRequest, context: Any) -> dispatch_pb2.BarrierResponse:
        if (refused := self._judge(request.stamp, may_take_over=False)) is not None:
            return dispatch_pb2.BarrierResponse(stamp=self._stamp(request.stamp.uid), rejection=refused)
        self.barriers.append((dispatch_pb2.BarrierAction.Name(request.action), tuple(request.dispatchers)))
        return dispatch_pb2.BarrierResponse(stamp=self._stamp(request.stamp.uid))

    async def Close(self, request: dispatch_pb2.CloseRequest, context: Any) -> dispatch_pb2.CloseResponse:
        await self._hang("Close")
        if (refused := self._judge(request.stamp, may_take_over=True)) is not None:
            return dispatch_pb2.CloseResponse(stamp=self._stamp(request.stamp.uid), rejection=refused)
        self.calls.append(("Close", request.stamp.epoch))
        self.statuses.clear()
        self.closed, self.owner = request.stamp.epoch, NOBODY
        self.touch()
        return dispatch_pb2.CloseResponse(stamp=request.stamp)


@dataclass(frozen=True, slots=True)
class FakeNode:
    id: str
    address: str
    liveness: pb.Liveness = pb.ALIVE


@dataclass(frozen=True, slots=True)
class FakeMembers:
    revision: int
    nodes: Mapping[str, FakeNode]


class FakeCluster:
    """Members as a test says, each with a server."""

    def __init__(self) -> None:
        self.members = FakeMembers(1, {})
        self.dispatch: dict[str, FakeDispatch] = {}
        self._servers: dict[str, Server] = {}
        self._changed = asyncio.Event()

    async def changed(self, since: int) -> FakeMembers:
        while self.members.revision <= since:
            await self._changed.wait()
        return self.members

    async def join(self, node: str) -> FakeDispatch:
        server = Server()
        fake = FakeDispatch(node)
        server.add("hedgerow.v1.Dispatch", dispatch_pb2_grpc.add_DispatchServicer_to_server, fake)
        port = await server.start("127.0.0.1:0")
        self.dispatch[node], self._servers[node] = fake, server
        self.show(FakeNode(node, f"127.0.0.1:{port}"))
        return fake

    def show(self, node: FakeNode) -> None:
        self._set({**self.members.nodes, node.id: node})

    def hide(self, node: str) -> None:
        """Its lease has ended; the process may live on."""
        self._set({name: info for name, info in self.members.nodes.items() if name != node})

    async def kill(self, node: str) -> None:
        """The process is dead, and etcd does not know yet."""
        await self._servers.pop(node).stop(0)

    async def close(self) -> None:
        await asyncio.gather(*(server.stop(0) for server in self._servers.values()))

    def _set(self, nodes: Mapping[str, FakeNode]) -> None:
        self.members = FakeMembers(self.members.revision + 1, nodes)
        self._changed.set()
        self._changed = asyncio.Event()

    def where(self) -> dict[str, str]:
        """dispatcher -> node, of everything that runs; fails where one runs twice."""
        found: dict[str, str] = {}
        for node, fake in self.dispatch.items():
            for key in fake.statuses if node in self._servers else ():
                assert key not in found, f"{key} runs on {found[key]} and on {node}"
                found[key] = node
        return found
