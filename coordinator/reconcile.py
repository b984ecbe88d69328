"""What the coordinator does next, from what is in etcd and what the nodes report. Pure: no I/O, no clock, no memory.

Every decision follows from the present alone, so a new coordinator that knows nothing comes to the same ones, and a
message or an answer that is lost is made good by deciding again. For each changefeed there is at most one decision at a
time. Order of the rules: who may act first, then what it is told, then what is shown of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hedgerow.common import errors
from hedgerow.common.backoff import CHANGEFEED, jitter_of
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.changefeed import Changefeed, seconds
from hedgerow.coordinator.checkpoint import advances
from hedgerow.coordinator.decisions import (
    Advance,
    Decision,
    DeleteKeys,
    MarkClosed,
    Postpone,
    SaveCheckpoint,
    SendAdd,
    SendRemove,
    SetFailed,
    SetNormal,
    SetWarning,
)
from hedgerow.coordinator.placement import choose, imbalance

CHECKPOINT_SECONDS = 5.0
HEALTHY_SECONDS = 60.0  # an owner that fails later than this after its start is not failing in a row


@dataclass(frozen=True, slots=True)
class SeenNode:
    """A member of the cluster as this coordinator sees it."""

    id: str
    liveness: pb.Liveness
    suspected: bool
    report: Mapping[str, mpb.MaintainerStatus] | None  # by changefeed uid; None: has not answered this coordinator yet

    @property
    def usable(self) -> bool:
        """May be given work."""
        return self.liveness == pb.ALIVE and not self.suspected


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a decision depends on."""

    changefeeds: Mapping[str, Changefeed]
    nodes: Mapping[str, SeenNode]
    now: float  # wall clock, seconds
    saved_at: Mapping[str, float] = field(default_factory=dict)  # name: when its checkpoint was last written
    refused: Mapping[str, int] = field(default_factory=dict)  # uid: the highest epoch that a node named in a refusal
    rebalance: bool = False  # a node has joined since the loads were last even


def reconcile(world: World) -> list[Decision]:
    """The next step of every changefeed that needs one."""
    loads = node_loads(world)
    decisions: list[Decision] = []
    for name in sorted(world.changefeeds):
        changefeed = world.changefeeds[name]
        decision = _run(world, changefeed, loads) if changefeed.running else _stop(world, changefeed, loads)
        if decision is None:
            continue
        decisions.append(decision)
        if isinstance(decision, Advance) and changefeed.running:
            loads[decision.node] += 1
            if changefeed.ownership.node in loads:
                loads[changefeed.ownership.node] -= 1
    if world.rebalance and (step := _balance(world, loads)) is not None:
        decisions = [decision for decision in decisions if decision.name != step.name] + [step]
    return decisions


def node_loads(world: World) -> dict[str, int]:
    """How many changefeeds each usable node runs. Nodes that have answered this coordinator, if there are any."""
    usable = [node for node in world.nodes.values() if node.usable]
    answered = [node for node in usable if node.report is not None]
    loads = {node.id: 0 for node in answered or usable}
    for changefeed in world.changefeeds.values():
        if changefeed.running and changefeed.ownership.node in loads:
            loads[changefeed.ownership.node] += 1
    return loads


def reported(world: World, changefeed: Changefeed) -> mpb.MaintainerStatus | None:
    """The report of the owner on record, at the epoch on record; None where there is none."""
    node = world.nodes.get(changefeed.ownership.node)
    return current_status(node.report, changefeed) if node is not None else None


def current_status(
    report: Mapping[str, mpb.MaintainerStatus] | None, changefeed: Changefeed
) -> mpb.MaintainerStatus | None:
    """What the owner's report says of the changefeed at the epoch on record."""
    status = report.get(changefeed.uid) if report is not None else None
    return status if status is not None and status.stamp.epoch == changefeed.epoch else None


def settled(world: World) -> bool:
    """Nobody is suspected, drains or is silent, and every running changefeed is maintained without an error."""
    return all(node.usable and node.report is not None for node in world.nodes.values()) and all(
        changefeed.status.state == pb.NORMAL and _maintained(world, changefeed)
        for changefeed in world.changefeeds.values()
        if changefeed.running
    )


def _maintained(world: World, changefeed: Changefeed) -> bool:
    status = reported(world, changefeed)
    return status is not None and status.phase == mpb.MAINTAINING


