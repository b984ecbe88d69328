"""What a sink in memory keeps: fence, progress, rows and DDL, by the rules that every kind of sink keeps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from hedgerow.common.binlog import events as e
from hedgerow.common.binlog.position import Position
from hedgerow.common.binlog.table_map import table_name
from hedgerow.common.ddlscope import ddl_id, touched
from hedgerow.common.errors import Fenced, HedgerowError
from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.common.mysql.names import TableName
from hedgerow.dispatcher.sink.api import (
    Batch,
    Decided,
    Incarnation,
    Item,
    NotFlushed,
    Prepared,
    Rows,
    SchemaChange,
)

Row = tuple[str, bytes]  # dispatcher, and the rows event after its flags
FORMAT = bytes(e.HEADER)


@dataclass
class Progress:
    incarnation: Incarnation
    position: Position
    claimant: object = None  # the lane


@dataclass
class MemoryServer:
    """`rows`: in the order in which they became visible; `statements`: DDL that was executed."""

    fence: int = 0
    progress: dict[str, Progress] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    stored: dict[str, dict[str, list[bytes]]] = field(default_factory=dict)  # by xid and dispatcher
    tables: set[str] = field(default_factory=set)
    statements: list[str] = field(default_factory=list)
    commits: int = 0
    lost_answers: list[HedgerowError] = field(default_factory=list)  # of commits to come

    def __post_init__(self) -> None:
        self.changed = threading.Condition()
        self._held = False
        self._done: set[object] = set()

    def add(self, position: Position, *keys: str) -> None:
        with self.changed:
            for key in keys:
                self.progress.setdefault(key, Progress((0, 0), position))

    def of(self, key: str) -> list[bytes]:
        with self.changed:
            return [row for dispatcher, row in self.rows if dispatcher == key]

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Nothing is committed meanwhile."""
        self._hold(True)
        try:
            yield
        finally:
            self._hold(False)

    def _hold(self, held: bool) -> None:
        with self.changed:
            self._held = held
            self.changed.notify_all()

    # Inside `changed`.

    def check_fence(self, epoch: int) -> None:
        if not self.fence or self.fence > epoch:
            raise Fenced(f"the fence is at epoch {self.fence}, this writer at {epoch}", self.fence)

    def claim(self, claimant: object, epoch: int, generations: Mapping[str, int]) -> dict[str, Position]:
        self.check_fence(epoch)
        for key, generation in generations.items():
            row = self.progress.get(key)
            if row is None or row.incarnation > (epoch, generation):
                raise Fenced(f"{key} is {row}, this writer is at epoch {epoch} generation {generation}")
        for key, generation in generations.items():
            self.progress[key] = Progress((epoch, generation), self.progress[key].position, claimant)
        return {key: self.progress[key].position for key in generations}

    def commit(self, claimant: object, epoch: int, batch: Batch, items: list[Item], keys: Collection[str]) -> None:
        self.check_fence(epoch)
        for key in keys:
            row = self.progress.get(key)
            if row is None or row.claimant is not claimant:
                raise Fenced(f"another has claimed {key}")
        for item in items:
            self._apply(item)
        for key in keys:
            row = self.progress[key]
            position = batch.progress.get(key, row.position)
            self.progress[key] = Progress((epoch, row.incarnation[1]), position, claimant)
        self.commits += 1
        self.changed.notify_all()
        if self.lost_answers:
            raise self.lost_answers.pop()

    def _apply(self, item: Item) -> None:
        if isinstance(item, Rows):
            self.rows += rows_of(item.events)
        elif isinstance(item, Prepared):
            kept = self.stored.setdefault(item.xid, {}).setdefault(item.dispatcher, [])
            assert item.number > 0
            kept.append(bytes(item.events))
        elif isinstance(item, Decided):
            found = self.stored.get(item.xid, {})
            for key in sorted(item.dispatchers & found.keys()):
                for events in found.pop(key):
                    self.rows += rows_of(events) if item.commit else []
            if not found:
                self.stored.pop(item.xid, None)

    def execute(self, epoch: int, generation: int, change: SchemaChange, flushed: Mapping[str, int]) -> None:
        self.check_fence(epoch)
        row = self.progress.get(SCHEMA_DISPATCHER)
        if row is None or row.incarnation != (epoch, generation):
            raise Fenced(f"the schema dispatcher is {row}")
        if (identity := ddl_id(change.ddl)) in self._done:
            return
        known = {key: one.incarnation[1] for key, one in self.progress.items() if key != SCHEMA_DISPATCHER}
        if {key: known[key] for key in touched(change.ddl, known)} != flushed:
            raise NotFlushed(str(known))
        self._done.add(identity)
        if not change.executed:
            self.statements.append(change.raw.decode())
        for name in change.ddl.drops:
            self.progress.pop(TableName.read(name).key, None)
            self.tables.discard(TableName.read(name).key)
        for name in change.ddl.creates:
            self.progress.setdefault(TableName.read(name).key, Progress((epoch, 0), change.begin))
            self.tables.add(TableName.read(name).key)
        row.position = change.position
        self.changed.notify_all()

    def wait_until_free(self, stopped: Callable[[], bool]) -> None:
        self.changed.wait_for(lambda: not self._held or stopped())


def rows_of(events: bytes | bytearray) -> list[Row]:
    found: list[Row] = []
    maps: dict[bytes, str] = {}
    while events:
        size = int.from_bytes(events[e.SIZE_AT : e.SIZE_AT + 4], "little")
        event, events = bytes(events[:size]), events[size:]
        if event[e.TYPE_AT] == e.TABLE_MAP:
            maps[event[e.TABLE_ID]] = table_name(event).key
        else:
            found.append((maps[event[e.TABLE_ID]], event[e.TABLE_BODY_AT :]))
    return found
