"""The DDL barrier: when the schema dispatcher may execute a statement, and when the others may go on after it.

All streams meet the same DDL at the same position K (docs/architecture.md, "The DDL barrier"). The decisions follow
from statuses and the sink alone, so a new maintainer comes to the same ones:

- WRITE to the schema dispatcher, when every dispatcher that the DDL touches is blocked at K or past it;
- PASS to a dispatcher blocked at K, when the schema dispatcher's progress row has reached K.

Both need the list of dispatchers as every earlier DDL has left it. A PASS goes by the row, not by the heartbeat: the
row and the list come from one reading of the sink. A WRITE goes by a reading that began when the schema dispatcher had
executed all that it has executed now (`ListVersion`); and it says which incarnations it counts on, so that the sink
refuses it where the list has changed since in any other way (`flushed`; dispatcher/sink/ddl/execute.py).
Every dispatcher meets barriers in binlog order, so the least open barrier can always be reached by all. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from hedgerow.common.binlog.position import Position, has_reached
from hedgerow.common.ddlscope import DdlId, ddl_id, touched
from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb

Placed = Mapping[str, tuple[str, pb.DispatcherStatus]]  # dispatcher -> (node, status)


@dataclass(frozen=True, slots=True)
class Barrier:
    """One decision for dispatchers on one node that are blocked at one DDL."""

    node: str
    ddl: pb.Ddl
    action: dispatch_pb2.BarrierAction
    dispatchers: tuple[str, ...]
    flushed: Mapping[str, int] = field(default_factory=dict)  # of a WRITE: the generations that wait for it
    again: bool = False  # it was sent before, and had no effect for a while


ListVersion = tuple[int, str, str, str, int]


def list_version(status: pb.DispatcherStatus) -> ListVersion:
    """By the schema dispatcher's status: what changes when a DDL may have changed the list of dispatchers in the sink.
    (A node of an earlier version tells its position alone, which changes more often.)"""
    at = status.executed if status.HasField("executed") else status.position
    return status.generation, at.gtid_set, at.source_id, at.file, at.offset


def is_past(position: Position, ddl: pb.Ddl, flavour: Flavour) -> bool:
    """Whether `position` has reached K. Raises HistoryDiverged where they cannot be compared."""
    at = ddl.position
    return has_reached(position, gtid=ddl.gtid, file=at.file, offset=at.offset, source_id=at.source_id, flavour=flavour)


def decide(
    waiting: Collection[str],
    dispatchers: Collection[str],
    placed: Placed,
    schema_row: Position,
    flavour: Flavour,
    is_settled: Callable[[str], bool],
    *,
    may_write: bool,
) -> list[Barrier]:
    """Who is to WRITE and who may PASS now. Level-triggered: the same statuses give the same decisions again.

    `waiting` are blocked; `dispatchers` are all that are replicated; `schema_row` is the schema dispatcher's progress
    row; `is_settled` tells whether a dispatcher's unit is in one place (a PASS waits for tables that the DDL has tied
    together to be moved); `may_write`: the list of dispatchers is as the schema dispatcher has left it.
    """
    passes: dict[tuple[str, DdlId], tuple[pb.Ddl, list[str]]] = {}
    for key in sorted(waiting):
        if key == SCHEMA_DISPATCHER or (ddl := _blocked(key, placed)) is None:
            continue
        if is_past(schema_row, ddl, flavour) and is_settled(key):
            passes.setdefault((placed[key][0], ddl_id(ddl)), (ddl, []))[1].append(key)
    decisions = [
        Barrier(node, ddl, dispatch_pb2.PASS, tuple(keys)) for (node, _), (ddl, keys) in sorted(passes.items(), key=_by)
    ]
    ddl = _blocked(SCHEMA_DISPATCHER, placed) if may_write else None
    if ddl is not None:
        keys = touched(ddl, dispatchers)
        if all(_waits_at(key, ddl, placed, flavour) for key in keys):
            flushed = {key: placed[key][1].generation for key in sorted(keys)}
            node = placed[SCHEMA_DISPATCHER][0]
            decisions.append(Barrier(node, ddl, dispatch_pb2.WRITE, (SCHEMA_DISPATCHER,), flushed))
    return decisions


def _by(item: tuple[tuple[str, DdlId], object]) -> tuple[str, DdlId]:
    return item[0]


def _blocked(key: str, placed: Placed) -> pb.Ddl | None:
    if key not in placed:
        return None
    status = placed[key][1]
    return status.blocked if status.state == pb.BLOCKED and status.HasField("blocked") else None


def _waits_at(key: str, ddl: pb.Ddl, placed: Placed, flavour: Flavour) -> bool:
    if key not in placed:
        return False
    blocked = _blocked(key, placed)
    if blocked is not None and ddl_id(blocked) == ddl_id(ddl):
        return True
    status = placed[key][1]
    return status.HasField("position") and is_past(Position.read(status.position), ddl, flavour)


Sent = tuple[str, DdlId, int, tuple[tuple[str, int], ...]]


@dataclass(slots=True)
class SentBarriers:
    """Which decisions were sent and when, so that one is repeated only where it had no effect for a while."""

    repeat_seconds: float
    _sent: dict[Sent, dict[tuple[str, int, int], float]] = field(default_factory=dict)

    def due(self, decisions: Iterable[Barrier], placed: Placed, now: float) -> list[Barrier]:
        """Those that are to be sent at `now` (seconds), with the dispatchers that have not had them."""
        kept: dict[Sent, dict[tuple[str, int, int], float]] = {}
        due: list[Barrier] = []
        for barrier in decisions:
            index = (barrier.node, ddl_id(barrier.ddl), int(barrier.action), tuple(barrier.flushed.items()))
            former = self._sent.get(index, {})
            times = kept.setdefault(index, {})
            fresh: list[str] = []
            for key in barrier.dispatchers:
                status = placed[key][1]
                incarnation = (key, status.epoch, status.generation)
                at = former.get(incarnation)
                if at is None or now - at >= self.repeat_seconds:
                    fresh.append(key)
                    at = now
                times[incarnation] = at
            if fresh:
                due.append(replace(barrier, dispatchers=tuple(fresh), again=bool(former)))
        self._sent = kept
        return due

    def forget(self, node: str) -> None:
        """What was sent there may be lost."""
        self._sent = {index: times for index, times in self._sent.items() if index[0] != node}