def _run(world: World, changefeed: Changefeed, loads: Mapping[str, int]) -> Decision | None:
    if (first := _first_checkpoint(world, changefeed)) is not None:
        return first
    if changefeed.status.HasField("retry_at"):
        if world.now < seconds(changefeed.status.retry_at):
            return None
        owner = _retry_on(changefeed, loads)
        if owner is None:
            return None
        above = max(world.refused.get(changefeed.uid, 0), _told(reported(world, changefeed)))
        return Advance(changefeed.name, owner, f"retry after {changefeed.status.error.code}", "retry", above=above)
    if (moved := _replace_owner(world, changefeed, loads)) is not None:
        return moved
    node = world.nodes.get(changefeed.ownership.node)
    if node is None or node.suspected or node.report is None:
        return None
    status = reported(world, changefeed)
    if status is None:
        return _add(world, changefeed, node)
    return _judge(world, changefeed, status, loads)


def _retry_on(changefeed: Changefeed, loads: Mapping[str, int]) -> str | None:
    """The same node at first; every second time another one, as it may be the node that is at fault."""
    owner = changefeed.ownership.node
    other = choose(loads, avoid=[owner])
    return owner if owner in loads and (other is None or changefeed.status.attempts % 2) else other


def _replace_owner(world: World, changefeed: Changefeed, loads: Mapping[str, int]) -> Advance | None:
    """Another owner where the one on record is gone, suspected or leaving, and there is one."""
    node = world.nodes.get(changefeed.ownership.node)
    if node is not None and node.usable:
        return None
    successor = choose(loads, avoid=[changefeed.ownership.node])
    if successor is None:
        return None
    if node is None:
        return Advance(changefeed.name, successor, f"node {changefeed.ownership.node} is gone", "node-gone")
    if node.suspected:
        return Advance(changefeed.name, successor, f"node {node.id} does not answer", "node-suspected")
    if not changefeed.running and node.liveness == pb.DRAINING:
        return None  # it closes what it has begun to close
    return Advance(changefeed.name, successor, f"node {node.id} is leaving", "node-leaving")


def _add(world: World, changefeed: Changefeed, node: SeenNode) -> Decision:
    highest = _highest_seen(world, changefeed, node)
    if highest >= changefeed.epoch:
        reason = f"epoch {highest} was seen on node {node.id}, above what is recorded"
        return Advance(changefeed.name, node.id, reason, "epoch-behind", above=highest)
    return SendAdd(changefeed.name)


def _highest_seen(world: World, changefeed: Changefeed, node: SeenNode) -> int:
    """The highest epoch the executor knows of that is not the one on record. Above it only if etcd was set back."""
    status = node.report.get(changefeed.uid) if node.report is not None else None
    reports = status.stamp.epoch if status is not None else 0
    return max(reports, _told(status), world.refused.get(changefeed.uid, 0))


def _told(status: mpb.MaintainerStatus | None) -> int:
    """The highest epoch that a superseded owner was told of by a node or the sink; 0 where it was told of none."""
    return status.seen_epoch if status is not None else 0


def _judge(
    world: World, changefeed: Changefeed, status: mpb.MaintainerStatus, loads: Mapping[str, int]
) -> Decision | None:
    """What the owner's report means for the changefeed's state."""
    error = status.error if status.HasField("error") else None
    if status.phase in (mpb.ERRED, mpb.SUPERSEDED, mpb.CLOSED):
        error = error or _gave_up(status)
        if fails(error):
            return _fail(changefeed, error, loads)
        attempts = _failures(world, changefeed) + 1
        wait = CHANGEFEED.seconds(attempts, jitter_of(changefeed.uid, attempts))
        return SetWarning(changefeed.name, error, attempts, world.now + wait)
    if error is not None and fails(error):
        return _fail(changefeed, error, loads)
    if error is not None and error.retriable:
        shown = changefeed.status.error
        if changefeed.status.state != pb.WARNING or (shown.code, shown.message) != (error.code, error.message):
            return SetWarning(changefeed.name, error, _failures(world, changefeed), None)
    elif changefeed.status.state == pb.WARNING and status.phase == mpb.MAINTAINING:
        return SetNormal(changefeed.name)
    return _save(world, changefeed, status)


def _failures(world: World, changefeed: Changefeed) -> int:
    """In a row: an owner that has recovered, and that began long enough ago, has ended the row."""
    lasted = world.now - seconds(changefeed.ownership.changes[-1].at) if changefeed.ownership.changes else 0.0
    return 0 if changefeed.status.state == pb.NORMAL and lasted >= HEALTHY_SECONDS else changefeed.status.attempts


