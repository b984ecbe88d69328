"""Whether a DDL statement is in the sink's own binlog: what was executed is there, whatever was done to tables since.

Before a statement is begun, the end of the sink's binlog is noted, and a mark is made that no other statement has. The
mark is in the journal's row, whose transaction is logged first, and in the thread id under which the statement is
logged (common.ledger.schema). A server that crashed may log the statement when it recovers, with the same text and
another thread id. So the binlog from that place on holds the row and then the statement; or the row alone, and then the
statement was not executed. A binlog that lacks the row says nothing: it was reset, leaves schemas out, or is that of a
replica that does not log what it applies. One that does so keeps both, and its place is found by GTID.

Needs REPLICATION SLAVE, and MySQL's REPLICATION CLIENT or MariaDB's BINLOG MONITOR; without, nothing can be told here.
"""

from __future__ import annotations

import contextlib
import enum
import json
import random
import struct
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import pymysql
from pymysql.cursors import Cursor

from hedgerow.common.binlog import events as e
from hedgerow.common.binlog.position import Position, file_order, readable
from hedgerow.common.errors import HedgerowError, SinkUnavailable, SourceUnavailable
from hedgerow.common.ledger.schema import ddl_thread_id
from hedgerow.common.mysql.connect import Flavour, server_info
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.dispatcher.sink.kill_switch import KillSwitch
from hedgerow.dispatcher.source.reader import Reader

_READ_SECONDS = 0.5
_SILENT_SECONDS = 60.0
_KEEP_SECONDS = 1.0
# Of a query event: thread id 4, seconds 4, length of the schema 1, error code 2, length of the status variables 2.
_QUERY = struct.Struct("<I4xB2xH")
_ERROR_AT = e.HEADER + 9
_STATEMENTS = {"mysql": "SHOW BINARY LOG STATUS", "mariadb": "SHOW MASTER STATUS"}
_UNKNOWN_STATEMENT = 1064


class Logged(enum.Enum):
    YES = "it is in the sink's binlog"
    NO = "it is not in the sink's binlog"
    FAILED = "it is in the sink's binlog with an error: it was executed in part"
    UNKNOWN = "the sink's binlog does not tell"


@dataclass(frozen=True, slots=True)
class LogPlace:
    """The end of a server's binlog. `filtered`: it does not log every schema. Without a file: `why` it is not known."""

    file: str = ""
    offset: int = 0
    gtid_set: str = ""
    server: str = ""
    filtered: bool = False
    why: str = ""

    @property
    def position(self) -> Position:
        return Position(self.gtid_set, self.file, self.offset, self.server)


@dataclass(frozen=True, slots=True)
class JournalMark:
    """Of one attempt to execute a statement, and where the sink's binlog ended before it."""

    token: str
    place: LogPlace

    @classmethod
    def make(cls, place: LogPlace) -> JournalMark:
        return cls(uuid.uuid4().hex, place)

    @classmethod
    def parse(cls, text: str) -> JournalMark:
        found = json.loads(text)
        return cls(found["token"], LogPlace(**found["place"]))

    def __str__(self) -> str:
        return json.dumps({"token": self.token, "place": asdict(self.place)}, sort_keys=True)

    @property
    def thread_id(self) -> int:
        return ddl_thread_id(int(self.token[:4], 16))


def end_of_binlog(cursor: Cursor, flavour: Flavour) -> LogPlace:
    """Never raises for what the server refuses: without a place nothing else is lost."""
    try:
        try:
            cursor.execute(_STATEMENTS[flavour])
        except pymysql.MySQLError as error:
            if error.args[0] != _UNKNOWN_STATEMENT:
                raise
            cursor.execute("SHOW MASTER STATUS")  # MySQL before 8.2
        row = cursor.fetchone()
        if row is None or not row[0]:
            return LogPlace(why="that server writes no binlog (log_bin)")
        info = server_info(cursor.connection)
        if flavour == "mariadb":
            cursor.execute("SELECT @@gtid_binlog_pos")
            gtid_set = str((cursor.fetchone() or ("",))[0])
        else:
            gtid_set = str(row[4]).replace("\n", "")
        return LogPlace(row[0], int(row[1]), gtid_set, info.source_id, filtered=bool(row[2] or row[3]))
    except (pymysql.OperationalError, pymysql.ProgrammingError) as error:
        if error.args[0] in (0, 2006, 2013):
            raise
        return LogPlace(why=str(error.args[-1]))


