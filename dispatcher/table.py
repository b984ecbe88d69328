"""One dispatcher, one table: which incarnation of it runs here, and how it is told about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import HedgerowError
from hedgerow.common.options import actual_lane
from hedgerow.common.pb.v1 import model_pb2 as pb


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
class DispatcherReport:
    """One dispatcher of a stream. Counters count from the stream's start. `executed`: the schema dispatcher's position
    when it last executed a DDL, or claimed."""

    placement: Placement
    state: pb.DispatcherState
    position: Position | None = None
    blocked: pb.Ddl | None = None
    error: HedgerowError | None = None
    error_at: float = 0.0
    rows_events: int = 0
    transactions: int = 0
    executed: Position | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a stream tells its manager, whole: a later one makes an earlier one useless. `rows`: changed in the sink
    since the stream began."""

    dispatchers: tuple[DispatcherReport, ...]
    rows: int = 0
