"""One node: the Dispatch service over the real records, and the real MaintainerHost service over model maintainers.

The handlers of Dispatch mirror dispatcher/control/service.py. Every time one obeys, invariant 4 is checked against all
that this node has obeyed before.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from hedgerow.common.epoch import NOBODY, Owner, Stamp, Verdict, admit
from hedgerow.common.errors import HedgerowError
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.control.pending import Placement
from hedgerow.dispatcher.control.registry import Record
from hedgerow.maintainer.host import HostService
from hedgerow.maintainer.registry import Record as HostRecord
from hedgerow.maintainer.registry import Worker
from tests.unit.fence.defects import Defect
from tests.unit.fence.etcd import Etcd
from tests.unit.fence.manager import Manager
from tests.unit.fence.network import Message, Network
from tests.unit.fence.sink import Sink

StartWorker = Callable[[str, Stamp, pb.ChangefeedSpec, bool | None], Worker]


def drive(handler: Coroutine[Any, Any, Any]) -> Any:
    """What a handler returns that waits for nothing."""
    try:
        handler.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the handler waits")


class Host(HostService):
    """The real service; only what it starts is a model."""

    def __init__(self, node: str, etcd: Etcd, start_worker: StartWorker) -> None:
        async def drained() -> None:
            raise AssertionError("the model drains nodes in etcd")

        super().__init__(_Members(etcd), SimpleNamespace(), node, drained, lambda: 0)
        self._start_worker = start_worker
        self._request: Any = None

    @property
    def workers(self) -> list[Worker]:
        return list(self._registry.workers())

    async def AddMaintainer(self, request: mpb.AddMaintainerRequest, context: Any) -> mpb.AddMaintainerResponse:
        self._request = request
        return await super().AddMaintainer(request, context)

    async def RemoveMaintainer(
        self, request: mpb.RemoveMaintainerRequest, context: Any
    ) -> mpb.RemoveMaintainerResponse:
        self._request = request
        return await super().RemoveMaintainer(request, context)

    async def _replace(self, record: HostRecord, stamp: Stamp, start: Callable[[], Worker], *, closing: bool) -> None:
        request = self._request
        forget = request.forget if closing else None
        former = record.owner
        assert stamp.owner == former or stamp.epoch > former.epoch, f"{self._node}: {stamp} after {former}"
        await super()._replace(
            record, stamp, lambda: self._start_worker(self._node, stamp, request.spec, forget), closing=closing
        )


class _Members:
    """The members as etcd has them."""

    def __init__(self, etcd: Etcd) -> None:
        self._etcd = etcd

    @property
    def members(self) -> Any:
        nodes = {node: SimpleNamespace(liveness=liveness) for node, liveness in self._etcd.nodes.items()}
        return SimpleNamespace(nodes=nodes)

    async def changed(self, since: int) -> Any:
        raise AssertionError("nobody waits here")


@dataclass(slots=True)
class Obeyed:
    """What a node has obeyed for one changefeed, which it is not to forget."""

    owner: Owner = NOBODY
    closed: int | None = None
    closed_by: Owner | None = None


class _Careless(Record[Manager]):
    """The seeded defect EPOCH_WITHOUT_NODE."""

    def admit(self, stamp: Stamp, *, may_take_over: bool) -> Verdict:
        same = Owner(self.owner.epoch, stamp.node)
        return admit(same, self.closed, stamp.owner, may_take_over=may_take_over)


class Node:
    """`frozen`: it does nothing, and nothing reaches it. `cut_off`: it and its peers do not reach each other.
    Dead nodes are forgotten by the cluster."""

    def __init__(self, name: str, etcd: Etcd, sink: Sink, network: Network, start: StartWorker, defect: Defect | None):
        self.id = name
        self.frozen = False
        self.cut_off = False
        self.host = Host(name, etcd, start)
        self.records: dict[str, Record[Manager]] = {}
        self.managers: list[Manager] = []  # also those that are closing
        self._obeyed: dict[str, Obeyed] = {}
        self._closing: list[tuple[Manager | None, Message, dispatch_pb2.CloseResponse]] = []
        self._last_closed: dict[str, Manager] = {}
        self._sink = sink
        self._network = network
        self._defect = defect

    def receive(self, message: Message) -> None:
        """One request. A handler that raises gives no answer that tells anything: the call failed."""
        if hasattr(self.host, message.method):
            try:
                response = drive(getattr(self.host, message.method)(message.body, None))
            except HedgerowError:
                return
            self._network.answer(message, response)
            return
        stamp = Stamp.read(message.body.stamp)
        make = _Careless if self._defect is Defect.EPOCH_WITHOUT_NODE else Record
        record = self.records.setdefault(stamp.uid, make(stamp.uid))
        answer = getattr(self, f"_{message.method.lower()}")(record, stamp, message)
        if answer is not None:
            self._network.answer(message, answer)

    def finish_closing(self) -> None:
        """Answers closes whose manager has stopped."""
        for manager, message, response in list(self._closing):
            if manager is None or manager.ended:
                self._closing.remove((manager, message, response))
                self._network.answer(message, response)
        self.managers = [manager for manager in self.managers if not manager.ended]

    def cut(self) -> None:
        """The local fence: every lane's connection is cut."""
        for manager in self.managers:
            manager.cut()

    # hedgerow.v1.Dispatch.

    def _bootstrap(self, record: Record[Manager], stamp: Stamp, message: Message) -> dispatch_pb2.BootstrapResponse:
        verdict = record.admit(stamp, may_take_over=True)
        if not verdict.admits:
            return dispatch_pb2.BootstrapResponse(stamp=record.stamp(), rejection=record.rejection(verdict))
        self._obey(stamp)
        record.owner = stamp.owner
        removing: list[Placement] = []
        if record.manager is not None:
            removing = record.manager.take_over(stamp.owner)
        else:
            after = self._last_closed.get(stamp.uid)
            record.manager = Manager(self.id, stamp.uid, stamp.owner, self._sink, after)
            self.managers.append(record.manager)
        return dispatch_pb2.BootstrapResponse(
            stamp=record.stamp(),
            dispatchers=record.manager.statuses(),
            removing=[
                dispatch_pb2.DispatcherPlacement(dispatcher=p.dispatcher, generation=p.generation, lane=p.lane)
                for p in removing
            ],
            version=record.manager.version,
        )

    def _schedule(self, record: Record[Manager], stamp: Stamp, message: Message) -> dispatch_pb2.ScheduleResponse:
        manager, verdict = self._admit(record, stamp)
        if manager is None:
            return dispatch_pb2.ScheduleResponse(stamp=record.stamp(), rejection=record.rejection(verdict))
        manager.schedule(_read(message.body.create), _read(message.body.remove))
        return dispatch_pb2.ScheduleResponse(stamp=record.stamp())

    def _heartbeat(self, record: Record[Manager], stamp: Stamp, message: Message) -> dispatch_pb2.HeartbeatResponse:
        manager, verdict = self._admit(record, stamp)
        if manager is None:
            return dispatch_pb2.HeartbeatResponse(stamp=record.stamp(), rejection=record.rejection(verdict))
        return dispatch_pb2.HeartbeatResponse(
            stamp=record.stamp(), version=manager.version, dispatchers=manager.statuses()
        )

    def _close(self, record: Record[Manager], stamp: Stamp, message: Message) -> dispatch_pb2.CloseResponse | None:
        if stamp.owner != record.closed_by or record.manager is not None:
            verdict = record.admit(stamp, may_take_over=True)
            if not verdict.admits:
                return dispatch_pb2.CloseResponse(stamp=record.stamp(), rejection=record.rejection(verdict))
            self._obey(stamp)
            known = self._obeyed[stamp.uid]
            known.closed, known.closed_by = max(known.closed or 0, stamp.epoch), stamp.owner
            manager = record.bury(stamp.owner)
            if self._defect is Defect.NO_TOMBSTONE:
                record.closed = record.closed_by = None
            if manager is not None:
                manager.closing = True
                self._last_closed[stamp.uid] = manager
        self._closing.append(
            (self._last_closed.get(stamp.uid), message, dispatch_pb2.CloseResponse(stamp=stamp.write()))
        )
        return None

    def _admit(self, record: Record[Manager], stamp: Stamp) -> tuple[Manager | None, Verdict]:
        verdict = record.admit(stamp, may_take_over=False)
        if not verdict.admits:
            return None, verdict
        if record.manager is not None:
            self._obey(stamp)
        return record.manager, Verdict.AHEAD

    def _obey(self, stamp: Stamp) -> None:
        """Invariant 4, whatever the record remembers."""
        known = self._obeyed.setdefault(stamp.uid, Obeyed())
        owner = stamp.owner
        assert known.closed is None or owner.epoch > known.closed, f"{self.id} obeys {owner} after closing {known}"
        fresh = known.owner == NOBODY and owner.epoch == 0
        assert fresh or owner.epoch > known.owner.epoch or owner == known.owner, (
            f"{self.id} obeys {owner} after {known}"
        )
        known.owner = owner


def _read(placements: Any) -> list[Placement]:
    return [Placement(placement.dispatcher, placement.generation, placement.lane) for placement in placements]
