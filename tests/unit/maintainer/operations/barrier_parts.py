"""Source, sink, dispatchers and nodes of the model of the DDL barrier (barrier_world.py)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hedgerow.common.ledger.progress import ProgressRow
from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.common.ledger.sessions import SessionRecord
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.fleet import Orders
from hedgerow.maintainer.operations.api import DecideBarrier
from hedgerow.maintainer.store import SinkView
from tests.unit.maintainer.builders import at


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in the source's binlog. `rows` names the table that it has rows of; else it is a DDL."""

    offset: int
    rows: str = ""
    ddl: pb.Ddl = field(default_factory=pb.Ddl)
    ties: tuple[tuple[str, str], ...] = ()  # foreign keys that it adds
    rows_follow: bool = False


class Sink:
    def __init__(self, keys: list[str]) -> None:
        self.fence = 0
        self.rows = {key: ProgressRow(key, 0, 0, at(0), SessionRecord(0, "")) for key in [*keys, SCHEMA_DISPATCHER]}
        self.edges: set[tuple[str, str]] = set()
        self.applied: set[int] = set()  # offsets of rows
        self.executed: list[int] = []  # offsets of DDL
        self.started: int | None = None  # the DDL that is under way, or was when its node died
        self.sessions = 0

    def view(self) -> SinkView:
        return SinkView(tuple(self.rows.values()), tuple(sorted(self.edges)))

    def claim(self, key: str, epoch: int, generation: int) -> ProgressRow | None:
        row = self.rows.get(key)
        if epoch < self.fence or row is None or (row.epoch, row.generation) > (epoch, generation):
            return None
        self.sessions += 1
        session = SessionRecord(self.sessions, "")
        self.rows[key] = replace(row, epoch=epoch, generation=generation, session=session)
        return self.rows[key]

    def move(self, key: str, epoch: int, session: SessionRecord, offset: int) -> bool:
        """A lane's transaction: False where the writer is fenced."""
        row = self.rows.get(key)
        if epoch < self.fence or row is None or row.session != session:
            return False
        self.rows[key] = replace(row, epoch=epoch, position=at(max(offset, row.position.offset)))
        return True


@dataclass(slots=True)
class Dispatcher:
    key: str
    generation: int
    lane: int
    state: pb.DispatcherState = pb.STARTING
    session: SessionRecord = field(default_factory=lambda: SessionRecord(0, ""))
    position: int | None = None
    read: int = 0
    blocked: Entry | None = None
    executed: int | None = None
    executing: bool = False

    def status(self, epoch: int) -> pb.DispatcherStatus:
        found = pb.DispatcherStatus(
            dispatcher=self.key, epoch=epoch, generation=self.generation, state=self.state, lane=self.lane
        )
        if self.position is not None:
            found.position.CopyFrom(at(self.position).write())
        if self.state == pb.BLOCKED and self.blocked is not None:
            found.blocked.CopyFrom(self.blocked.ddl)
        if self.executed is not None:
            found.executed.CopyFrom(at(self.executed).write())
        if self.state == pb.BROKEN:
            found.error.CopyFrom(pb.ChangefeedError(code="Fenced", message="fenced"))
        return found


class Node:
    def __init__(self) -> None:
        self.epoch = 0
        self.reachable = True
        self.dispatchers: dict[str, Dispatcher] = {}
        self.inbox: list[tuple[int, Orders | DecideBarrier]] = []  # with the epoch of who sent it
        self.beat: tuple[list[pb.DispatcherStatus], int] | None = None

    def statuses(self) -> list[pb.DispatcherStatus]:
        return [one.status(self.epoch) for one in self.dispatchers.values()]
