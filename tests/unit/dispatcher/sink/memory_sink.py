"""A sink in memory: the same fence, progress and ledger as a server's, no server. What survives: memory_server.py."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import HedgerowError
from hedgerow.common.mysql.names import TableName
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.sink.api import (
    Answer,
    Applied,
    Batch,
    Decided,
    Fate,
    Incarnation,
    Item,
    LaneStopped,
    Marker,
    Prepared,
    Rows,
    SchemaChange,
)
from hedgerow.dispatcher.sink.token import CurrentToken
from tests.unit.dispatcher.sink.memory_server import FORMAT, MemoryServer, Progress


class MemoryCollector:
    """Rows event by rows event, nothing is put together."""

    def __init__(self) -> None:
        self._description = FORMAT
        self._xid, self._number = "", 0
        self._open: set[str] = set()
        self._parted: set[str] = set()
        self._reset()

    def _reset(self) -> None:
        self.transactions = self.rows_events = self.bytes = self._whole = 0
        self._items: list[Item] = []
        self._ended: set[str] = set()
        self._position: Position | None = None

    @property
    def empty(self) -> bool:
        return not self._items and not self._ended

    @property
    def open_bytes(self) -> int:
        return self.bytes - self._whole

    def describe(self, format_description: bytes) -> None:
        assert self.empty
        self._description = format_description

    def add(self, dispatcher: str, table_map: bytes, rows_event: bytes) -> None:
        events = bytearray(table_map + rows_event)
        self._number += 1
        self._items.append(Prepared(self._xid, dispatcher, self._number, events) if self._xid else Rows(events))
        self._open.add(dispatcher)
        self.rows_events += 1
        self.bytes += len(rows_event)

    def prepare(self, xid: str) -> None:
        self._xid, self._number = xid, 0

    def decide(self, xid: str, dispatchers: Collection[str], *, commit: bool) -> None:
        self._xid = ""
        self._items.append(Decided(xid, commit, frozenset(dispatchers)))
        self._open.update(dispatchers)

    def end_transaction(self, position: Position, gtid: bytes = b"", file: str = "") -> None:
        self._xid = ""
        self.transactions += 1
        self._whole = self.bytes
        self._ended |= self._open | self._parted
        self._open, self._parted = set(), set()
        self._position = position

    def advance(self, dispatchers: Collection[str], position: Position) -> None:
        self._ended.update(dispatchers)
        self._position = position

    def mark(self, marker: Marker) -> None:
        self._items.append(marker)

    def take(self, final: bool = True) -> Batch:
        assert not (final and self._open)
        progress = {} if self._position is None else dict.fromkeys(sorted(self._ended), self._position)
        touches = frozenset(self._ended | self._open)
        names = frozenset(TableName(*key.split(".", 1)) for key in touches if "." in key)
        batch = Batch(
            self._description,
            tuple(self._items),
            progress,
            touches,
            names,
            self.transactions,
            self.rows_events,
            self.bytes,
            final=final,
        )
        if not final:
            self._parted |= self._open
        self._open = set()
        self._reset()
        return batch


class Told:
    def __init__(self, answer: Answer) -> None:
        self.answer: Answer | None = answer


class MemoryLane:
    """A thread that applies what it is handed, as a server's lane does."""

    def __init__(self, server: MemoryServer, token: CurrentToken, number: int, done: Callable[[], None]) -> None:
        self._server, self._token, self._on_done = server, token, done
        self._slot: deque[Batch] = deque()
        self._busy = self._stopped = self._cancelled = False
        self._error: HedgerowError | None = None
        self._applied = Applied()
        self._items: list[Item] = []  # of the parts before the final one
        self._touched: set[str] = set()
        self._thread = threading.Thread(target=self._run, name=f"memory-lane-{number}", daemon=True)
        self._thread.start()

    def claim(self, generations: Mapping[str, int]) -> dict[str, Position]:
        with self._server.changed:
            self._check()
            try:
                positions = self._server.claim(self, self._token().epoch, generations)
            except HedgerowError as error:
                self._error = error
                self._server.changed.notify_all()
                raise
        self._on_done()
        return positions

    def collector(self) -> MemoryCollector:
        return MemoryCollector()

    def submit(self, batch: Batch) -> None:
        with self._server.changed:
            self._server.changed.wait_for(lambda: not self._slot or self._has_ended)
            self._check()
            self._slot.append(batch)
            self._server.changed.notify_all()

    @property
    def applied(self) -> Applied:
        return self._applied

    @property
    def error(self) -> HedgerowError | None:
        return self._error

    def inquire(self, done: Callable[[], None]) -> Told:
        told = Told(Answer(Fate.THERE, "It is in memory"))
        done()
        return told

    def give_up(self, error: HedgerowError) -> None:
        with self._server.changed:
            self._error = self._error or error
            self._server.changed.notify_all()

    def cancel(self) -> None:
        with self._server.changed:
            self._stopped = self._cancelled = True
            self._server.changed.notify_all()

    def stop(self) -> None:
        self.cancel()
        self._thread.join()

    @property
    def _has_ended(self) -> bool:
        return self._stopped or self._error is not None

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._stopped:
            raise LaneStopped

    def _run(self) -> None:
        server = self._server
        while True:
            with server.changed:
                server.changed.wait_for(lambda: self._slot or self._has_ended)
                if self._has_ended:
                    return
                batch = self._slot.popleft()
                server.changed.notify_all()
                server.wait_until_free(lambda: self._has_ended)
                if self._has_ended:
                    return
                try:
                    self._take(batch)
                except HedgerowError as error:
                    self._error = error
                    self._applied = replace(self._applied, refused=self._applied.refused + 1)
                    server.changed.notify_all()
            self._on_done()

    def _take(self, batch: Batch) -> None:
        self._items += batch.items
        self._touched |= batch.touched | batch.progress.keys()
        if not batch.final:
            return
        items, keys = self._items, self._touched
        self._items, self._touched = [], set()
        if batch.writes or keys:
            self._server.commit(self, self._token().epoch, batch, items, keys)
        done = self._applied
        marker = next((item for item in reversed(items) if isinstance(item, Marker)), done.marker)
        self._applied = replace(
            done,
            batches=done.batches + 1,
            transactions=done.transactions + batch.transactions,
            rows_events=done.rows_events + batch.rows_events,
            rows=done.rows + batch.rows_events,
            bytes=done.bytes + batch.bytes,
            positions={**done.positions, **batch.progress},
            marker=marker,
        )


