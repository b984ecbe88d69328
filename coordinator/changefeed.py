"""A changefeed as it was read from etcd, and the edits that the coordinator makes to it. Pure.

A `Changefeed` is immutable by agreement: its messages are never changed in place, every edit copies. It carries the
revisions it was read at, and the store writes only where they still hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from google.protobuf.timestamp_pb2 import Timestamp

from hedgerow.common.epoch import Stamp
from hedgerow.common.errors import Problem
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.states import Trigger, next_state

CHANGES_KEPT = 20
WARNINGS_KEPT = 50
WARNING_CHARACTERS = 2000  # of each of its texts


@dataclass(frozen=True, slots=True)
class Revisions:
    """The mod revision of each of a changefeed's keys."""

    spec: int
    ownership: int
    status: int

    @property
    def newest(self) -> int:
        return max(self.spec, self.ownership, self.status)


@dataclass(frozen=True, slots=True)
class Changefeed:
    """One changefeed at one moment."""

    spec: pb.ChangefeedSpec
    ownership: pb.Ownership
    status: pb.ChangefeedStatus
    revisions: Revisions

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def uid(self) -> str:
        return self.spec.uid

    @property
    def epoch(self) -> int:
        return self.ownership.epoch

    @property
    def running(self) -> bool:
        return self.ownership.role == pb.RUN

    @property
    def begun(self) -> bool:
        """Whether an owner is known to have made progress rows in the sink: only those give a checkpoint."""
        return self.status.HasField("checkpoint")

    def stamp(self, term: int) -> Stamp:
        return Stamp(self.uid, self.ownership.epoch, self.ownership.node, term)


@dataclass(frozen=True, slots=True)
class Change:
    """The keys to write, in one transaction; None leaves a key as it is. `delete` deletes all three."""

    spec: pb.ChangefeedSpec | None = None
    ownership: pb.Ownership | None = None
    status: pb.ChangefeedStatus | None = None
    delete: bool = False


def timestamp(seconds: float) -> Timestamp:
    """`seconds` since the epoch of the wall clock."""
    micros = round(seconds * 1_000_000)
    return Timestamp(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1000)


def seconds(at: Timestamp) -> float:
    return at.seconds + at.nanos / 1e9


def warnings(found: Sequence[Problem]) -> list[pb.Warning]:
    """Of a preflight, as they are kept with the changefeed: so many that etcd's limit is far."""
    kept = [
        pb.Warning(found=each.found[:WARNING_CHARACTERS], fix=each.fix[:WARNING_CHARACTERS])
        for each in found[:WARNINGS_KEPT]
    ]
    if len(found) > WARNINGS_KEPT:
        kept.append(pb.Warning(found=f"and {len(found) - WARNINGS_KEPT} more", fix="see the coordinator's log"))
    return kept


def first_ownership(uid: str, node: str, reason: str, now: float) -> pb.Ownership:
    """Epoch 1 of a new changefeed."""
    return advance(pb.Ownership(uid=uid), node, pb.RUN, reason, now)


def advance(
    ownership: pb.Ownership, node: str, role: pb.Role, reason: str, now: float, *, above: int = 0
) -> pb.Ownership:
    """The next owner, with an epoch above the present one and above `above`.

    Every change of who may act goes through here, so an epoch is never reused and never goes back.
    """
    epoch = max(ownership.epoch, above) + 1
    change = pb.OwnershipChange(epoch=epoch, node=node, role=role, reason=reason, at=timestamp(now))
    changes = [*ownership.changes, change][-CHANGES_KEPT:]
    return pb.Ownership(uid=ownership.uid, epoch=epoch, node=node, role=role, changes=changes)


def with_state(status: pb.ChangefeedStatus, state: pb.ChangefeedState) -> pb.ChangefeedStatus:
    """A state that begins afresh: without error and attempts, and at the same checkpoint."""
    changed = pb.ChangefeedStatus(state=state)
    if status.HasField("checkpoint"):
        changed.checkpoint.CopyFrom(status.checkpoint)
    if status.HasField("current_as_of"):
        changed.current_as_of.CopyFrom(status.current_as_of)
    return changed


def pause(changefeed: Changefeed, executor: str, checkpoint: pb.Position | None, now: float) -> Change:
    """Stops it: the stop has its own epoch, so that it is fenced too. Nothing to write where it is stopped already."""
    state = next_state(changefeed.name, changefeed.status.state, Trigger.PAUSE)
    if changefeed.status.state == state:
        return Change()
    ownership = advance(changefeed.ownership, executor, pb.CLOSE, "paused by user", now)
    return Change(ownership=ownership, status=with_checkpoint(with_state(changefeed.status, state), checkpoint))


def resume(changefeed: Changefeed, node: str, now: float) -> Change:
    state = next_state(changefeed.name, changefeed.status.state, Trigger.RESUME)
    return Change(
        ownership=advance(changefeed.ownership, node, pb.RUN, "resumed by user", now),
        status=with_state(changefeed.status, state),
    )


def remove(changefeed: Changefeed, executor: str, now: float) -> Change:
    state = next_state(changefeed.name, changefeed.status.state, Trigger.REMOVE)
    if changefeed.status.state == state:
        return Change()
    return Change(
        ownership=advance(changefeed.ownership, executor, pb.REMOVE, "removed by user", now),
        status=with_state(changefeed.status, state),
    )


def update(changefeed: Changefeed, spec: pb.ChangefeedSpec, now: float) -> Change:
    """Another spec. A running changefeed starts again on the same node; another one is only edited."""
    state = next_state(changefeed.name, changefeed.status.state, Trigger.UPDATE)
    if not changefeed.running:
        return Change(spec=spec)
    ownership = advance(changefeed.ownership, changefeed.ownership.node, pb.RUN, "updated by user", now)
    return Change(spec=spec, ownership=ownership, status=with_state(changefeed.status, state))


def move(changefeed: Changefeed, node: str, reason: str, now: float) -> Change:
    """The same work on another node. Nothing to write where it is there already."""
    next_state(changefeed.name, changefeed.status.state, Trigger.MOVE)
    if changefeed.ownership.node == node:
        return Change()
    status = pb.ChangefeedStatus()
    status.CopyFrom(changefeed.status)
    status.ClearField("retry_at")
    return Change(ownership=advance(changefeed.ownership, node, pb.RUN, reason, now), status=status)


def as_of(change: Change, current_as_of: float | None) -> Change:
    """With the status, where one is written, how current the sink is (seconds since 1970)."""
    if change.status is None or current_as_of is None:
        return change
    status = pb.ChangefeedStatus()
    status.CopyFrom(change.status)
    status.current_as_of.CopyFrom(timestamp(current_as_of))
    return replace(change, status=status)


def with_checkpoint(status: pb.ChangefeedStatus, checkpoint: pb.Position | None) -> pb.ChangefeedStatus:
    """The caller has seen to it that `checkpoint` is not before the recorded one (`checkpoint.advances`)."""
    if checkpoint is None:
        return status
    changed = pb.ChangefeedStatus()
    changed.CopyFrom(status)
    changed.checkpoint.CopyFrom(checkpoint)
    return changed
