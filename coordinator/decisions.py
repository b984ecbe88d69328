"""What the coordinator may decide about a changefeed, and what each decision writes. Pure.

A decision that writes is carried out against the very `Changefeed` that it was made from: the store refuses it where
anything changed in between, and the coordinator decides again. A decision that sends (`SendAdd`, `SendRemove`) names no
epoch: the changefeed's own, which is in etcd, is the only one that a message may carry.
"""

from __future__ import annotations

from dataclasses import dataclass

from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.changefeed import Change, Changefeed, advance, timestamp, with_checkpoint, with_state
from hedgerow.coordinator.states import Trigger, next_state


@dataclass(frozen=True, slots=True)
class Advance:
    """Hand the changefeed, in its present role, to `node` under a new epoch above `above`."""

    name: str
    node: str
    reason: str
    cause: str  # a word for the metric
    above: int = 0


@dataclass(frozen=True, slots=True)
class SetFailed:
    """Stop it for good: under a new epoch, `node` closes it everywhere."""

    name: str
    node: str
    error: pb.ChangefeedError


@dataclass(frozen=True, slots=True)
class SetWarning:
    """Show an error. With `retry_at` (wall clock, seconds) the maintainer gave up, and is started again then."""

    name: str
    error: pb.ChangefeedError
    attempts: int
    retry_at: float | None


@dataclass(frozen=True, slots=True)
class Postpone:
    """A stop was refused: it is tried again, under a new epoch, at `retry_at` (wall clock, seconds)."""

    name: str
    attempts: int
    retry_at: float


@dataclass(frozen=True, slots=True)
class SetNormal:
    """It works again. The count of its failures stays: it may fail again in a moment."""

    name: str


@dataclass(frozen=True, slots=True)
class SaveCheckpoint:
    name: str
    checkpoint: pb.Position


@dataclass(frozen=True, slots=True)
class MarkClosed:
    """The executor has confirmed the stop."""

    name: str
    checkpoint: pb.Position | None


@dataclass(frozen=True, slots=True)
class DeleteKeys:
    """The executor has confirmed the removal: nothing is left but the fence's tombstone in the sink."""

    name: str


@dataclass(frozen=True, slots=True)
class SendAdd:
    """Tell the owner to run it. Repeated until the owner reports it."""

    name: str


@dataclass(frozen=True, slots=True)
class SendRemove:
    """Tell the executor to close it. Repeated until the executor reports it."""

    name: str


Write = Advance | SetFailed | SetWarning | Postpone | SetNormal | SaveCheckpoint | MarkClosed | DeleteKeys
Send = SendAdd | SendRemove
Decision = Write | Send


def change_for(changefeed: Changefeed, decision: Write, now: float) -> Change:
    """What `decision` writes. Raises IllegalTransition where the state does not allow it."""
    match decision:
        case Advance(_, node, reason, _, above):
            status = pb.ChangefeedStatus()
            status.CopyFrom(changefeed.status)
            status.ClearField("retry_at")
            ownership = advance(changefeed.ownership, node, changefeed.ownership.role, reason, now, above=above)
            return Change(ownership=ownership, status=status)
        case SetFailed(_, node, error):
            status = with_state(
                changefeed.status, next_state(changefeed.name, changefeed.status.state, Trigger.ERROR_FATAL)
            )
            status.error.CopyFrom(error)
            reason = f"failed: {error.code}"
            return Change(ownership=advance(changefeed.ownership, node, pb.CLOSE, reason, now), status=status)
        case SetWarning(_, error, attempts, retry_at):
            status = with_state(
                changefeed.status, next_state(changefeed.name, changefeed.status.state, Trigger.ERROR_RETRIABLE)
            )
            status.error.CopyFrom(error)
            status.attempts = attempts
            if retry_at is not None:
                status.retry_at.CopyFrom(timestamp(retry_at))
            return Change(status=status)
        case Postpone(_, attempts, retry_at):
            status = pb.ChangefeedStatus()
            status.CopyFrom(changefeed.status)
            status.attempts = attempts
            status.retry_at.CopyFrom(timestamp(retry_at))
            return Change(status=status)
        case SetNormal():
            status = with_state(
                changefeed.status, next_state(changefeed.name, changefeed.status.state, Trigger.RECOVERED)
            )
            status.attempts = changefeed.status.attempts
            return Change(status=status)
        case SaveCheckpoint(_, checkpoint):
            return Change(status=with_checkpoint(changefeed.status, checkpoint))
        case MarkClosed(_, checkpoint):
            ownership = pb.Ownership()
            ownership.CopyFrom(changefeed.ownership)
            ownership.closed = True
            status = pb.ChangefeedStatus()
            status.CopyFrom(changefeed.status)
            status.ClearField("attempts")
            status.ClearField("retry_at")
            return Change(ownership=ownership, status=with_checkpoint(status, checkpoint))
        case DeleteKeys():
            return Change(delete=True)