class MemoryLedger:
    def __init__(self, server: MemoryServer) -> None:
        self._server = server

    def fence(self) -> int:
        return self._server.fence

    def incarnations(self) -> dict[str, Incarnation]:
        with self._server.changed:
            return {key: row.incarnation for key, row in self._server.progress.items()}

    def prepared(self) -> dict[str, set[str]]:
        with self._server.changed:
            return {xid: set(kept) for xid, kept in self._server.stored.items()}

    def enlist(self, dispatcher: str, epoch: int, begins: Position) -> None:
        with self._server.changed:
            self._server.check_fence(epoch)
            self._server.progress.setdefault(dispatcher, Progress((epoch, 0), begins))


class MemorySink:
    address = "memory"

    def __init__(self, server: MemoryServer, token: CurrentToken) -> None:
        self._server, self._token = server, token
        self.ledger = MemoryLedger(server)
        self._lanes: list[MemoryLane] = []
        self.is_cut = False

    def open_lane(self, number: int, done: Callable[[], None]) -> MemoryLane:
        lane = MemoryLane(self._server, self._token, number, done)
        self._lanes.append(lane)
        if self.is_cut:
            lane.cancel()
        return lane

    def read_tables(self, served: Collection[str], ddl: pb.Ddl | None = None) -> None:
        pass

    def look_again(self, position: Position, now: float) -> None:
        pass

    def has_table(self, table: TableName) -> bool:
        return table.key in self._server.tables

    def unlisted(self) -> list[TableName]:
        missing = self._server.tables - self._server.progress.keys()
        return [TableName(*key.split(".", 1)) for key in sorted(missing)]

    def execute(self, change: SchemaChange, generation: int, flushed: Mapping[str, int]) -> None:
        with self._server.changed:
            self._server.execute(self._token().epoch, generation, change, flushed)

    def cut(self) -> None:
        self.is_cut = True
        for lane in list(self._lanes):
            lane.cancel()

    def close(self) -> None:
        pass
