"""A maintainer and a closing owner, as step machines around the real `Core`.

The order mirrors maintainer/maintainer.py, maintainer/link.py and maintainer/closing.py: Bootstrap to all, then the
fence, then adoption, then orders; Close to all, then the fence, then CLOSED. A wait that may end by a deadline ends
here whenever the caller's chance says so (`impatience`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hedgerow.common.epoch import Stamp
from hedgerow.common.errors import HedgerowError, LostOwnership
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.common.reporting import report_error
from hedgerow.maintainer.bootstrap import Inventory
from hedgerow.maintainer.closing import Closing
from hedgerow.maintainer.core import Core
from hedgerow.maintainer.fleet import Orders
from hedgerow.maintainer.link import Link, check_response, sequence
from hedgerow.maintainer.maintainer import Maintainer
from hedgerow.maintainer.operations.barrier import DdlBarrier
from hedgerow.maintainer.store import SinkView
from tests.model.defects import Defect
from tests.model.etcd import Etcd
from tests.model.network import Message, Network
from tests.model.sink import Sink
from tests.model.source import KEYS, TABLES, at


@dataclass(eq=False)
class _Link:
    """`calls` are in flight, each with its number: no other answer is heard."""

    node: str
    state: Link = Link.CONNECTING
    calls: dict[str, int] = field(default_factory=dict)
    outbox: list[Orders] = field(default_factory=list)


class ModelMaintainer(Maintainer):
    def __init__(self, node: str, stamp: Stamp, spec: pb.ChangefeedSpec, etcd: Etcd, sink: Sink, net: Network) -> None:
        self.node = node
        self.stamp = stamp
        self.stopped = False
        self.phase: mpb.MaintainerPhase = mpb.BOOTSTRAPPING
        self.core = Core(stamp.uid, spec.options, "mysql", (DdlBarrier(5.0),))
        self._start = spec.start_position.offset
        self._etcd = etcd
        self._sink = sink
        self._network = net
        self._by_node: dict[str, _Link] = {}
        self._has_fence = False
        self._must_read = False
        self._seqs = sequence()
        self._numbers = itertools.count()
        self._why: pb.ChangefeedError | None = None
        self._error: pb.ChangefeedError | None = None

    # For the host.

    def cancel(self) -> None:
        self.stopped = True

    async def stop(self) -> None:
        self.stopped = True

    def status(self) -> mpb.MaintainerStatus:
        report = mpb.MaintainerStatus(stamp=self.stamp.write(), phase=self.phase, error=self._why or self._error)
        checkpoint = self.core.checkpoint
        if checkpoint is not None:
            check_checkpoint(self._sink, self.stamp.uid, checkpoint.offset)
            report.checkpoint.CopyFrom(checkpoint.write())
        return report

    def place(self, dispatcher: str, node: str) -> None:
        if dispatcher in self.core.dispatchers and node in self._eligible():
            self.core.pin(dispatcher, node)

    # Its task and its links, one turn each.

    def step(self, random: Random, now: float, impatience: float) -> None:
        if self.is_over:
            return
        try:
            self._sync()
            for link in self._by_node.values():
                self._talk(link, random, impatience)
            if self.phase == mpb.BOOTSTRAPPING:
                self._take_over(random, impatience)
            else:
                self._decide(now)
        except LostOwnership as error:
            self._end(mpb.SUPERSEDED, report_error(error, self.node))
        except HedgerowError as error:
            self._end(mpb.ERRED, report_error(error, self.node))

    @property
    def is_over(self) -> bool:
        return self.stopped or self._why is not None

    def _end(self, phase: mpb.MaintainerPhase, why: pb.ChangefeedError) -> None:
        self.phase, self._why = phase, why

    def _sync(self) -> None:
        for node in self._etcd.nodes:
            self._by_node.setdefault(node, _Link(node))
        for node in self._by_node.keys() - self._etcd.nodes.keys():
            self.core.lose(node)
            del self._by_node[node]

    def _eligible(self) -> set[str]:
        usable = (Link.READY, Link.BROKEN)
        alive = {node for node, liveness in self._etcd.nodes.items() if liveness == pb.ALIVE}
        return {node for node, link in self._by_node.items() if link.state in usable and node in alive}

    def _take_over(self, random: Random, impatience: float) -> None:
        silent = any(link.state in (Link.CONNECTING, Link.BROKEN) for link in self._by_node.values())
        if silent and random.random() >= impatience:
            return
        uid, epoch = self.stamp.uid, self.stamp.epoch
        if not self._has_fence:
            self._sink.raise_fence(uid, epoch, self.stamp.node)
            self._has_fence = True
            return
        if not self._sink.list_progress(uid):
            self._sink.insert_progress(uid, epoch, KEYS, at(self._start))
        self.core.begin(SinkView(tuple(self._sink.list_progress(uid)), ()), next(self._seqs))
        self.phase = mpb.MAINTAINING

    def _decide(self, now: float) -> None:
        if self._must_read:
            self._must_read = False
            self._sink.check_fence(self.stamp.uid, self.stamp.epoch)
            self.core.take_view(SinkView(tuple(self._sink.list_progress(self.stamp.uid)), ()))
        ready = {node for node, link in self._by_node.items() if link.state is Link.READY}
        step = self.core.step(self._eligible(), ready, now)
        if step.broken is not None:
            self._end(mpb.ERRED, step.broken)
            return
        for node, orders in step.orders.items():
            self._by_node[node].outbox.append(orders)
        self._must_read, self._error = step.must_read, step.error
        if not step.must_read:
            self.core.advance()

    # A link.

    def _talk(self, link: _Link, random: Random, impatience: float) -> None:
        if link.calls and random.random() < impatience:
            self._break(link)
        if link.state is not Link.READY:
            if link.state is Link.BROKEN and random.random() < impatience:
                link.state = Link.LOST
                self.core.lose(link.node)
            if not link.calls:
                seq = next(self._seqs)
                request = dispatch_pb2.BootstrapRequest(stamp=self.stamp.write())
                self._call(link, "Bootstrap", request, lambda answer: self._entered(link, answer, seq))
            return
        if "Heartbeat" not in link.calls:
            seq = next(self._seqs)
            beat = dispatch_pb2.HeartbeatRequest(stamp=self.stamp.write())
            self._call(link, "Heartbeat", beat, lambda answer: self.core.observe(link.node, answer, seq))
        if link.outbox and "Schedule" not in link.calls:
            orders = link.outbox.pop(0)
            order = dispatch_pb2.ScheduleRequest(stamp=self.stamp.write(), create=orders.create, remove=orders.remove)
            self._call(
                link, "Schedule", order, lambda answer: self.core.acknowledge(link.node, orders, next(self._seqs))
            )

    def _call(self, link: _Link, method: str, request: Any, then: Callable[[Any], None]) -> None:
        number = link.calls[method] = next(self._numbers)

        def answered(response: Any) -> None:
            if self.is_over or link.calls.get(method) != number or self._by_node.get(link.node) is not link:
                return
            del link.calls[method]
            try:
                check_response(self.stamp, response, link.node)
            except LostOwnership as error:
                self._end(mpb.SUPERSEDED, report_error(error, self.node))
            except HedgerowError:
                self._break(link)
            else:
                then(response)

        self._network.send(Message(self.node, link.node, method, request, answered))

    def _entered(self, link: _Link, response: dispatch_pb2.BootstrapResponse, seq: int) -> None:
        self.core.enter(link.node, Inventory.read(response), seq)
        link.state = Link.READY
        link.outbox.clear()

    def _break(self, link: _Link) -> None:
        link.calls.clear()
        if link.state is not Link.LOST:
            link.state = Link.BROKEN


class ModelClosing(Closing):
    def __init__(
        self, node: str, stamp: Stamp, spec: pb.ChangefeedSpec, etcd: Etcd, sink: Sink, net: Network, *, forget: bool
    ) -> None:
        self.node = node
        self.stamp = stamp
        self.stopped = False
        self.phase: mpb.MaintainerPhase = mpb.CLOSING
        self.defect: Defect | None = None
        self._forget = forget
        self._etcd = etcd
        self._sink = sink
        self._network = net
        self._left = set(etcd.nodes)
        self._asked: set[str] = set()
        self._why: pb.ChangefeedError | None = None

    def cancel(self) -> None:
        self.stopped = True

    async def stop(self) -> None:
        self.stopped = True

    def status(self) -> mpb.MaintainerStatus:
        return mpb.MaintainerStatus(stamp=self.stamp.write(), phase=self.phase, error=self._why)

    @property
    def is_over(self) -> bool:
        return self.stopped or self.phase != mpb.CLOSING

    def step(self, random: Random, now: float, impatience: float) -> None:
        if self.is_over:
            return
        for node in sorted(self._left):
            if node not in self._etcd.nodes:
                self._left.discard(node)
            elif node not in self._asked:
                self._ask(node)
            elif random.random() < impatience:  # asked again, or left to the fence
                (self._asked if random.random() < 0.5 else self._left).discard(node)
        if self._left:
            return
        uid, epoch, owner = self.stamp.uid, self.stamp.epoch, self.stamp.node
        try:
            if self.defect is not Defect.CLOSED_BEFORE_FENCE:
                self._sink.raise_fence(uid, epoch, owner, closes=True)
                if self._forget:
                    self._sink.forget(uid, epoch, owner)
        except LostOwnership as error:
            self.phase, self._why = mpb.SUPERSEDED, report_error(error, self.node)
        except HedgerowError:
            return  # the sink does not answer: again
        else:
            self.phase = mpb.CLOSED

    def _ask(self, node: str) -> None:
        self._asked.add(node)

        def answered(response: dispatch_pb2.CloseResponse) -> None:
            if self.is_over or node not in self._left:
                return
            if not (response.HasField("rejection") and response.rejection.closed == self.stamp.epoch):
                try:
                    check_response(self.stamp, response, node)
                except LostOwnership as error:
                    self.phase, self._why = mpb.SUPERSEDED, report_error(error, self.node)
                    return
                except HedgerowError:
                    self._asked.discard(node)
                    return
            self._left.discard(node)

        request = dispatch_pb2.CloseRequest(stamp=self.stamp.write())
        self._network.send(Message(self.node, node, "Close", request, answered))


def check_checkpoint(sink: Sink, uid: str, offset: int) -> None:
    """A checkpoint is never ahead of what is durable."""
    judge = sink.judge
    for key in TABLES:
        missing = judge.source.following(key, judge.applied.get((uid, key), judge.starts[uid]))
        assert missing is None or missing > offset, f"{uid}: checkpoint {offset}, but {key} lacks {missing}"
