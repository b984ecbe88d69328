"""One connection to the sink, as a lane uses it: its settings, and packets of several statements.

One thread uses a Session; its Cut ends it from any other.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pymysql
from pybase64 import b64encode
from pymysql.connections import Connection
from pymysql.constants import COMMAND
from pymysql.cursors import Cursor

from common.mysql import Flavour, connect, detect_dead_peer
from common.sinktables import SessionRecord, this_session
from common.uri import ServerUri
from dispatcher.sink.coalesce import HEADER
from dispatcher.sink.cut import Cut

IDLE_TIMEOUT = 10  # seconds without a statement, after which the server ends the session and frees its locks
PING_INTERVAL = 3.0  # seconds
LOCK_WAIT = 5  # seconds
PEER_TIMEOUT = 15  # seconds that sent data may stay unacknowledged

# What rows need is in the events' flags; sql_mode is empty so that no strictness judges what the source has accepted.
_SETTINGS = (
    f"SET SESSION wait_timeout = {IDLE_TIMEOUT}, net_read_timeout = {IDLE_TIMEOUT}, net_write_timeout = {IDLE_TIMEOUT},"
    f" innodb_lock_wait_timeout = {LOCK_WAIT}, lock_wait_timeout = {LOCK_WAIT}, sql_mode = ''"
)
_MARIADB_SETTINGS = f"SET SESSION idle_transaction_timeout = {IDLE_TIMEOUT}"
_ISOLATION = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"  # no gap locks between lanes
_ROWS_WRITTEN = "SHOW SESSION STATUS WHERE Variable_name IN ('Handler_write', 'Handler_update', 'Handler_delete')"
_CHANGED = re.compile(rb"Changed: ([0-9]+)")
_MULTI_STATEMENTS_ON = struct.pack("<H", 0)  # MYSQL_OPTION_MULTI_STATEMENTS_ON


@dataclass(frozen=True, slots=True)
class Result:
    """Of one statement. `matched`: rows that an UPDATE found; `changed`: those that it found otherwise than wanted."""

    rows: Sequence[tuple[Any, ...]]
    matched: int
    changed: int


class Session:
    def __init__(self, uri: ServerUri, flavour: Flavour, cut: Cut) -> None:
        """Connect and set up. Raises SinkUnavailable, or pymysql.MySQLError where a setting is refused."""
        self.flavour = flavour
        self.connection: Connection[Cursor] = connect(uri, "sink", found_rows=True)
        self._format_description = b""
        try:
            cut.attach(self.connection)
            detect_dead_peer(self.connection, PEER_TIMEOUT)
            self.execute(_SETTINGS)
            if flavour == "mariadb":
                self.execute(_MARIADB_SETTINGS)
            self.execute(_ISOLATION)
            self.max_allowed_packet = int(self.execute("SELECT @@SESSION.max_allowed_packet").rows[0][0])
            self.record: SessionRecord = this_session(self.connection)
            # The URI's connection has no multi-statements; the protocol turns them on for a session (COM_SET_OPTION).
            raw: Any = self.connection
            raw._execute_command(COMMAND.COM_SET_OPTION, _MULTI_STATEMENTS_ON)
            raw._read_packet()
        except BaseException:
            self.close()
            raise

    def execute(self, statement: str | bytes) -> Result:
        (result,) = self.run(statement)
        return result

    def run(self, packet: str | bytes) -> Iterator[Result]:
        """Send statements joined by `;` in one packet and yield each result in order.

        The server stops at the first error, which is raised as pymysql.MySQLError after the results before it.
        """
        with self.connection.cursor() as cursor:
            cursor.execute(packet)  # type: ignore[arg-type]
            while True:
                yield Result(cursor.fetchall() if cursor.description else (), cursor.rowcount, _changed(cursor))
                if not cursor.nextset():
                    return

    def apply(self, events: bytes | bytearray) -> None:
        """Let the server apply these binlog events."""
        self.execute(b"".join((b"BINLOG '", b64encode(events), b"'")))

    def describe(self, format_description: bytes) -> None:
        """Make the server read rows events in the source's format; nothing to do where it does already."""
        if format_description[HEADER:] == self._format_description[HEADER:]:
            return
        self.apply(format_description)
        if self.flavour == "mysql":
            self.execute("SET gtid_next = 'AUTOMATIC'")  # BINLOG leaves it undetermined: error 1782 with gtid_mode=ON
        self._format_description = format_description

    def rows_written(self) -> int:
        """Rows that the server has inserted, updated and deleted for this session, committed or not: what BINLOG
        statements have changed is told nowhere else."""
        return sum(int(value) for _, value in self.execute(_ROWS_WRITTEN).rows)

    def ping(self) -> None:
        self.connection.ping(reconnect=False)

    def close(self) -> None:
        """The server rolls back what is not committed."""
        if self.connection.open:
            with contextlib.suppress(pymysql.MySQLError, OSError):
                self.connection.close()


def _changed(cursor: Cursor) -> int:
    """An OK packet counts what was found (CLIENT_FOUND_ROWS); of an UPDATE, its text says both."""
    result: Any = vars(cursor)["_result"]
    said = _CHANGED.search(result.message or b"")
    return int(said[1]) if said else 0
