"""The states of a changefeed and every move between them.

The table is the whole truth: what is not in it is refused. The coordinator asks it before each write, so that a user's
command and a maintainer's report that race are judged against the state that is really in etcd.
"""

from __future__ import annotations

import enum

from hedgerow.common.errors import IllegalTransition
from hedgerow.common.pb.v1 import model_pb2 as pb


class Trigger(enum.Enum):
    """What moves a changefeed. The value is how a user is told of it."""

    CREATE = "create"
    PAUSE = "pause"
    RESUME = "resume"
    UPDATE = "update"
    MOVE = "move-maintainer"
    REMOVE = "remove"
    ERROR_RETRIABLE = "error that a retry may fix"
    ERROR_FATAL = "error that a retry does not fix"
    RECOVERED = "recovered"


# What a user may ask for, in the order in which an error lists it.
_COMMANDS = (Trigger.PAUSE, Trigger.RESUME, Trigger.UPDATE, Trigger.MOVE, Trigger.REMOVE)

State = pb.ChangefeedState

# Pause, remove and update may be asked again: the second call waits for the same end. An update of a running changefeed
# starts it again, so a warning ends; a changefeed that does not run is edited where it stands. To resume one that waits
# for its next try is to try now.
_TABLE: dict[tuple[State | None, Trigger], State] = {
    (None, Trigger.CREATE): pb.NORMAL,
    (pb.NORMAL, Trigger.PAUSE): pb.STOPPED,
    (pb.NORMAL, Trigger.UPDATE): pb.NORMAL,
    (pb.NORMAL, Trigger.MOVE): pb.NORMAL,
    (pb.NORMAL, Trigger.REMOVE): pb.REMOVED,
    (pb.NORMAL, Trigger.ERROR_RETRIABLE): pb.WARNING,
    (pb.NORMAL, Trigger.ERROR_FATAL): pb.FAILED,
    (pb.WARNING, Trigger.PAUSE): pb.STOPPED,
    (pb.WARNING, Trigger.RESUME): pb.NORMAL,
    (pb.WARNING, Trigger.UPDATE): pb.NORMAL,
    (pb.WARNING, Trigger.MOVE): pb.WARNING,
    (pb.WARNING, Trigger.REMOVE): pb.REMOVED,
    (pb.WARNING, Trigger.ERROR_RETRIABLE): pb.WARNING,
    (pb.WARNING, Trigger.ERROR_FATAL): pb.FAILED,
    (pb.WARNING, Trigger.RECOVERED): pb.NORMAL,
    (pb.FAILED, Trigger.RESUME): pb.NORMAL,
    (pb.FAILED, Trigger.UPDATE): pb.FAILED,
    (pb.FAILED, Trigger.REMOVE): pb.REMOVED,
    (pb.STOPPED, Trigger.PAUSE): pb.STOPPED,
    (pb.STOPPED, Trigger.RESUME): pb.NORMAL,
    (pb.STOPPED, Trigger.UPDATE): pb.STOPPED,
    (pb.STOPPED, Trigger.REMOVE): pb.REMOVED,
    (pb.REMOVED, Trigger.REMOVE): pb.REMOVED,
}


def next_state(name: str, state: State | None, event: Trigger) -> State:
    """The state after `event`; None is a changefeed that does not exist. Raises IllegalTransition."""
    following = _TABLE.get((state, event))
    if following is None:
        raise IllegalTransition(_refusal(name, state, event))
    return following


def possible(state: State | None) -> list[Trigger]:
    """The commands that a user may give in this state."""
    return [event for event in _COMMANDS if (state, event) in _TABLE]


def state_name(state: State | None) -> str:
    return "absent" if state is None else pb.ChangefeedState.Name(state).lower()


def _refusal(name: str, state: State | None, event: Trigger) -> str:
    commands = ", ".join(command.value for command in possible(state)) or "nothing"
    return f"changefeed {name} is {state_name(state)}: {event.value} is not possible; possible now: {commands}"
