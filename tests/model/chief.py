"""One coordinator of one term: the real reconciler and the real edits, over a view of etcd that may be old.

It mirrors coordinator/term.py, executor.py and operations.py: decide from the view, write guarded, send only what etcd
holds. A deposed one does not know it until etcd or a node tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from hedgerow.common.epoch import Stamp
from hedgerow.common.errors import IllegalTransition, TermLost
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.changefeed import Change, Changefeed
from hedgerow.coordinator.decisions import Decision, DeleteKeys, MarkClosed, SendAdd, SendRemove, change_for
from hedgerow.coordinator.reconcile import SeenNode, World, reconcile
from tests.model.defects import Defect
from tests.model.etcd import Etcd
from tests.model.network import Message, Network
from tests.model.node import Node, drive
from tests.model.sink import Sink


@dataclass(slots=True)
class Edit:
    """What a user asked for: read already, not written yet."""

    before: Changefeed
    decide: Callable[[Changefeed], Change]
    blind: bool = False


class Chief:
    """`over`: it knows that it is deposed, or its process is dead."""

    def __init__(self, node: str, term: int, etcd: Etcd, sink: Sink, network: Network, defect: Defect | None) -> None:
        self.node = node
        self.term = term
        self.over = False
        self.edits: list[Edit] = []
        self._view: dict[str, Changefeed] = dict(etcd.changefeeds)
        self._members: dict[str, pb.Liveness] = dict(etcd.nodes)
        self._reports: dict[str, Mapping[str, mpb.MaintainerStatus]] = {}
        self._suspected: set[str] = set()
        self._refused: dict[str, int] = {}
        self._etcd = etcd
        self._sink = sink
        self._network = network
        self._defect = defect

    def look(self) -> None:
        """Brings the view of etcd up to date."""
        self._view, self._members = dict(self._etcd.changefeeds), dict(self._etcd.nodes)

    def poll(self, name: str, node: Node | None) -> None:
        """One answer of the long poll, or none."""
        if node is None:
            self._suspected.add(name)
            self._reports.pop(name, None)
            return
        answer: mpb.StatusResponse = drive(node.host.Status(mpb.StatusRequest(term=self.term), None))
        if answer.HasField("rejection"):
            self.over = self.over or answer.rejection.term > self.term
            return
        self._suspected.discard(name)
        self._reports[name] = {status.stamp.uid: status for status in answer.maintainers}

    def step(self, random: Random, now: float, losses: float) -> None:
        """Decides everything from the view and carries it out; writes and their answers may be lost."""
        try:
            while self.edits:
                self._edit(self.edits.pop(0), random, losses)
            for decision in reconcile(self._world(now)):
                changefeed = self._view[decision.name]
                if isinstance(decision, SendAdd | SendRemove):
                    self._send(changefeed, decision)
                else:
                    self._write(changefeed, change_for(changefeed, decision, now), random, losses, decision)
        except TermLost:
            self.over = True

    def _world(self, now: float) -> World:
        nodes = {
            name: SeenNode(name, liveness, name in self._suspected, self._reports.get(name))
            for name, liveness in self._members.items()
        }
        return World(self._view, nodes, now, refused=self._refused, rebalance=True)

    def _write(
        self, changefeed: Changefeed, change: Change, random: Random, losses: float, decision: Decision | None
    ) -> None:
        fate = random.random()
        if fate < losses / 2:
            return  # it did not arrive
        closed = isinstance(decision, MarkClosed | DeleteKeys)
        has_term = self._defect is not Defect.TERM_NOT_COMPARED
        if self._etcd.write(self.term, changefeed, change, has_term=has_term) and closed:
            self._sink.judge.promise(changefeed.uid, changefeed.epoch + 1)  # a confirmed stop
            assert not change.delete or changefeed.uid not in self._sink.progress, (
                f"{changefeed.uid} is gone but for its progress"
            )
        if fate > losses:
            self._refresh(changefeed.name)  # otherwise the answer is lost, and the view stays as it was

    def _refresh(self, name: str) -> None:
        if name in self._etcd.changefeeds:
            self._view[name] = self._etcd.changefeeds[name]
        else:
            self._view.pop(name, None)

    def _edit(self, edit: Edit, random: Random, losses: float) -> None:
        """As `Store.edit`: again, from what is found, while others write in between."""
        found: Changefeed | None = edit.before
        try:
            if edit.blind:
                self._etcd.write(self.term, edit.before, edit.decide(edit.before), compares=False)
                return
            while found is not None:
                change = edit.decide(found)
                if change == Change() or random.random() < losses / 2:
                    return
                if self._etcd.write(self.term, found, change):
                    break
                found = self._etcd.changefeeds.get(found.name)
        except IllegalTransition:
            return
        if random.random() > losses:
            self._refresh(edit.before.name)

    def _send(self, changefeed: Changefeed, decision: SendAdd | SendRemove) -> None:
        method = "AddMaintainer" if isinstance(decision, SendAdd) else "RemoveMaintainer"
        to = changefeed.ownership.node
        if self._network.is_waiting(method, to, changefeed.epoch):
            return
        stamp = changefeed.stamp(self.term).write()
        request: Any
        if isinstance(decision, SendAdd):
            request = mpb.AddMaintainerRequest(stamp=stamp, spec=changefeed.spec, begun=changefeed.begun)
        else:
            forget = changefeed.ownership.role == pb.REMOVE
            request = mpb.RemoveMaintainerRequest(stamp=stamp, spec=changefeed.spec, forget=forget)

        def answered(response: mpb.AddMaintainerResponse | mpb.RemoveMaintainerResponse) -> None:
            if not response.HasField("rejection"):
                return
            rejection = response.rejection
            self.over = self.over or rejection.term > self.term
            highest = max(rejection.current.epoch, rejection.closed)
            self._refused[changefeed.uid] = max(highest, self._refused.get(changefeed.uid, 0))

        self._network.send(Message(self.node, to, method, request, answered))

    def place_dispatcher(self, changefeed: Changefeed, dispatcher: str, node: str) -> None:
        """A user moves one dispatcher."""
        stamp: Stamp = changefeed.stamp(self.term)
        request = mpb.PlaceDispatcherRequest(stamp=stamp.write(), dispatcher=dispatcher, node=node)
        self._network.send(
            Message(self.node, changefeed.ownership.node, "PlaceDispatcher", request, lambda answer: None)
        )
