"""One connection to the sink, as a lane uses it: its settings, and events for the server to apply.

It is not in autocommit mode: whatever fails, and whatever was sent after it, only COMMIT commits. So rows may be sent
before the statement that guards them is answered. One thread at a time uses a SinkSession; its KillSwitch ends it from
any other.

MariaDB takes events from user variables (knowledge base, "BINLOG"), which a prepared statement sets without anything
being parsed: its server then needs two thirds of the time for large rows. MySQL takes them from a literal only.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable

import pymysql
from pybase64 import b64encode
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from hedgerow.common.binlog.events import HEADER
from hedgerow.common.ledger.sessions import SessionRecord, this_session
from hedgerow.common.mysql.connect import Flavour, connect, detect_dead_peer
from hedgerow.common.mysql.error_codes import NO_PRIVILEGE
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.dispatcher.sink.binlog.wire import Result, Wire
from hedgerow.dispatcher.sink.inquiry import server_of
from hedgerow.dispatcher.sink.kill_switch import KillSwitch
from hedgerow.dispatcher.sink.timeouts import IDLE_TIMEOUT, PEER_TIMEOUT

PING_INTERVAL = 3.0  # seconds
LOCK_WAIT = 5  # seconds

# What rows need is in the events' flags; sql_mode is empty so that no strictness judges what the source has accepted.
_SETTINGS = (
    f"SET SESSION wait_timeout = {IDLE_TIMEOUT}, net_read_timeout = {IDLE_TIMEOUT}, net_write_timeout = {IDLE_TIMEOUT},"
    f" innodb_lock_wait_timeout = {LOCK_WAIT}, lock_wait_timeout = {LOCK_WAIT}, sql_mode = ''"
)
_MARIADB_SETTINGS = f"SET SESSION idle_transaction_timeout = {IDLE_TIMEOUT}"
_ISOLATION = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"  # no gap locks between lanes
_ROWS_WRITTEN = "SHOW SESSION STATUS WHERE Variable_name IN ('Handler_write', 'Handler_update', 'Handler_delete')"
_SET_EVENTS = b"SET @hedgerow_events = ?, @hedgerow_rest = ''"  # MariaDB wants two; BINLOG empties both
_BINLOG_EVENTS = b"BINLOG @hedgerow_events, @hedgerow_rest"
_LITERAL = 16 << 10  # bytes of base64 up to which one statement with a literal is sent, rather than two


Judge = Callable[[list[Result]], None]


class SinkSession:
    def __init__(self, uri: ServerUri, flavour: Flavour, cut: KillSwitch) -> None:
        """Connect and set up. Raises SinkUnavailable, or pymysql.MySQLError where a setting is refused."""
        self.flavour = flavour
        self.connection: Connection[Cursor] = connect(uri, "sink", autocommit=False, found_rows=True)
        self._wire = Wire(self.connection)
        self._unanswered: deque[Judge] = deque()
        self._format_description = b""
        try:
            cut.attach(self.connection)
            detect_dead_peer(self.connection, PEER_TIMEOUT)
            self.execute(_SETTINGS)
            if flavour == "mariadb":
                self.execute(_MARIADB_SETTINGS)
                self._leave_out_annotations()
            self.execute(_ISOLATION)
            self.max_allowed_packet = int(self.execute("SELECT @@SESSION.max_allowed_packet").rows[0][0])
            self.record: SessionRecord = this_session(self.connection)
            with self.connection.cursor() as cursor:
                self.server = server_of(cursor)
            self._wire.allow_multi_statements()
            self._set_events = self._wire.prepare(_SET_EVENTS) if flavour == "mariadb" else 0
        except BaseException:
            self.close()
            raise

    def _leave_out_annotations(self) -> None:
        """MariaDB logs the text of BINLOG statements next to their rows, which doubles small transactions. Where the
        account has BINLOG ADMIN, which nothing else needs, it does not."""
        try:
            self.execute("SET SESSION binlog_annotate_row_events = OFF")
        except pymysql.err.OperationalError as error:
            if error.args[0] != NO_PRIVILEGE:
                raise

    def execute(self, statement: str | bytes) -> Result:
        results: list[Result] = []
        self.post(statement, results.extend)
        self.settle()
        (result,) = results
        return result

    def post(self, packet: str | bytes, judge: Judge) -> None:
        """Send statements joined by `;` and do not wait: `judge` gets their results before any later answer is used.

        Only what is short after what is short: a server that works for long would not take what follows, and that
        counts as a dead peer.
        """
        self._wire.query(packet.encode() if isinstance(packet, str) else packet)
        self._unanswered.append(judge)

    def settle(self) -> None:
        """Wait for all answers. Raises the first pymysql.MySQLError, or what a judge raises; later ones may be
        unanswered then, and `rollback` is due."""
        while self._unanswered:
            judge = self._unanswered.popleft()
            judge(self._wire.results())

    def rollback(self) -> None:
        """Whatever is still to be answered."""
        while self._unanswered and self.connection.open:
            self._unanswered.popleft()
            with contextlib.suppress(pymysql.MySQLError):
                self._wire.results()
        self.execute("ROLLBACK")

    def post_events(self, events: bytes | bytearray) -> None:
        """Let the server apply these binlog events, and do not wait."""
        encoded = b64encode(events)
        if self.flavour == "mariadb" and len(encoded) > _LITERAL:
            self._wire.execute(self._set_events, encoded)
            self._unanswered.append(_nothing)
            self._wire.query(_BINLOG_EVENTS)
        else:
            self._wire.query(b"BINLOG '", encoded, b"'")
        self._unanswered.append(_nothing)

    def apply(self, events: bytes | bytearray) -> None:
        """Let the server apply these binlog events; waits for all answers, as `settle` does."""
        self.post_events(events)
        self.settle()

    def knows(self, format_description: bytes) -> bool:
        """Whether the server reads rows events in this format."""
        return format_description[HEADER:] == self._format_description[HEADER:]

    def describe(self, format_description: bytes) -> None:
        """Make the server read rows events in the source's format; nothing to do where it does already."""
        if self.knows(format_description):
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


def _nothing(results: list[Result]) -> None:
    """That a statement did not fail is all there is to know."""
