"""One node: the real handlers of Dispatch over model streams, and the real MaintainerHost service over model
maintainers. Every time one obeys, invariant 4 is checked against all that this node has obeyed before.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from hedgerow.common.epoch import NOBODY, Owner, Stamp, Verdict, admit
from hedgerow.common.errors import HedgerowError
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.control.core import Core
from hedgerow.dispatcher.control.handlers import Handlers, Record
from hedgerow.dispatcher.spec import Spec
from hedgerow.maintainer.host import HostService
from hedgerow.maintainer.registry import Record as HostRecord
from hedgerow.maintainer.registry import Worker
from tests.model.defects import Defect
from tests.model.etcd import Etcd
from tests.model.manager import Manager
from tests.model.network import Message, Network
from tests.model.sink import Sink

LANES = 2
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


@functools.cache
def spec_of(uid: str) -> Spec:
    """Of a changefeed that is never updated."""
    nowhere = ServerUri.parse("mysql://root@server.example:3306/?password_env=NOT_READ")
    return Spec(uid, uid, nowhere, nowhere, "mysql", (), LANES, 1, 1, TableFilter.parse(()))


@dataclass(slots=True)
class Obeyed:
    """What a node has obeyed for one changefeed, which it is not to forget."""

    owner: Owner = NOBODY
    closed: int | None = None


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
        self.managers: list[Manager] = []  # also those that are closing
        self._handlers = Handlers(name, self._open, _Careless if defect is Defect.EPOCH_WITHOUT_NODE else Record)
        self._obeyed: dict[str, Obeyed] = {}
        self._closing: list[tuple[Manager | None, Message, dispatch_pb2.CloseResponse]] = []
        self._sink = sink
        self._network = network
        self._defect = defect

    def receive(self, message: Message) -> None:
        """One request. A handler that raises gives no answer that tells anything: the call failed."""
        answer: Any
        stamp, body = Stamp.read(message.body.stamp), message.body
        match message.method:
            case "Bootstrap":
                answer = self._handlers.bootstrap(stamp, spec_of(stamp.uid), 0.0)
            case "Schedule":
                answer = self._handlers.schedule(stamp, body)
            case "Heartbeat":
                answer = self._handlers.heartbeat(stamp, body)
            case "Close":
                self._close(stamp, message)
                return
            case method:
                with contextlib.suppress(HedgerowError):
                    self._network.answer(message, drive(getattr(self.host, method)(body, None)))
                return
        if not answer.HasField("rejection"):
            self._obey(stamp)
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

    def _open(self, core: Core, after: Manager | None) -> Manager:
        self.managers.append(Manager(core, self._sink, after))
        return self.managers[-1]

    def _close(self, stamp: Stamp, message: Message) -> None:
        record = self._handlers.record(stamp.uid)
        repeated = stamp.owner == record.closed_by and record.manager is None
        answer, closing = self._handlers.close(stamp)
        if answer.HasField("rejection"):
            self._network.answer(message, answer)
            return
        if not repeated:
            self._obey(stamp)
            known = self._obeyed[stamp.uid]
            known.closed = max(known.closed or 0, stamp.epoch)
            if self._defect is Defect.NO_TOMBSTONE:
                record.closed = record.closed_by = None
        self._closing.append((closing, message, answer))

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
