"""Nodes for the coordinator's tests: real membership, coordinator and gRPC, and a MaintainerHost that does no work.

The host obeys the same fencing rule as the real one and reports at once, so a test can tell what the coordinator did.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from hedgerow.common.binlog.position import Position
from hedgerow.common.control.membership import Membership
from hedgerow.common.control.rpc import Peers, Server
from hedgerow.common.epoch import NOBODY, Owner, Stamp, Verdict, admit, rejection
from hedgerow.common.errors import HedgerowError, Problem
from hedgerow.common.etcd import Etcd, EtcdConfig
from hedgerow.common.ids import Keys
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.common.pb.v1 import admin_pb2 as apb
from hedgerow.common.pb.v1 import admin_pb2_grpc, maintainer_pb2_grpc
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.common.signal import Signal
from hedgerow.coordinator.admin.service import AdminService
from hedgerow.coordinator.coordinator import Coordinator

_T = TypeVar("_T")
CLUSTER = "test"
START = Position(file="binlog.000001", offset=4, source_id="source")


@dataclass(frozen=True)
class NothingFound:
    flavour: str = "mysql"
    start_position: Position = START
    warnings: tuple[Problem, ...] = ()


def no_preflight(
    source: ServerUri, sink: ServerUri, table_filter: TableFilter, start: str, name: str, names: Mapping[str, str]
) -> NothingFound:
    return NothingFound()


class Host(maintainer_pb2_grpc.MaintainerHostServicer):
    """Remembers the newest maintainer of each changefeed, and every request it got."""

    def __init__(self) -> None:
        self.node = ""
        self.term = 0
        self.statuses: dict[str, mpb.MaintainerStatus] = {}
        self.requests: list[tuple[str, Stamp]] = []
        self.placed: list[tuple[str, str]] = []
        self.closes = True  # False: it begins to close and never ends
        self.hangs = ""  # a changefeed whose requests are not answered
        self.drain: Callable[[], Any] | None = None
        self._signal = Signal()
        self._owners: dict[str, Owner] = {}
        self._closed: dict[str, int] = {}

    def report(self, uid: str, phase: mpb.MaintainerPhase, error: pb.ChangefeedError | None = None) -> None:
        status = self.statuses[uid]
        status.phase = phase
        status.ClearField("error")
        if error is not None:
            status.error.CopyFrom(error)
        self._signal.notify()

    def _admit(self, kind: str, stamp: Stamp) -> pb.Rejection | None:
        self.requests.append((kind, stamp))
        current, closed = self._owners.get(stamp.uid, NOBODY), self._closed.get(stamp.uid)
        if stamp.term < self.term:
            return rejection(Verdict.STALE, current, closed, self.term)
        self.term = stamp.term
        verdict = admit(current, closed, stamp.owner, may_take_over=True)
        if not verdict.admits:
            return rejection(verdict, current, closed, self.term)
        self._owners[stamp.uid] = stamp.owner
        return None

    def _set(self, stamp: Stamp, phase: mpb.MaintainerPhase) -> None:
        known = self.statuses.get(stamp.uid)
        if known is None or known.stamp.epoch < stamp.epoch:
            self.statuses[stamp.uid] = mpb.MaintainerStatus(stamp=stamp.write(), phase=phase)
            self._signal.notify()

    async def AddMaintainer(self, request: mpb.AddMaintainerRequest, context: Any) -> mpb.AddMaintainerResponse:
        stamp = Stamp.read(request.stamp)
        if request.spec.name == self.hangs:
            await asyncio.Event().wait()
        refused = self._admit("add", stamp)
        if refused is None:
            self._set(stamp, mpb.MAINTAINING)
        return mpb.AddMaintainerResponse(stamp=request.stamp, rejection=refused)

    async def RemoveMaintainer(
        self, request: mpb.RemoveMaintainerRequest, context: Any
    ) -> mpb.RemoveMaintainerResponse:
        stamp = Stamp.read(request.stamp)
        refused = self._admit("forget" if request.forget else "close", stamp)
        if refused is None:
            self._set(stamp, mpb.CLOSED if self.closes else mpb.CLOSING)
        return mpb.RemoveMaintainerResponse(stamp=request.stamp, rejection=refused)

    async def Status(self, request: mpb.StatusRequest, context: Any) -> mpb.StatusResponse:
        self.term = max(self.term, request.term)
        if request.term < self.term:
            return mpb.StatusResponse(node=self.node, rejection=pb.Rejection(verdict=pb.STALE, term=self.term))
        if request.seen_version == self._signal.version:
            await self._signal.wait(self._signal.version, request.wait_ms / 1000)
        return mpb.StatusResponse(
            version=self._signal.version, node=self.node, maintainers=self.statuses.values(), dispatchers=7
        )

    async def PlaceDispatcher(self, request: mpb.PlaceDispatcherRequest, context: Any) -> mpb.PlaceDispatcherResponse:
        self.placed.append((request.dispatcher, request.node))
        return mpb.PlaceDispatcherResponse(stamp=request.stamp)

    async def Drain(self, request: mpb.DrainRequest, context: Any) -> mpb.DrainResponse:
        assert self.drain is not None
        await self.drain()
        return mpb.DrainResponse()


class Node:
    """One node in this process. `ttl` in seconds."""

    def __init__(self, etcd: Etcd, membership: Membership, server: Server, peers: Peers, host: Host) -> None:
        self.etcd = etcd
        self.membership = membership
        self.server = server
        self.peers = peers
        self.host = host
        self.coordinator = Coordinator(membership, etcd, Keys(CLUSTER), peers)
        self.task: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, config: EtcdConfig, name: str, *, ttl: int = 30, coordinates: bool = True) -> Node:
        etcd, server, peers, host = Etcd(config), Server(), Peers(), Host()
        server.add("hedgerow.v1.MaintainerHost", maintainer_pb2_grpc.add_MaintainerHostServicer_to_server, host)
        admin = _Late()
        server.add("hedgerow.v1.Admin", admin_pb2_grpc.add_AdminServicer_to_server, admin)
        address = f"127.0.0.1:{await server.start('127.0.0.1:0')}"
        membership = await Membership.join(etcd, cluster=CLUSTER, name=name, address=address, version="test", ttl=ttl)
        node = cls(etcd, membership, server, peers, host)
        host.node = membership.node
        host.drain = lambda: membership.set_liveness(pb.DRAINING)
        admin.service = AdminService(node.coordinator, membership, peers, no_preflight)
        if coordinates:
            node.campaign()
        return node

    @property
    def id(self) -> str:
        return self.membership.node

    @property
    def admin(self) -> admin_pb2_grpc.AdminStub:
        return admin_pb2_grpc.AdminStub(self.peers.channel(self.membership.info.address, self.id))

    def campaign(self) -> None:
        self.task = asyncio.create_task(self.coordinator.run())

    async def stop_coordinating(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError, HedgerowError):
                await self.task
            self.task = None

    async def vanish(self) -> None:
        """Nobody listens on its address any more, while its lease lives on: what peers see of a killed process."""
        await self.server.stop(0)

    async def close(self) -> None:
        await self.stop_coordinating()
        await self.membership.close()
        await self.server.stop(0)
        await self.peers.close()
        await self.etcd.close()


class _Late(admin_pb2_grpc.AdminServicer):
    """Stands for an Admin service that needs the port it will be served at."""

    service: AdminService

    def __getattribute__(self, name: str) -> Any:
        if name[0].isupper():
            return lambda request, context: getattr(self.service, name)(request, context)
        return super().__getattribute__(name)


async def eventually(look: Callable[[], _T | None], seconds: float = 10.0) -> _T:
    """What `look` returns once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.02)
    return found


def creation(name: str = "shop") -> apb.CreateChangefeedRequest:
    """Of a schema of its own: two never replicate the same table."""
    return apb.CreateChangefeedRequest(
        name=name, source="mysql://u@127.0.0.1:1/", sink="mysql://u@127.0.0.1:2/", filter=[f"{name}_data.*"]
    )


def named(name: str = "shop") -> apb.ChangefeedRequest:
    return apb.ChangefeedRequest(name=name)
