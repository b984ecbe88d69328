"""The DDL barrier: when the schema dispatcher may execute a statement, and when the others may go on after it.

All streams meet the same DDL at the same position K (docs/architecture.md, "The DDL barrier"). The decisions follow
from statuses and the sink alone, so a new maintainer comes to the same ones:

- WRITE to the schema dispatcher, when every dispatcher that the DDL touches is blocked at K or past it;
- PASS to a dispatcher blocked at K, when the schema dispatcher's progress row has reached K.

Both need the list of dispatchers as every earlier DDL has left it. A PASS goes by the row, not by the heartbeat: the
row and the list come from one reading of the sink. A WRITE goes by a reading that began when the schema dispatcher had
executed all that it has executed now (maintainer/readings.py); and it says which incarnations it counts on, so that the
sink refuses it where the list has changed since in any other way (`flushed`; dispatcher/sink/ddl/execute.py).
Every dispatcher meets barriers in binlog order, so the least open barrier can always be reached by all. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from hedgerow.common.binlog.position import Position, has_reached
from hedgerow.common.ddlscope import DdlId, ddl_id, touched
from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.operations.api import Command, DecideBarrier, Placed, ReadSink, View

# node, its session, the DDL, the action, and the incarnations that a WRITE counts on
SentTo: TypeAlias = tuple[str, int, DdlId, int, tuple[tuple[str, int], ...]]
SentTimes: TypeAlias = dict[tuple[str, int, int], float]  # by dispatcher, epoch and generation


class DdlBarrier:
    """An Operation. It remembers which decisions were sent and when, so that one is repeated only where it had no
    effect for `repeat_seconds`."""

    def __init__(self, repeat_seconds: float) -> None:
        self._repeat_seconds = repeat_seconds
        self._sent: dict[SentTo, SentTimes] = {}

    def step(self, view: View, now: float) -> Sequence[Command]:
        former, self._sent = self._sent, {}
        commands: list[Command] = []
        for decision in decide(view):
            if decision.node not in view.sessions:
                continue
            sent_to = _sent_to(decision, view)
            times, due = self._due(decision, view.placed, former.get(sent_to, {}), now)
            self._sent[sent_to] = times
            if due:
                commands.append(replace(decision, dispatchers=tuple(due)))
            if due and sent_to in former and decision.action == dispatch_pb2.WRITE:
                commands.append(ReadSink())  # the sink may have refused it
        return commands

    def _due(
        self, decision: DecideBarrier, placed: Placed, former: SentTimes, now: float
    ) -> tuple[SentTimes, list[str]]:
        """When the decision was last sent to each of its dispatchers, and those that it is to be sent to now."""
        times: SentTimes = {}
        due: list[str] = []
        for key in decision.dispatchers:
            status = placed[key][1]
            incarnation = (key, status.epoch, status.generation)
            at = former.get(incarnation)
            if at is None or now - at >= self._repeat_seconds:
                due.append(key)
                at = now
            times[incarnation] = at
        return times, due


def _sent_to(decision: DecideBarrier, view: View) -> SentTo:
    session = view.sessions[decision.node]
    return decision.node, session, ddl_id(decision.ddl), int(decision.action), tuple(decision.flushed.items())


def decide(view: View) -> Sequence[DecideBarrier]:
    """Who is to WRITE and who may PASS now."""
    return [*_passes(view), *_write(view)]


def _passes(view: View) -> Iterable[DecideBarrier]:
    """A PASS waits for tables that the DDL has tied together to be moved."""
    passes: dict[tuple[str, DdlId], tuple[pb.Ddl, list[str]]] = {}
    for key in sorted(view.blocked & view.dispatchers):
        if key == SCHEMA_DISPATCHER or (ddl := _blocked(key, view.placed)) is None:
            continue
        if is_past(view.schema_row, ddl, view.flavour) and view.is_settled(key):
            passes.setdefault((view.placed[key][0], ddl_id(ddl)), (ddl, []))[1].append(key)
    for node, ddl_of in sorted(passes):
        ddl, keys = passes[node, ddl_of]
        yield DecideBarrier(node, ddl, dispatch_pb2.PASS, tuple(keys))


def _write(view: View) -> Iterable[DecideBarrier]:
    ddl = _blocked(SCHEMA_DISPATCHER, view.placed) if view.list_is_latest else None
    if ddl is None:
        return
    keys = touched(ddl, view.dispatchers)
    if all(_waits_at(key, ddl, view.placed, view.flavour) for key in keys):
        flushed = {key: view.placed[key][1].generation for key in sorted(keys)}
        yield DecideBarrier(view.placed[SCHEMA_DISPATCHER][0], ddl, dispatch_pb2.WRITE, (SCHEMA_DISPATCHER,), flushed)


def is_past(position: Position, ddl: pb.Ddl, flavour: Flavour) -> bool:
    """Whether `position` has reached K. Raises HistoryDiverged where they cannot be compared."""
    at = ddl.position
    return has_reached(position, gtid=ddl.gtid, file=at.file, offset=at.offset, source_id=at.source_id, flavour=flavour)


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
