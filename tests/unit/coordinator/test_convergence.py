"""The reconciler in a small cluster: nodes die, freeze, drain and join, messages and writes are lost, users command.

The model keeps what etcd and the nodes would keep. It checks after every step that epochs only grow and that no epoch
is ever handed to two owners, and at the end, when faults stop, that every changefeed gets to where its user wants it.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hedgerow.common.errors import IllegalTransition
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator import changefeed as edits
from hedgerow.coordinator.changefeed import Change, Changefeed, Revisions
from hedgerow.coordinator.decisions import SendAdd, SendRemove, change_for
from hedgerow.coordinator.reconcile import SeenNode, World, reconcile
from tests.unit.coordinator.builders import NOW, changefeed

NAMES = ["x", "y", "z"]
RETRIABLE = pb.ChangefeedError(code="SinkUnavailable", message="no", retriable=True)


class FakeNode:
    """Keeps the newest maintainer per changefeed, and never one below what it has seen."""

    def __init__(self) -> None:
        self.liveness: pb.Liveness = pb.ALIVE
        self.frozen = False
        self.maintainers: dict[str, mpb.MaintainerStatus] = {}

    def receive(self, changefeed: Changefeed, phase: mpb.MaintainerPhase) -> None:
        known = self.maintainers.get(changefeed.uid)
        if known is None or known.stamp.epoch < changefeed.epoch:
            stamp = pb.Stamp(uid=changefeed.uid, epoch=changefeed.epoch, node=changefeed.ownership.node)
            self.maintainers[changefeed.uid] = mpb.MaintainerStatus(stamp=stamp, phase=phase)


class Cluster(RuleBasedStateMachine):
    @initialize(count=st.integers(1, 4))
    def begin(self, count: int) -> None:
        self.now = NOW
        self.nodes = {f"n{number}": FakeNode() for number in range(count)}
        self.joined = count
        self.changefeeds: dict[str, Changefeed] = {}
        self.revision = 10
        self.owners: dict[tuple[str, int], tuple[str, int]] = {}
        self.highest: dict[str, int] = {}
        self.sequence = 0

    def world(self) -> World:
        views = {
            name: SeenNode(name, node.liveness, node.frozen, None if node.frozen else dict(node.maintainers))
            for name, node in self.nodes.items()
        }
        return World(dict(self.changefeeds), views, self.now, rebalance=True)

    def write(self, name: str, change: Change) -> None:
        self.revision += 1
        if change.delete:
            del self.changefeeds[name]
            return
        old = self.changefeeds[name]
        self.changefeeds[name] = Changefeed(
            change.spec or old.spec,
            change.ownership or old.ownership,
            change.status or old.status,
            Revisions(self.revision, self.revision, self.revision),
        )

    def step(self, lost: Callable[[], bool]) -> bool:
        """One round; False when there was nothing to do."""
        decisions = reconcile(self.world())
        assert len({decision.name for decision in decisions}) == len(decisions)
        for decision in decisions:
            current = self.changefeeds[decision.name]
            if lost():
                continue
            if isinstance(decision, SendAdd | SendRemove):
                phase = mpb.MAINTAINING if isinstance(decision, SendAdd) else mpb.CLOSED
                self.nodes[current.ownership.node].receive(current, phase)
            else:
                self.write(decision.name, change_for(current, decision, self.now))
        return bool(decisions)

    @rule(data=st.data())
    def reconcile_with_losses(self, data: st.DataObject) -> None:
        self.step(lambda: data.draw(st.booleans()))

    @rule(seconds=st.floats(0.1, 90))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=st.sampled_from(NAMES))
    def create(self, name: str) -> None:
        if name in self.changefeeds or not self.nodes:
            return
        self.sequence += 1
        made = changefeed(name, min(self.nodes))
        spec = pb.ChangefeedSpec(name=name, uid=f"{name}{self.sequence}", flavour="mysql")
        ownership = edits.first_ownership(spec.uid, min(self.nodes), "created", self.now)
        self.changefeeds[name] = Changefeed(
            spec, ownership, made.status, Revisions(self.revision, self.revision, self.revision)
        )

    @rule(name=st.sampled_from(NAMES), command=st.sampled_from(["pause", "resume", "remove", "move"]))
    def command(self, name: str, command: str) -> None:
        if name not in self.changefeeds or not self.nodes:
            return
        current, node = self.changefeeds[name], max(self.nodes)
        try:
            match command:
                case "pause":
                    self.write(name, edits.pause(current, node, None, self.now))
                case "resume":
                    self.write(name, edits.resume(current, node, self.now))
                case "remove":
                    self.write(name, edits.remove(current, node, self.now))
                case _:
                    self.write(name, edits.move(current, node, "moved by user", self.now))
        except IllegalTransition:
            pass

    @rule(frozen=st.booleans(), data=st.data())
    @precondition(lambda self: bool(self.nodes))
    def freeze_or_thaw(self, frozen: bool, data: st.DataObject) -> None:
        self.nodes[data.draw(st.sampled_from(sorted(self.nodes)))].frozen = frozen

    @rule(data=st.data())
    @precondition(lambda self: bool(self.nodes))
    def kill(self, data: st.DataObject) -> None:
        del self.nodes[data.draw(st.sampled_from(sorted(self.nodes)))]

    @rule(data=st.data())
    @precondition(lambda self: bool(self.nodes))
    def drain(self, data: st.DataObject) -> None:
        self.nodes[data.draw(st.sampled_from(sorted(self.nodes)))].liveness = pb.DRAINING

    @rule(data=st.data(), error=st.sampled_from([RETRIABLE, pb.ChangefeedError(code="SinkDiverged")]))
    @precondition(lambda self: any(node.maintainers for node in self.nodes.values()))
    def fail(self, data: st.DataObject, error: pb.ChangefeedError) -> None:
        node = data.draw(st.sampled_from(sorted(name for name, node in self.nodes.items() if node.maintainers)))
        uid = data.draw(st.sampled_from(sorted(self.nodes[node].maintainers)))
        status = self.nodes[node].maintainers[uid]
        if status.phase == mpb.MAINTAINING:
            status.phase = mpb.ERRED
            status.error.CopyFrom(error)

    @rule()
    def join(self) -> None:
        self.nodes[f"n{self.joined}"] = FakeNode()
        self.joined += 1

    @invariant()
    def epochs_only_grow_and_have_one_owner_each(self) -> None:
        for current in self.changefeeds.values():
            owner = (current.ownership.node, current.ownership.role)
            assert self.owners.setdefault((current.uid, current.epoch), owner) == owner
            assert current.epoch >= self.highest.get(current.uid, 0)
            self.highest[current.uid] = current.epoch

    def teardown(self) -> None:
        if not hasattr(self, "nodes"):
            return
        self.join()
        for node in self.nodes.values():
            node.frozen = False
        for _ in range(200):
            if not self.step(lambda: False) and not any(
                f.status.HasField("retry_at") for f in self.changefeeds.values()
            ):
                break
            self.now += 61
            self.epochs_only_grow_and_have_one_owner_each()
        else:
            raise AssertionError(f"no rest after 200 rounds: {reconcile(self.world())}")
        for current in self.changefeeds.values():
            assert current.status.state in (pb.NORMAL, pb.STOPPED, pb.FAILED)
            if current.running:
                status = self.nodes[current.ownership.node].maintainers[current.uid]
                assert (status.stamp.epoch, status.phase) == (current.epoch, mpb.MAINTAINING)
                assert self.nodes[current.ownership.node].liveness == pb.ALIVE
            else:
                assert current.ownership.closed


Cluster.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestCluster = Cluster.TestCase
