"""What the coordinator does next, from what is in etcd and what the nodes report. Pure: no I/O, no clock, no memory.

Every decision follows from the present alone, so a new coordinator that knows nothing comes to the same ones, and a
message or an answer that is lost is made good by deciding again. For each changefeed there is at most one decision at a
time. Order of the rules: who may act first, then what it is told, then what is shown of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hedgerow.common import errors
from hedgerow.common.backoff import backoff, jitter_of
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.changefeed import Feed, seconds
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
class Node:
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

    feeds: Mapping[str, Feed]
    nodes: Mapping[str, Node]
    now: float  # wall clock, seconds
    saved_at: Mapping[str, float] = field(default_factory=dict)  # name: when its checkpoint was last written
    refused: Mapping[str, int] = field(default_factory=dict)  # uid: the highest epoch that a node named in a refusal
    rebalance: bool = False  # a node has joined since the loads were last even


def reconcile(world: World) -> list[Decision]:
    """The next step of every changefeed that needs one."""
    loads = node_loads(world)
    decisions: list[Decision] = []
    for name in sorted(world.feeds):
        feed = world.feeds[name]
        decision = _run(world, feed, loads) if feed.running else _stop(world, feed, loads)
        if decision is None:
            continue
        decisions.append(decision)
        if isinstance(decision, Advance) and feed.running:
            loads[decision.node] += 1
            if feed.ownership.node in loads:
                loads[feed.ownership.node] -= 1
    if world.rebalance and (step := _balance(world, loads)) is not None:
        decisions = [decision for decision in decisions if decision.name != step.name] + [step]
    return decisions


def node_loads(world: World) -> dict[str, int]:
    """How many changefeeds each usable node runs. Nodes that have answered this coordinator, if there are any."""
    usable = [node for node in world.nodes.values() if node.usable]
    answered = [node for node in usable if node.report is not None]
    loads = {node.id: 0 for node in answered or usable}
    for feed in world.feeds.values():
        if feed.running and feed.ownership.node in loads:
            loads[feed.ownership.node] += 1
    return loads


def reported(world: World, feed: Feed) -> mpb.MaintainerStatus | None:
    """The report of the owner on record, at the epoch on record; None where there is none."""
    node = world.nodes.get(feed.ownership.node)
    return current_status(node.report, feed) if node is not None else None


def current_status(report: Mapping[str, mpb.MaintainerStatus] | None, feed: Feed) -> mpb.MaintainerStatus | None:
    """What the owner's report says of the changefeed at the epoch on record."""
    status = report.get(feed.uid) if report is not None else None
    return status if status is not None and status.stamp.epoch == feed.epoch else None


def settled(world: World) -> bool:
    """Nobody is suspected, drains or is silent, and every running changefeed is maintained without an error."""
    return all(node.usable and node.report is not None for node in world.nodes.values()) and all(
        feed.status.state == pb.NORMAL and _maintained(world, feed) for feed in world.feeds.values() if feed.running
    )


def _maintained(world: World, feed: Feed) -> bool:
    status = reported(world, feed)
    return status is not None and status.phase == mpb.MAINTAINING


def _run(world: World, feed: Feed, loads: Mapping[str, int]) -> Decision | None:
    if (first := _first_checkpoint(world, feed)) is not None:
        return first
    if feed.status.HasField("retry_at"):
        if world.now < seconds(feed.status.retry_at):
            return None
        owner = _retry_on(feed, loads)
        if owner is None:
            return None
        above = max(world.refused.get(feed.uid, 0), _told(reported(world, feed)))
        return Advance(feed.name, owner, f"retry after {feed.status.error.code}", "retry", above=above)
    if (moved := _replace_owner(world, feed, loads)) is not None:
        return moved
    node = world.nodes.get(feed.ownership.node)
    if node is None or node.suspected or node.report is None:
        return None
    status = reported(world, feed)
    if status is None:
        return _add(world, feed, node)
    return _judge(world, feed, status, loads)


def _retry_on(feed: Feed, loads: Mapping[str, int]) -> str | None:
    """The same node at first; every second time another one, as it may be the node that is at fault."""
    owner = feed.ownership.node
    other = choose(loads, avoid=[owner])
    return owner if owner in loads and (other is None or feed.status.attempts % 2) else other


def _replace_owner(world: World, feed: Feed, loads: Mapping[str, int]) -> Advance | None:
    """Another owner where the one on record is gone, suspected or leaving, and there is one."""
    node = world.nodes.get(feed.ownership.node)
    if node is not None and node.usable:
        return None
    successor = choose(loads, avoid=[feed.ownership.node])
    if successor is None:
        return None
    if node is None:
        return Advance(feed.name, successor, f"node {feed.ownership.node} is gone", "node-gone")
    if node.suspected:
        return Advance(feed.name, successor, f"node {node.id} does not answer", "node-suspected")
    if not feed.running and node.liveness == pb.DRAINING:
        return None  # it closes what it has begun to close
    return Advance(feed.name, successor, f"node {node.id} is leaving", "node-leaving")


def _add(world: World, feed: Feed, node: Node) -> Decision:
    highest = _highest_seen(world, feed, node)
    if highest >= feed.epoch:
        reason = f"epoch {highest} was seen on node {node.id}, above what is recorded"
        return Advance(feed.name, node.id, reason, "epoch-behind", above=highest)
    return SendAdd(feed.name)


def _highest_seen(world: World, feed: Feed, node: Node) -> int:
    """The highest epoch the executor knows of that is not the one on record. Above it only if etcd was set back."""
    status = node.report.get(feed.uid) if node.report is not None else None
    reports = status.stamp.epoch if status is not None else 0
    return max(reports, _told(status), world.refused.get(feed.uid, 0))