def _gave_up(status: mpb.MaintainerStatus) -> pb.ChangefeedError:
    phase = mpb.MaintainerPhase.Name(status.phase).lower()
    message = f"the maintainer on node {status.stamp.node} stopped ({phase}) while it was the owner on record"
    return pb.ChangefeedError(code=errors.Rejected.__name__, message=message, node=status.stamp.node)


def fails(error: pb.ChangefeedError) -> bool:
    """Whether an error stops the changefeed until a user acts. An owner that lost its ownership is replaced instead."""
    return not error.retriable and not errors.loses_ownership(error.code)


def _fail(changefeed: Changefeed, error: pb.ChangefeedError, loads: Mapping[str, int]) -> Decision:
    executor = changefeed.ownership.node if changefeed.ownership.node in loads else choose(loads)
    return SetFailed(changefeed.name, executor or changefeed.ownership.node, error)


def _first_checkpoint(world: World, changefeed: Changefeed) -> SaveCheckpoint | None:
    """Before everything else, and of any report: from now on a sink without progress has lost it (see
    `Changefeed.begun`)."""
    status = reported(world, changefeed)
    if changefeed.begun or status is None or not status.HasField("checkpoint"):
        return None
    return SaveCheckpoint(changefeed.name, status.checkpoint)


def _save(world: World, changefeed: Changefeed, status: mpb.MaintainerStatus) -> SaveCheckpoint | None:
    if world.now - world.saved_at.get(changefeed.name, float("-inf")) < CHECKPOINT_SECONDS:
        return None
    checkpoint = newer_checkpoint(changefeed, status)
    return SaveCheckpoint(changefeed.name, checkpoint) if checkpoint is not None else None


def newer_checkpoint(changefeed: Changefeed, status: mpb.MaintainerStatus | None) -> pb.Position | None:
    """The reported checkpoint where it is ahead of the recorded one; None elsewhere."""
    if status is None or not status.HasField("checkpoint"):
        return None
    recorded = changefeed.status.checkpoint if changefeed.status.HasField("checkpoint") else None
    return status.checkpoint if advances(recorded, status.checkpoint, changefeed.spec.flavour) else None


def _stop(world: World, changefeed: Changefeed, loads: Mapping[str, int]) -> Decision | None:
    if changefeed.ownership.closed:
        return None
    status = reported(world, changefeed)
    if status is not None and status.phase == mpb.CLOSED:
        if changefeed.ownership.role == pb.REMOVE:
            return DeleteKeys(changefeed.name)
        return MarkClosed(changefeed.name, newer_checkpoint(changefeed, status))
    if (moved := _replace_owner(world, changefeed, loads)) is not None:
        return moved
    node = world.nodes.get(changefeed.ownership.node)
    if node is None or node.suspected or node.report is None:
        return None
    if status is not None and status.phase == mpb.CLOSING:
        return None
    highest = _highest_seen(world, changefeed, node)
    if status is not None and status.phase == mpb.SUPERSEDED:
        if not changefeed.status.HasField("retry_at"):
            attempts = changefeed.status.attempts + 1
            return Postpone(
                changefeed.name, attempts, world.now + CHANGEFEED.seconds(attempts, jitter_of(changefeed.uid, attempts))
            )
        if world.now < seconds(changefeed.status.retry_at):
            return None
        reason = f"node {node.id} found a higher epoch in charge"
        return Advance(changefeed.name, node.id, reason, "epoch-behind", above=highest)
    if status is None and highest >= changefeed.epoch:
        reason = f"epoch {highest} was seen on node {node.id}, above what is recorded"
        return Advance(changefeed.name, node.id, reason, "epoch-behind", above=highest)
    return SendRemove(changefeed.name)


def _balance(world: World, loads: Mapping[str, int]) -> Advance | None:
    step = imbalance(loads)
    if step is None:
        return None
    source, target = step
    there = [
        changefeed
        for changefeed in world.changefeeds.values()
        if changefeed.running and changefeed.ownership.node in step
    ]
    well = [changefeed for changefeed in there if changefeed.status.state == pb.NORMAL]
    name = min((changefeed.name for changefeed in well if changefeed.ownership.node == source), default=None)
    if name is None or not all(_maintained(world, changefeed) for changefeed in well):
        return None  # one at a time: what was moved before is maintained again
    return Advance(name, target, f"balance: node {target} has fewer maintainers", "balance")
