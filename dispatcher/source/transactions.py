"""Where transactions begin and end in a stream of plain events, which table a rows event is for, and the position.

`Tracker.feed` is called with every event in order and says what it is, as one of the constants below; details are read
from attributes that hold until the next call. The position advances at ends of transactions only, and it is built only
when somebody asks for it: per transaction the tracker adds integers.

What cannot be replicated raises UnsupportedEvent, never passes silently: unknown events, INCIDENT, rows events without
their table map; unless a user has left the transaction out.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from hedgerow.common.binlog import events as e
from hedgerow.common.binlog.gtid import MariadbGtidSet
from hedgerow.common.binlog.mark import moved
from hedgerow.common.binlog.position import Position, file_order
from hedgerow.common.binlog.skips import Skip
from hedgerow.common.binlog.table_map import TableMap
from hedgerow.common.errors import BinlogCorrupt, HedgerowError, HistoryDiverged
from hedgerow.common.mysql.connect import Flavour
from hedgerow.dispatcher.source.framing import description_checksum
from hedgerow.dispatcher.source.gtid_events import mariadb_gtid, mariadb_xid, tagged_gtid, xid_text
from hedgerow.dispatcher.source.marks import Savepoints, gtid_text
from hedgerow.dispatcher.source.reached import Reached
from hedgerow.dispatcher.source.skipping import Skipping, kind_left_out, unreadable
from hedgerow.dispatcher.source.statements import Statement, StatementKind, plain_text, read_statement, statement_kind

NOTHING: Final = 0  # an event that concerns nobody
BEGIN: Final = 1  # a transaction begins
TABLE_MAP: Final = 2  # `table` says which
ROWS: Final = 3  # rows of `table`
END: Final = 4  # the transaction is committed; `position()` is after it
DDL: Final = 5  # `statement`; `position()` stays before it until `finish_statement()`
XA_PREPARE: Final = 6  # the rows since BEGIN are prepared as `xid`, not visible until XA_COMMIT; the position advanced
XA_COMMIT: Final = 7  # `xid` was committed; the position advanced
XA_ROLLBACK: Final = 8  # `xid` was rolled back; the position advanced
XA_BEGIN: Final = 9  # a transaction begins that is going to be prepared as `xid`
XA_ONE_PHASE: Final = 10  # the rows since XA_BEGIN are committed without being prepared; the position advanced
DESCRIPTION: Final = 11  # a FORMAT_DESCRIPTION event: lanes must have this one before rows that follow; see `torn`
MARKER: Final = 12  # a savepoint: `marker`
UNDONE: Final = 13  # the rows since `marker` were rolled back; the transaction goes on, from a new `marker`
ROLLED_BACK: Final = 14  # the transaction ends, and was rolled back since `marker`; the position advanced

_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_FIRST_EVENT: Final = 4  # offset of a binlog file's first event
_LOG_POS_HIGH: Final = e.LOG_POS_AT + 3
_SCHEMA_SIZE_AT, _VARIABLES_SIZE_AT = e.QUERY_SCHEMA_SIZE_AT, e.QUERY_VARIABLES_SIZE_AT
_QUERY_LEAST: Final = e.QUERY_LEAST
_DUMMY_TABLE_ID: Final = b"\xff\xff\xff\x00\x00\x00"  # a rows event without rows, only to end a statement
_MARIADB_STANDALONE: Final = 1
_MARIADB_PREPARED_XA: Final = 64
_XA_TEXT: Final = re.compile(r"XA \w+ (.+?)(?: ONE PHASE)?\Z", re.DOTALL)


class Tracker(Reached):
    """Follows one stream from `start`. `source_id` is that of the server that sends (Reader.source_id).

    Attributes: `table` after TABLE_MAP and ROWS; `statement` after DDL; `xid` after XA_*, the text that XA COMMIT
    takes.
    """

    def __init__(self, flavour: Flavour, start: Position, source_id: str, skips: Iterable[Skip] = ()) -> None:
        super().__init__(flavour, start, source_id)
        self.files = 0  # that the position has come to without a transaction
        self._high = 0  # byte of the last log_pos: an event's end in its file, of which the header has 32 bits
        self._inside = False
        self._maps: dict[bytes, TableMap] = {}
        self._known: dict[bytes, TableMap] = {}
        self._skips = Skipping(skips)
        self.skipping: frozenset[str] | None = None  # whose rows of the transaction at hand are left out; empty: all
        self.skipped: list[str] = []  # transactions that were left out, for whoever tells of them
        self.table: TableMap | None = None
        self.statement: Statement | None = None
        self.xid = ""
        self.torn = ""  # after DESCRIPTION: the marker of a transaction that the source has never ended
        self.undone = ""  # after UNDONE and ROLLED_BACK: the marker from which on rows were rolled back

    # -- what the stream feeds

    def feed(self, event: bytes) -> int:
        """Take the next event. Raises UnsupportedEvent, BinlogCorrupt, HistoryDiverged."""
        kind = event[e.TYPE_AT]
        if kind == e.TABLE_MAP:
            body = event[e.HEADER :]
            table = self._known.get(body)
            if table is None:
                table = self._learn(body)
            self._maps[event[e.TABLE_ID]] = self.table = table
            self._mapped = event
            return TABLE_MAP
        if kind in e.ROWS:
            if event[_LOG_POS_HIGH] != self._high:
                self._follow(event)
            self.table = self._maps.get(event[e.TABLE_ID])
            return ROWS if self.table is not None else self._unmapped(event)
        if kind == e.XID:
            self._finish(event)
            return END
        if kind == e.GTID or kind == e.MARIADB_GTID:
            return self._begin(event)
        if kind == e.QUERY:
            return self._query(event)
        return self._rare(event, kind)

    def finish_statement(self) -> None:
        """The DDL statement is done: the position moves after it (not, where the transaction goes on with rows)."""
        statement, self.statement = self.statement, None
        if statement is None:
            raise RuntimeError("no DDL statement is being handled")
        if not statement.rows_follow:
            self._finish(statement.event)

    # -- the rest

    def _learn(self, body: bytes) -> TableMap:
        if len(self._known) > 10_000:  # table ids grow with every DDL and every reopened table
            self._known.clear()
        table = self._known[body] = TableMap(body)
        return table

    def _unmapped(self, event: bytes) -> int:
        if event[e.TABLE_ID] == _DUMMY_TABLE_ID or self._is_left_out:
            return NOTHING
        table_id = int.from_bytes(event[e.TABLE_ID], "little")
        raise BinlogCorrupt(f"{self._where(event)}: a rows event is for table id {table_id}, which no table map named")

    def _begin(self, event: bytes) -> int:
        if self._inside:
            raise BinlogCorrupt(f"{self._where(event)}: a transaction begins inside another one")
        self._gtid = event
        if self._skips:
            self.skipping = self._skips.find(gtid_text(event), self._current_file, _log_pos(event))
        if self._flavour == "mariadb":
            if event[e.MARIADB_GTID_FLAGS_AT] & _MARIADB_STANDALONE:
                return NOTHING
            self._inside = True
            self.xid = mariadb_xid(event) if event[e.MARIADB_GTID_FLAGS_AT] & _MARIADB_PREPARED_XA else ""
            return XA_BEGIN if self.xid else BEGIN
        return NOTHING

    def _finish(self, event: bytes) -> None:
        """The transaction at hand ends with `event`."""
        gtid, gtids = self._gtid, self._gtids
        if gtid:
            kind = gtid[e.TYPE_AT]
            if isinstance(gtids, MariadbGtidSet):
                domain, server, number = mariadb_gtid(gtid)
                if number <= gtids.last(domain):
                    raise HistoryDiverged(
                        f"{self._where(event)}: GTID {domain}-{server}-{number} came after {gtids}: the sequence "
                        f"numbers of a domain must grow. SET GLOBAL gtid_strict_mode = ON on the source, and create "
                        f"the changefeed again after this position"
                    )
                gtids.add(domain, server, number)
            elif kind == e.GTID:
                gtids.add(gtid[e.GTID_UUID], _U64.unpack_from(gtid, e.GTID_NUMBER_AT)[0])
            elif kind == e.GTID_TAGGED:
                gtids.add(*tagged_gtid(gtid))
        self.file = self._current_file
        if event[_LOG_POS_HIGH] != self._high:
            self._follow(event)
        self.offset = _U32.unpack_from(event, e.LOG_POS_AT)[0] + (self._laps << 32)
        self._text = None
        self._mark = ""
        self._end, self.end_gtid, self._gtid = event, gtid, b""
        self._end_mapped, self._mapped = self._mapped, b""
        self._savepoints.count = 0
        self._inside = False
        self._maps.clear()
        if self.skipping is not None:
            self.skipped.append(self.gtid or f"the one that ends at {self.file}:{self.offset}")
            self.skipping = None

    def _follow(self, event: bytes) -> None:
        """A server begins a new file when one is full, but not inside a transaction: that may go beyond 4 GiB."""
        high = event[_LOG_POS_HIGH]
        if _U32.unpack_from(event, e.LOG_POS_AT)[0]:  # 0: not said
            self._laps += high < self._high
            self._high = high

    def _query(self, event: bytes) -> int:
        # MySQL's BEGIN in front of every transaction is in the hot path: its text is the event's end.
        at = _VARIABLES_SIZE_AT  # e.query_text_at, written out
        text_at = _QUERY_LEAST + event[_SCHEMA_SIZE_AT] + event[at] + 256 * event[at + 1]
        if event.endswith(b"BEGIN") and len(event) - text_at == 5:
            self._inside = True
            return BEGIN
        text = plain_text(event, text_at)
        kind = statement_kind(text)
        if self._is_left_out:
            kind = kind_left_out(kind, text)
        if kind == StatementKind.COMMIT:
            self._finish(event)
            return END
        if kind == StatementKind.IGNORABLE:
            if self._inside:
                return MARKER if self._savepoints.set(text) else NOTHING
            self._finish(event)
            return END
        if kind == StatementKind.XA:
            return self._xa(event, text)
        if kind == StatementKind.BEGIN:
            self._inside = True
            return BEGIN
        if kind == StatementKind.ROLLBACK:
            return self._roll_back(event, text)
        statement = self._read_statement(event, text_at, gtid_text(self._gtid), of_rows=kind == StatementKind.CHANGE)
        if statement.alter_phase in ("start", "rollback"):  # MariaDB's two-phase ALTER: its commit has the text again
            self._finish(event)
            return END
        self.statement = statement
        return DDL

    def _roll_back(self, event: bytes, text: str) -> int:
        """A server logs what it rolls back where it cannot leave it out: a table without transactions keeps its rows,
        and a temporary table that was created stays. Which rows were undone is not said."""
        number = self._savepoints.roll_back(text)
        if number < 0:
            raise BinlogCorrupt(f"{self._where(event)}: its savepoint was not set in this transaction ({text[:80]!r})")
        self.undone = self._marker(number)
        if Savepoints.is_partial(text):
            return UNDONE
        self._finish(event)
        return ROLLED_BACK

    def _read_statement(self, event: bytes, text_at: int, gtid: str, *, of_rows: bool) -> Statement:
        try:
            file, inside = self._current_file, self._inside
            statement = read_statement(event, text_at, file, gtid, inside, self._flavour, of_rows=of_rows)
        except (HedgerowError, ValueError, IndexError, struct.error):
            if not self._is_left_out:
                raise
            return unreadable(gtid, self._current_file, event, inside=self._inside)
        return replace(statement, skipped=True) if self._is_left_out else statement

    @property
    def _is_left_out(self) -> bool:
        return self.skipping is not None and not self.skipping  # whole: it need not be understood

    def announcement(self) -> tuple[str, str, int]:
        """Of the transaction at hand: its GTID, file, and the offset where the event that announces it ends, or 0."""
        return gtid_text(self._gtid), self._current_file, _log_pos(self._gtid) if self._gtid else 0

    def _xa(self, event: bytes, text: str) -> int:
        word = text.split(None, 2)[1].upper()
        match = _XA_TEXT.match(text)
        self.xid = match[1] if match else ""
        if word == "START":
            self._inside = True
            return XA_BEGIN
        if word == "END":
            return NOTHING
        left_out = self._is_left_out
        self._finish(event)
        return XA_COMMIT if word == "COMMIT" and not left_out else XA_ROLLBACK

    def _rare(self, event: bytes, kind: int) -> int:
        if kind == e.ROTATE:
            self._tear()
            self._current_file = e.rotated_to(event)
            self._high = self._laps = 0
            return NOTHING
        if kind == e.FORMAT_DESCRIPTION:
            self._known.clear()
            self._file_checksum = description_checksum(event)
            self._move_on()
            return DESCRIPTION
        if kind in (e.GTID_TAGGED, e.ANONYMOUS_GTID):
            return self._begin(event)
        if kind == e.XA_PREPARE:
            one_phase = bool(event[e.HEADER])
            format_id, gtrid, bqual = struct.unpack_from("<III", event, e.HEADER + 1)
            data = event[e.HEADER + 13 : e.HEADER + 13 + gtrid + bqual]
            self.xid = xid_text(format_id, data[:gtrid], data[gtrid:])
            self._finish(event)
            return XA_ONE_PHASE if one_phase else XA_PREPARE
        if kind in e.IGNORED or event[e.FLAGS_AT] & e.IGNORABLE_F:
            return NOTHING
        if self._is_left_out and not self._inside:
            self._finish(event)
            return END
        log_pos = _log_pos(event)
        if self._is_left_out or (not self._gtid and self._skips.find("", self._current_file, log_pos) is not None):
            return NOTHING
        raise e.unsupported(kind, self._current_file, log_pos)

    def _tear(self) -> None:
        """No transaction goes on in another file. A source that crashed while it wrote one has rolled it back, and
        begins a new file; MariaDB leaves the beginning in the old one."""
        self.torn = self._marker(0) if self._inside or self._gtid else ""
        if self.torn:
            self._gtid = self._mapped = b""
            self.skipping = None
            self._inside = False
            self._savepoints.count = 0
            self._maps.clear()

    def _move_on(self) -> None:
        """A file has begun after the one that the position is in: all before it was read. So a position does not stay
        in a file that the source purges while nothing else happens. And one that nobody has read, but a user has named,
        is known now by the file that it is in."""
        at, before = self._current_file, self.position()
        if not before.file or not at or self._gtid or self._inside:
            return
        if file_order(at) > file_order(before.file):
            self.file, self.offset = at, _FIRST_EVENT
        elif at != before.file or before.mark:
            return
        self._mark = moved(before, self.file, self.offset, self._file_checksum)
        self._end = self.end_gtid = b""
        self.files += 1

    def _where(self, event: bytes) -> str:
        (log_pos,) = _U32.unpack_from(event, e.LOG_POS_AT)
        return f"event {e.type_name(event[e.TYPE_AT])} that ends at {self._current_file}:{log_pos}"


def _log_pos(event: bytes) -> int:
    return int(_U32.unpack_from(event, e.LOG_POS_AT)[0])