def _told(status: mpb.MaintainerStatus | None) -> int:
    """The highest epoch that a superseded owner was told of by a node or the sink; 0 where it was told of none."""
    return status.seen_epoch if status is not None else 0


def _judge(world: World, feed: Feed, status: mpb.MaintainerStatus, loads: Mapping[str, int]) -> Decision | None:
    """What the owner's report means for the changefeed's state."""
    error = status.error if status.HasField("error") else None
    if status.phase in (mpb.ERRED, mpb.SUPERSEDED, mpb.CLOSED):
        error = error or _gave_up(status)
        if fails(error):
            return _fail(feed, error, loads)
        attempts = _failures(world, feed) + 1
        wait = backoff(attempts, jitter_of(feed.uid, attempts))
        return SetWarning(feed.name, error, attempts, world.now + wait)
    if error is not None and fails(error):
        return _fail(feed, error, loads)
    if error is not None and error.retriable:
        shown = feed.status.error
        if feed.status.state != pb.WARNING or (shown.code, shown.message) != (error.code, error.message):
            return SetWarning(feed.name, error, _failures(world, feed), None)
    elif feed.status.state == pb.WARNING and status.phase == mpb.MAINTAINING:
        return SetNormal(feed.name)
    return _save(world, feed, status)


def _failures(world: World, feed: Feed) -> int:
    """In a row: an owner that has recovered, and that began long enough ago, has ended the row."""
    lasted = world.now - seconds(feed.ownership.changes[-1].at) if feed.ownership.changes else 0.0
    return 0 if feed.status.state == pb.NORMAL and lasted >= HEALTHY_SECONDS else feed.status.attempts


def _gave_up(status: mpb.MaintainerStatus) -> pb.ChangefeedError:
    phase = mpb.MaintainerPhase.Name(status.phase).lower()
    message = f"the maintainer on node {status.stamp.node} stopped ({phase}) while it was the owner on record"
    return pb.ChangefeedError(code=errors.Rejected.__name__, message=message, node=status.stamp.node)


def fails(error: pb.ChangefeedError) -> bool:
    """Whether an error stops the changefeed until a user acts. An owner that lost its ownership is replaced instead."""
    kind = getattr(errors, error.code, None)
    if isinstance(kind, type) and issubclass(kind, errors.LostOwnership):
        return False
    return not error.retriable


def _fail(feed: Feed, error: pb.ChangefeedError, loads: Mapping[str, int]) -> Decision:
    executor = feed.ownership.node if feed.ownership.node in loads else choose(loads)
    return SetFailed(feed.name, executor or feed.ownership.node, error)


def _first_checkpoint(world: World, feed: Feed) -> SaveCheckpoint | None:
    """Before everything else, and of any report: from now on a sink without progress has lost it (`Feed.begun`)."""
    status = reported(world, feed)
    if feed.begun or status is None or not status.HasField("checkpoint"):
        return None
    return SaveCheckpoint(feed.name, status.checkpoint)


def _save(world: World, feed: Feed, status: mpb.MaintainerStatus) -> SaveCheckpoint | None:
    if world.now - world.saved_at.get(feed.name, float("-inf")) < CHECKPOINT_SECONDS:
        return None
    checkpoint = newer_checkpoint(feed, status)
    return SaveCheckpoint(feed.name, checkpoint) if checkpoint is not None else None


def newer_checkpoint(feed: Feed, status: mpb.MaintainerStatus | None) -> pb.Position | None:
    """The reported checkpoint where it is ahead of the recorded one; None elsewhere."""
    if status is None or not status.HasField("checkpoint"):
        return None
    recorded = feed.status.checkpoint if feed.status.HasField("checkpoint") else None
    return status.checkpoint if advances(recorded, status.checkpoint, feed.spec.flavour) else None


def _stop(world: World, feed: Feed, loads: Mapping[str, int]) -> Decision | None:
    if feed.ownership.closed:
        return None
    status = reported(world, feed)
    if status is not None and status.phase == mpb.CLOSED:
        if feed.ownership.role == pb.REMOVE:
            return DeleteKeys(feed.name)
        return MarkClosed(feed.name, newer_checkpoint(feed, status))
    if (moved := _replace_owner(world, feed, loads)) is not None:
        return moved
    node = world.nodes.get(feed.ownership.node)
    if node is None or node.suspected or node.report is None:
        return None
    if status is not None and status.phase == mpb.CLOSING:
        return None
    highest = _highest_seen(world, feed, node)
    if status is not None and status.phase == mpb.SUPERSEDED:
        if not feed.status.HasField("retry_at"):
            attempts = feed.status.attempts + 1
            return Postpone(feed.name, attempts, world.now + backoff(attempts, jitter_of(feed.uid, attempts)))
        if world.now < seconds(feed.status.retry_at):
            return None
        reason = f"node {node.id} found a higher epoch in charge"
        return Advance(feed.name, node.id, reason, "epoch-behind", above=highest)
    if status is None and highest >= feed.epoch:
        reason = f"epoch {highest} was seen on node {node.id}, above what is recorded"
        return Advance(feed.name, node.id, reason, "epoch-behind", above=highest)
    return SendRemove(feed.name)


def _balance(world: World, loads: Mapping[str, int]) -> Advance | None:
    step = imbalance(loads)
    if step is None:
        return None
    source, target = step
    there = [feed for feed in world.feeds.values() if feed.running and feed.ownership.node in step]
    well = [feed for feed in there if feed.status.state == pb.NORMAL]
    name = min((feed.name for feed in well if feed.ownership.node == source), default=None)
    if name is None or not all(_maintained(world, feed) for feed in well):
        return None  # one at a time: what was moved before is maintained again
    return Advance(name, target, f"balance: node {target} has fewer maintainers", "balance")
