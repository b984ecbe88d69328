"""One dispatcher, one table: its life on a node.

1. What is known of a dispatcher is one `TableProgress`. The stream that serves it makes a new one with each event, its
   manager keeps the last, and what a maintainer is told (`pb.DispatcherStatus`) is written from it.
2. `TRANSITIONS` answers every event in every state: with the next state, with SAME where the event changes nothing, or
   with NEVER where it cannot come: then the program is wrong, and says so.
3. BROKEN and ENDED are final: nothing that is still under way changes them. A maintainer places the dispatcher again,
   which is another life.

The diagram in docs/architecture.md is drawn from the table.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import HedgerowError
from hedgerow.common.options import actual_lane
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.common.reporting import report_error

State: TypeAlias = pb.DispatcherState

STATES: Final = (pb.STARTING, pb.RUNNING, pb.BLOCKED, pb.RETRYING, pb.BROKEN, pb.ENDED)
FINAL: Final = frozenset((pb.BROKEN, pb.ENDED))


class Event(enum.Enum):
    BEGAN = "its row is claimed, and the source is read"
    MET_DDL = "a statement touches its table"
    PASSED_DDL = "the maintainer lets it pass"
    FAILED = "an error that a retry may fix"
    RECOVERED = "its lane works again"
    BROKE = "an error that a retry does not fix, or another has claimed its row"
    DROPPED = "a statement has dropped its table"
    STREAM_ENDED = "the stream that served it has ended"


class Answer(enum.Enum):
    SAME = "SAME"
    NEVER = "NEVER"


SAME, NEVER = Answer.SAME, Answer.NEVER

TRANSITIONS: Final[Mapping[State, Mapping[Event, State | Answer]]] = {
    pb.STARTING: {
        Event.BEGAN: pb.RUNNING,
        Event.MET_DDL: NEVER,
        Event.PASSED_DDL: NEVER,
        Event.FAILED: pb.RETRYING,
        Event.RECOVERED: SAME,
        Event.BROKE: pb.BROKEN,
        Event.DROPPED: NEVER,
        Event.STREAM_ENDED: pb.STARTING,
    },
    pb.RUNNING: {
        Event.BEGAN: pb.RUNNING,
        Event.MET_DDL: pb.BLOCKED,
        Event.PASSED_DDL: NEVER,
        Event.FAILED: pb.RETRYING,
        Event.RECOVERED: SAME,
        Event.BROKE: pb.BROKEN,
        Event.DROPPED: NEVER,
        Event.STREAM_ENDED: pb.STARTING,
    },
    pb.BLOCKED: {
        Event.BEGAN: pb.RUNNING,
        Event.MET_DDL: pb.BLOCKED,  # its lane had failed: it waits at the same statement as before
        Event.PASSED_DDL: pb.RUNNING,
        Event.FAILED: pb.RETRYING,
        Event.RECOVERED: SAME,
        Event.BROKE: pb.BROKEN,
        Event.DROPPED: pb.ENDED,
        Event.STREAM_ENDED: pb.STARTING,
    },
    pb.RETRYING: {
        Event.BEGAN: pb.RUNNING,
        Event.MET_DDL: pb.BLOCKED,
        Event.PASSED_DDL: NEVER,
        Event.FAILED: pb.RETRYING,
        Event.RECOVERED: pb.RUNNING,
        Event.BROKE: pb.BROKEN,
        Event.DROPPED: NEVER,
        Event.STREAM_ENDED: pb.STARTING,
    },
    pb.BROKEN: dict.fromkeys(Event, SAME),
    pb.ENDED: dict.fromkeys(Event, SAME),
}


@dataclass(frozen=True, slots=True)
class Placement:
    """One dispatcher here: its key, the generation of this placement within its owner's epoch, its lane number."""

    dispatcher: str
    generation: int
    lane: int = 0


def by_lane(placements: Iterable[Placement], lanes: int) -> dict[int, dict[str, int]]:
    """The generations of the dispatchers of each lane, where there are so many lanes."""
    found: dict[int, dict[str, int]] = {}
    for placement in placements:
        found.setdefault(actual_lane(placement.lane, lanes), {})[placement.dispatcher] = placement.generation
    return found


@dataclass(frozen=True, slots=True)
class TableProgress:
    """`position`: everything before it is durable in the sink; None until the progress row was claimed. `executed`: the
    schema dispatcher's position when it last executed a DDL, or claimed. `blocked`: the DDL that it waits at. `error`
    since `error_at`, in seconds since 1970. The counts are of what was applied since the dispatcher came here."""

    placement: Placement
    state: State = pb.STARTING
    position: Position | None = None
    executed: Position | None = None
    blocked: pb.Ddl | None = None
    error: HedgerowError | None = None
    error_at: float = 0.0
    rows_events: int = 0
    transactions: int = 0

    def after(
        self,
        event: Event,
        *,
        ddl: pb.Ddl | None = None,
        error: HedgerowError | None = None,
        at: float = 0.0,
        position: Position | None = None,
    ) -> TableProgress:
        """`ddl`: of MET_DDL. `error`: of FAILED and BROKE, met `at`. `position`: of DROPPED."""
        state = TRANSITIONS[self.state][event]
        if state is NEVER:
            raise ValueError(f"{self.placement.dispatcher} is {pb.DispatcherState.Name(self.state)}: no {event.name}")
        if isinstance(state, Answer):
            return self
        if state == pb.BLOCKED:
            return replace(self, state=state, blocked=ddl)
        if error is not None:
            since = self.error_at if self.error is not None and self.state == state else at
            return replace(self, state=state, blocked=None, error=error, error_at=since)
        position = self.position if position is None else position
        return replace(self, state=state, blocked=None, error=None, position=position)

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    def write(self, node: str, epoch: int) -> pb.DispatcherStatus:
        return pb.DispatcherStatus(
            dispatcher=self.placement.dispatcher,
            epoch=epoch,
            generation=self.placement.generation,
            state=self.state,
            position=self.position.write() if self.position is not None else None,
            blocked=self.blocked,
            error=self._report_error(node),
            rows_events=self.rows_events,
            transactions=self.transactions,
            node=node,
            lane=self.placement.lane,
            executed=self.executed.write() if self.executed is not None else None,
        )

    def _report_error(self, node: str) -> pb.ChangefeedError | None:
        """It tells where the dispatcher is, for when nobody reports that any more."""
        if self.error is None:
            return None
        error = report_error(self.error, node, dispatcher=self.placement.dispatcher, at=self.error_at)
        if self.position is not None:
            error.position.CopyFrom(self.position.write())
        return error


@dataclass(frozen=True, slots=True)
class Report:
    """What a stream tells its manager, whole: a later one makes an earlier one useless. `rows`: changed in the sink
    since the stream began."""

    tables: tuple[TableProgress, ...]
    rows: int = 0