class Search:
    """Through the events of the sink's binlog from a mark's place on. Pure."""

    def __init__(self, mark: JournalMark, end: LogPlace, schema: str, statement: bytes) -> None:
        """`schema`: the statement's default one."""
        self._token, self._thread_id = mark.token.encode(), mark.thread_id
        self._schema, self._statement = schema.encode(), statement
        self._end = (*file_order(end.file), end.offset)
        self._file = mark.place.file
        self._begun = False
        self._conclusive = not end.filtered
        self.done = False
        self.found = Logged.UNKNOWN

    def look(self, events: Iterable[bytes]) -> None:
        for event in events:
            if self.done:
                return
            kind = event[e.TYPE_AT]
            if kind == e.ROTATE:
                self._file = event[e.HEADER + 8 :].decode("utf-8", "replace")
                continue
            if not self._begun:
                self._begun = self._token in event
            elif kind == e.QUERY and self._is_it(event):
                (code,) = struct.unpack_from("<H", event, _ERROR_AT)
                self._end_with(Logged.FAILED if code else Logged.YES)
                return
            self._move(event, kind)

    def _is_it(self, event: bytes) -> bool:
        thread_id, schema_length, variables_length = _QUERY.unpack_from(event, e.HEADER)
        if thread_id == self._thread_id:
            return True
        schema_at = e.HEADER + _QUERY.size + variables_length
        text_at = schema_at + schema_length + 1
        return event[schema_at : text_at - 1] == self._schema and event[text_at:] == self._statement

    def _move(self, event: bytes, kind: int) -> None:
        if kind == e.HEARTBEAT_V2:
            return  # asked for by nobody
        if kind == e.HEARTBEAT:
            self._file = event[e.HEADER :].decode("utf-8", "replace")
        (offset,) = struct.unpack_from("<I", event, e.LOG_POS_AT)
        with contextlib.suppress(HedgerowError):
            if (*file_order(self._file), offset) >= self._end:
                self._end_with(Logged.NO if self._begun and self._conclusive else Logged.UNKNOWN)

    def _end_with(self, found: Logged) -> None:
        self.found, self.done = found, True


def find(
    uri: ServerUri,
    flavour: Flavour,
    mark: JournalMark,
    end: LogPlace,
    schema: str,
    statement: bytes,
    cut: KillSwitch,
    keep_alive: Callable[[], None],
) -> tuple[Logged, str]:
    """Whether the statement of `mark` is in the sink's binlog up to `end`, its end by now, and why that is not known.

    The caller holds the changefeed's lock: nobody executes the statement meanwhile. `keep_alive` is called about once a
    second. Raises SinkUnavailable, and what `keep_alive` raises.
    """
    for place in (mark.place, end):
        if not place.file:
            return Logged.UNKNOWN, place.why
    reader = Reader(uri, flavour, readable(mark.place.position), server_id=random.randrange(1 << 30, 1 << 32))
    search = Search(mark, end, schema, statement)
    heard = kept = time.monotonic()
    try:
        reader.connect()
        while not search.done:
            if cut.is_cut:
                raise SinkUnavailable(f"sink {uri.address}: reading its binlog was cut off")
            if time.monotonic() - kept > _KEEP_SECONDS:
                kept = time.monotonic()
                keep_alive()
            if events := reader.read(_READ_SECONDS):
                if any(event[e.TYPE_AT] not in (e.HEARTBEAT, e.HEARTBEAT_V2) for event in events):
                    heard = time.monotonic()
                search.look(events)
            if time.monotonic() - heard > _SILENT_SECONDS:
                return Logged.UNKNOWN, f"it was not sent up to {end.file}:{end.offset}"
    except SourceUnavailable as error:
        if "denied" in str(error):
            return Logged.UNKNOWN, _of_sink(error)
        raise SinkUnavailable(_of_sink(error)) from error
    except HedgerowError as error:
        if isinstance(error, SinkUnavailable):
            raise
        return Logged.UNKNOWN, _of_sink(error)
    finally:
        reader.close()
    if search.found is Logged.UNKNOWN:
        return search.found, "it does not hold the row of hedgerow.ddl with which the statement was begun"
    return search.found, ""


def _of_sink(error: Exception) -> str:
    return str(error).replace("source ", "sink ", 1)
