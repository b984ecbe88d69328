"""Where a stream of plain events has come to: the end of the last transaction, and which one is at hand.

`Tracker` moves it with every event; here is what the stream asks of it. A position is built only when it is asked for.
"""

from __future__ import annotations

import struct
from typing import Final

from hedgerow.common.binlog import events as e
from hedgerow.common.binlog.gtid import GtidSet, MariadbGtidSet, gtid_set, is_subset
from hedgerow.common.binlog.mark import moved
from hedgerow.common.binlog.position import Position
from hedgerow.common.mysql.connect import Flavour
from hedgerow.dispatcher.source.gtid_events import commit_micros, mariadb_gtid, mysql_gtid
from hedgerow.dispatcher.source.marks import Savepoints, gtid_text, transaction_mark
from hedgerow.dispatcher.source.statements import Statement

_U32: Final = struct.Struct("<I")


class Reached:
    """Attributes: `file` and `offset` as in `position()`; `end_gtid`, the last transaction's GTID event, empty without
    one."""

    def __init__(self, flavour: Flavour, start: Position, source_id: str) -> None:
        self._flavour: Flavour = flavour
        self._source_id = source_id
        same = start.source_id == source_id
        self.file = start.file if same else ""
        self.offset = start.offset if same else 0
        self._commit_time = start.commit_time
        self._gtids = gtid_set(flavour, start.gtid_set)
        self._text: str | None = start.gtid_set
        self._gtid: bytes = b""  # the GTID event of the transaction at hand
        self._end: bytes = b""  # the event that ended the last transaction
        self.end_gtid: bytes = b""
        self._mapped: bytes = b""  # the last table map
        self._end_mapped: bytes = b""
        self._file_checksum = 0  # of the FORMAT_DESCRIPTION event of the file that is being read
        self._mark = start.mark if same else moved(start, "", 0, 0)
        self._current_file = start.file
        self._laps = 0  # times that a header's 32 bits for an event's end have been exceeded in this file
        self._savepoints = Savepoints()

    @property
    def marker(self) -> str:
        """A place in the transaction at hand that it may be rolled back to: its beginning, or its last savepoint. Of
        the same name whenever it is read again."""
        return self._marker(self._savepoints.count)

    def _marker(self, number: int) -> str:
        begin = int(_U32.unpack_from(self._gtid, e.LOG_POS_AT)[0]) if self._gtid else 0
        return f"{self._current_file}:{begin}:{number}"

    def position(self) -> Position:
        """The end of the last transaction (before a DDL statement that is not finished)."""
        if self._text is None:
            self._text = str(self._gtids)
        if not self._mark:
            place, ended = (self.file, self.offset), (self.end_gtid, self._end_mapped, self._end)
            self._mark = transaction_mark(self._flavour, place, *ended, self._file_checksum)
        return Position(self._text, self.file, self.offset, self._source_id, self.commit_time, self._mark)

    def mark_of(self, statement: Statement) -> str:
        """What identifies the transaction at hand where this statement, which is being handled, ends it."""
        place = statement.file, statement.offset
        return transaction_mark(self._flavour, place, self._gtid, b"", statement.event, self._file_checksum)

    @property
    def commit_time(self) -> float:
        """When the last transaction was committed, in seconds since 1970 by the source's clock: in microseconds on
        MySQL, in whole seconds on MariaDB."""
        if self._end:
            micros = commit_micros(self.end_gtid)
            self._commit_time = micros / 1e6 if micros else float(_U32.unpack_from(self._end)[0])
        return self._commit_time

    @property
    def begun(self) -> float | None:
        """When the transaction at hand was committed, as `commit_time`; None between two transactions."""
        if not self._gtid:
            return None
        micros = commit_micros(self._gtid)
        return micros / 1e6 if micros else float(_U32.unpack_from(self._gtid)[0])

    def end_of(self, event: bytes) -> tuple[str, int]:
        """File and offset where an event ends that was just fed; of the last transaction where it does not say."""
        (log_pos,) = _U32.unpack_from(event, e.LOG_POS_AT)
        return (self._current_file, log_pos + (self._laps << 32)) if log_pos else (self.file, self.offset)

    @property
    def gtid(self) -> str:
        """Of the transaction at hand (of the last one, after its end); empty where it has none."""
        return gtid_text(self._gtid or self.end_gtid)

    @property
    def has_gtid(self) -> bool:
        event = self._gtid or self.end_gtid
        return bool(event) and event[e.TYPE_AT] != e.ANONYMOUS_GTID

    def is_in(self, gtids: GtidSet) -> bool:
        """Whether that GTID is in this set."""
        event = self._gtid or self.end_gtid
        if isinstance(gtids, MariadbGtidSet):
            domain, _, number = mariadb_gtid(event)
            return number <= gtids.last(domain)
        return gtids.has(*mysql_gtid(event))

    def has_read(self, gtids: GtidSet) -> bool:
        """Whether everything of this set lies before `position()`."""
        return is_subset(gtids, self._gtids)
