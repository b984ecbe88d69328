"""Turns the rows events of many source transactions into few BINLOG statements of one sink transaction. Pure.

What a server does with a BINLOG statement decides the rules (found by trying, on MySQL and MariaDB):

- it opens its tables at the first rows event: a table map that comes later is accepted and its rows are dropped without
  an error. So all table maps come first, each once, then the rows events in the order of the source;
- at STMT_END_F it closes the tables and forgets the maps. So the flag is cleared on all rows events but the last;
- it takes the other flags (foreign key and unique checks) from the statement's first rows event. So a statement ends
  where the other flags change;
- tables tied by foreign keys: what is opened for cascades depends on the kind of the first rows event, and MariaDB
  crashes when it cascades into a table with an indexed virtual column that the statement has open itself. So a
  statement with a tied table has that table only, and one kind of rows event;
- MySQL 9.6 and later log the effects of cascades as rows events of their own and say so with a flag. A server that
  cascades again does too much (REPLACE of a parent does not cascade in the source but does in a replica, found on 9.7).
  So such events are applied with foreign key checks off: everything they imply follows as events;
- table ids name a table only until the source reopens it. So a statement ends where an id is mapped to something else,
  or a table to another id.

Rows of an XA transaction are not applied but stored, one statement for each run of rows events of one table: they are
applied at its XA COMMIT, whichever lanes the tables are in then.

A Batch holds a contiguous run of the source's transactions for the dispatchers of one lane, with the position that
covers it. Event layout: MySQL internals, "Binary Log", classes Table_map_event and Rows_event; MariaDB, "Table_map" and
"Rows_event_v1". Events have no checksum here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from hedgerow.common.binlog.events import (
    HEADER,
    NO_FOREIGN_KEY_CHECKS_F,
    ROWS_FLAGS_AT,
    ROWS_KINDS,
    ROWS_V2,
    STMT_END_F,
    TABLE_BODY_AT,
    TABLE_ID,
    TYPE_AT,
    USE_SQL_FOREIGN_KEY_F,
    WRITE,
    WRITE_ROWS_V1,
)
from hedgerow.common.binlog.position import Position
from hedgerow.common.binlog.rows_header import read_rows_header
from hedgerow.common.binlog.table_map import table_name
from hedgerow.common.errors import SinkRefused
from hedgerow.common.mysql.names import TableName
from hedgerow.dispatcher.sink.api import Batch, Decided, End, Item, Marker, Prepared, Rows

# Bytes of events in one statement. 4 MiB took MariaDB 49 ms in statements of this size, 61 in one, 84 in 64 KiB each.
_STATEMENT = 768 << 10
_SPARE = 64  # bytes of a packet that are not base64
_SPARE_STORED = 2048  # the same, where the statement stores events, in bytes of events

Check = Callable[[str, TableName, bytes], None]  # dispatcher, table, table map
CheckRows = Callable[[str, TableName, bytes], None]  # dispatcher, table, rows event


@dataclass(slots=True)
class _Mapped:
    """A table map of a statement. `checked`: of UPDATE and DELETE events which columns their rows before have, as bytes
    from TABLE_BODY_AT to `end`; `end` is 0 where nobody asks."""

    content: bytes
    end: int
    checked: set[bytes] = field(default_factory=set)


@dataclass(slots=True)
class _Statement:
    flags: int
    kind: str
    alone: bool  # has one table, and one kind of rows event
    dispatcher: str
    maps: dict[bytes, _Mapped] = field(default_factory=dict)  # by table id
    events: list[bytes] = field(default_factory=list)  # the table maps
    names: set[TableName] = field(default_factory=set)
    rows: list[bytes] = field(default_factory=list)
    flag_offsets: list[int] = field(default_factory=list)  # in the joined rows events
    rows_size: int = 0
    size: int = 0

    def joined(self) -> bytearray:
        joined = bytearray().join((*self.events, *self.rows))
        begin = len(joined) - self.rows_size
        low, high = self.flags & 0xFF, self.flags >> 8
        for offset in self.flag_offsets:
            joined[begin + offset] = low
            joined[begin + offset + 1] = high
        joined[begin + self.flag_offsets[-1]] |= STMT_END_F
        return joined


class Coalescer:
    """Collects for one lane. `max_allowed_packet` is the sink's, in bytes.

    `tied`: keys of dispatchers whose tables are tied to others by foreign keys. `check` is asked, once for each table
    map of a statement, whether the sink's table can take the rows; `check_rows`, once more for each set of columns that
    UPDATE and DELETE events have of the rows before, whether the sink finds them. Both raise SinkRefused.
    """

    def __init__(
        self,
        max_allowed_packet: int,
        tied: Collection[str] = (),
        check: Check | None = None,
        check_rows: CheckRows | None = None,
    ) -> None:
        self._check = check
        self._check_rows = check_rows
        self._max_allowed_packet = max_allowed_packet
        self._limit = (max_allowed_packet - _SPARE) // 4 * 3
        self._target = min(self._limit, _STATEMENT)
        self._tied = frozenset(tied)
        self._format_description = b""
        self._xid = ""  # of the XA transaction whose rows come
        self._number = 0  # of its stored statements
        self._parted: set[str] = set()  # touched by parts of the transaction that were taken before its end
        self._reset()

    def _reset(self) -> None:
        self.transactions = 0
        self.rows_events = 0
        self.bytes = 0
        self._whole = 0  # bytes of whole source transactions
        self._statement: _Statement | None = None
        self._items: list[Item] = []
        self._open: set[str] = set()  # touched by the transaction that has not ended
        self._ended: set[str] = set()
        self._position: Position | None = None
        self._names: set[TableName] = set()
        self._ends: list[End] = []
        self._marked = False

    @property
    def open_bytes(self) -> int:
        """Of the source transaction that has not ended."""
        return self.bytes - self._whole

    @property
    def empty(self) -> bool:
        return not (self.rows_events or self._ended or self._marked)

    def describe(self, format_description: bytes) -> None:
        """The source's FORMAT_DESCRIPTION event, for what is added from now on; checksum off, created 0.

        Raises ValueError where it is a new one and something collected under the former was not taken.
        """
        if format_description[HEADER:] == self._format_description[HEADER:]:
            return
        if not self.empty:
            raise ValueError("take the batch before the format of events changes")
        self._format_description = bytes(format_description)

    def add(self, dispatcher: str, table_map: bytes, rows_event: bytes) -> None:
        """Append a rows event of the dispatcher's table, with the table map that was in force where the source had it.

        Raises SinkRefused where the event alone is larger than the sink takes.
        """
        statement, kind = self._statement, rows_event[TYPE_AT]
        flags = rows_event[ROWS_FLAGS_AT] & ~STMT_END_F | rows_event[ROWS_FLAGS_AT + 1] << 8
        if flags & USE_SQL_FOREIGN_KEY_F and kind in ROWS_V2:
            flags |= NO_FOREIGN_KEY_CHECKS_F
        size = len(rows_event)
        table_id = rows_event[TABLE_ID]
        if (
            statement is None
            or flags != statement.flags
            or statement.size + size > self._target
            or (statement.alone and ROWS_KINDS[kind] != statement.kind)
            or (mapped := statement.maps.get(table_id)) is None
            or mapped.content != table_map[HEADER:]
        ):
            statement, mapped = self._make_room(dispatcher, table_map, rows_event, table_id, flags)
        if kind != WRITE_ROWS_V1 and (end := mapped.end) and rows_event[TABLE_BODY_AT:end] not in mapped.checked:
            self._ask(dispatcher, table_map, rows_event, mapped)
        statement.flag_offsets.append(statement.rows_size + ROWS_FLAGS_AT)
        statement.rows.append(rows_event)
        statement.rows_size += size
        statement.size += size
        self.rows_events += 1
        self.bytes += size
        self._open.add(dispatcher)

    def prepare(self, xid: str) -> None:
        """The rows until the end of the source transaction are of this XA transaction: they are stored."""
        self._seal()
        self._xid, self._number = xid, 0

    def decide(self, xid: str, dispatchers: Collection[str], *, commit: bool) -> None:
        """What is stored of this XA transaction for these dispatchers is applied or dropped here."""
        self._seal()
        self._xid = ""
        self._items.append(Decided(xid, commit, frozenset(dispatchers)))
        self._names.update(TableName(*key.split(".", 1)) for key in dispatchers)
        self._open.update(dispatchers)

    def end_transaction(self, position: Position, gtid: bytes = b"", file: str = "") -> None:
        """The source transaction ends at `position`, and so does everything before it for this lane's dispatchers."""
        if self._xid:
            self._seal()
            self._xid = ""
        self.transactions += 1
        self._ends.append((self.rows_events, gtid, file))
        self._whole = self.bytes
        self._ended |= self._open | self._parted
        self._open.clear()
        self._parted.clear()
        self._position = position

    def advance(self, dispatchers: Iterable[str], position: Position) -> None:
        """Let dispatchers without rows reach `position`, the end of the last transaction that was read."""
        self._ended.update(dispatchers)
        self._position = position

    def mark(self, marker: Marker) -> None:
        """After everything that was collected so far."""
        self._seal()
        self._items.append(marker)
        self._marked = True

    def take(self, final: bool = True) -> Batch:
        """What was collected; afterwards the coalescer is empty.

        Not final: a part of a source transaction that goes on in the next batch. Raises ValueError for a final batch
        in the middle of a transaction.
        """
        if final and self._open:
            raise ValueError("a final batch ends where a transaction ends")
        self._seal()
        progress = {} if self._position is None else dict.fromkeys(sorted(self._ended), self._position)
        batch = Batch(
            format_description=self._format_description,
            items=tuple(self._items),
            progress=progress,
            touched=frozenset(self._ended | self._open),
            tables=frozenset(self._names),
            transactions=self.transactions,
            rows_events=self.rows_events,
            bytes=self.bytes,
            final=final,
            ends=tuple(self._ends),
        )
        if not final:
            self._parted |= self._open
        self._reset()
        return batch

    def _ask(self, dispatcher: str, table_map: bytes, rows_event: bytes, mapped: _Mapped) -> None:
        if self._check_rows is None or ROWS_KINDS[rows_event[TYPE_AT]] == WRITE:
            return
        self._check_rows(dispatcher, table_name(table_map), rows_event)
        mapped.checked.add(rows_event[TABLE_BODY_AT : mapped.end])

    def _make_room(
        self, dispatcher: str, table_map: bytes, rows_event: bytes, table_id: bytes, flags: int
    ) -> tuple[_Statement, _Mapped]:
        """A statement that has the table map and takes the rows event: the open one, or a new one."""
        name = table_name(table_map)
        need = len(table_map) + len(rows_event)
        if self._xid:
            need += _SPARE_STORED
        if need > self._limit:
            raise SinkRefused(
                f"a rows event of {len(rows_event)} bytes of table {name.key} does not fit into the sink's "
                f"max_allowed_packet of {self._max_allowed_packet} bytes (it needs {need * 4 // 3 + _SPARE}). "
                f"Raise it in the sink: SET GLOBAL max_allowed_packet = 1073741824 is the largest"
            )
        if self._check is not None:
            self._check(dispatcher, name, table_map)
        kind = ROWS_KINDS[rows_event[TYPE_AT]]
        end = 0 if self._check_rows is None else read_rows_header(rows_event).first_end
        mapped = _Mapped(bytes(table_map[HEADER:]), end)
        if end:
            self._ask(dispatcher, table_map, rows_event, mapped)
        alone = bool(self._xid) or (dispatcher in self._tied and not flags & NO_FOREIGN_KEY_CHECKS_F)
        statement = self._statement
        if (
            statement is None
            or flags != statement.flags
            or statement.size + need > self._target
            or alone
            or statement.alone
            or table_id in statement.maps
            or name in statement.names
        ):
            self._seal()
            statement = self._statement = _Statement(flags, kind, alone, dispatcher)
            statement.size = _SPARE_STORED if self._xid else 0
        statement.maps[table_id] = mapped
        statement.events.append(table_map)
        statement.names.add(name)
        statement.size += len(table_map)
        self._names.add(name)
        return statement, mapped

    def _seal(self) -> None:
        statement, self._statement = self._statement, None
        if statement is None:
            return
        events = statement.joined()
        if self._xid:
            self._number += 1
            self._items.append(Prepared(self._xid, statement.dispatcher, self._number, events))
        else:
            self._items.append(Rows(events))
