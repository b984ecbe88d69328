"""The states of a changefeed and every move between them.

The table is the whole truth: what is not in it is refused. The coordinator asks it before each write, so that a user's
command and a maintainer's report that race are judged against the state that is really in etcd.
"""

from __future__ import annotations

import enum

from hedgerow.common.errors import IllegalTransition
from hedgerow.common.pb.v1 import model_pb2 as pb


class Event(enum.Enum):
    """What moves a changefeed. The value is how a user is told of it."""

    CREATE = "create"
    PAUSE = "pause"
    RESUME = "resume"
    UPDATE = "update"
    MOVE = "move-maintainer"
    REMOVE = "remove"
    ERROR_RETRIABLE = "error that a retry may mend"
    ERROR_FATAL = "error that a retry does not mend"
    RECOVERED = "recovered"


# What a user may ask for, in the order in which an error lists it.
_COMMANDS = (Event.PAUSE, Event.RESUME, Event.UPDATE, Event.MOVE, Event.REMOVE)

State = pb.ChangefeedState

# Pause, remove and update may be asked again: the second call waits for the same end. An update of a running changefeed
# starts it anew, so a warning ends; a changefeed that does not run is edited where it stands. To resume one that waits
# for its next try is to try now.
_TABLE: dict[tuple[State | None, Event], State] = {
    (None, Event.CREATE): pb.NORMAL,
    (pb.NORMAL, Event.PAUSE): pb.STOPPED,
    (pb.NORMAL, Event.UPDATE): pb.NORMAL,
    (pb.NORMAL, Event.MOVE): pb.NORMAL,
    (pb.NORMAL, Event.REMOVE): pb.REMOVED,
    (pb.NORMAL, Event.ERROR_RETRIABLE): pb.WARNING,
    (pb.NORMAL, Event.ERROR_FATAL): pb.FAILED,
    (pb.WARNING, Event.PAUSE): pb.STOPPED,
    (pb.WARNING, Event.RESUME): pb.NORMAL,
    (pb.WARNING, Event.UPDATE): pb.NORMAL,
    (pb.WARNING, Event.MOVE): pb.WARNING,
    (pb.WARNING, Event.REMOVE): pb.REMOVED,
    (pb.WARNING, Event.ERROR_RETRIABLE): pb.WARNING,
    (pb.WARNING, Event.ERROR_FATAL): pb.FAILED,
    (pb.WARNING, Event.RECOVERED): pb.NORMAL,
    (pb.FAILED, Event.RESUME): pb.NORMAL,
    (pb.FAILED, Event.UPDATE): pb.FAILED,
    (pb.FAILED, Event.REMOVE): pb.REMOVED,
    (pb.STOPPED, Event.PAUSE): pb.STOPPED,
    (pb.STOPPED, Event.RESUME): pb.NORMAL,
    (pb.STOPPED, Event.UPDATE): pb.STOPPED,
    (pb.STOPPED, Event.REMOVE): pb.REMOVED,
    (pb.REMOVED, Event.REMOVE): pb.REMOVED,
}


def next_state(name: str, state: State | None, event: Event) -> State:
    """The state after `event`; None is a changefeed that does not exist. Raises IllegalTransition."""
    following = _TABLE.get((state, event))
    if following is None:
        raise IllegalTransition(_refusal(name, state, event))
    return following


def possible(state: State | None) -> list[Event]:
    """The commands that a user may give in this state."""
    return [event for event in _COMMANDS if (state, event) in _TABLE]


def state_name(state: State | None) -> str:
    return "absent" if state is None else pb.ChangefeedState.Name(state).lower()


def _refusal(name: str, state: State | None, event: Event) -> str:
    commands = ", ".join(command.value for command in possible(state)) or "nothing"
    return f"changefeed {name} is {state_name(state)}: {event.value} is not possible; possible now: {commands}"
