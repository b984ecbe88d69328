"""Asks a sink, over a new connection, what became of a session from which nothing is heard.

A tunnel or a proxy may go on acknowledging bytes and deliver none: TCP sees a peer that lives. Only the server knows.
It ends a session that hears nothing for IDLE_TIMEOUT, so one that is cut off like this is soon not there any more.
What is not known is not said: where the server does not tell who holds a lock, there is only the state of the session.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Final

import pymysql
import structlog
from pymysql.cursors import Cursor

from hedgerow.common.errors import HedgerowError
from hedgerow.common.ledger.sessions import SessionRecord
from hedgerow.common.mysql.connect import Flavour, connect
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.dispatcher.sink.api import Answer, Fate
from hedgerow.dispatcher.sink.kill_switch import KillSwitch

log = structlog.get_logger()

ASK_SECONDS = 10.0
_SHOWN = 80  # characters of a statement
_SERVER: Final = "SELECT CONCAT_WS(':', @@hostname, @@port, @@server_id)"
_SESSION: Final = (
    "SELECT command, state, LEFT(info, 200) FROM information_schema.processlist WHERE id = %s AND host = %s"
)
_ROW_LOCKS: Final[dict[Flavour, str]] = {
    "mariadb": (
        "SELECT DISTINCT b.trx_mysql_thread_id FROM information_schema.innodb_lock_waits w"
        " JOIN information_schema.innodb_trx r ON r.trx_id = w.requesting_trx_id"
        " JOIN information_schema.innodb_trx b ON b.trx_id = w.blocking_trx_id WHERE r.trx_mysql_thread_id = %s"
    ),
    "mysql": (
        "SELECT DISTINCT b.processlist_id FROM performance_schema.data_lock_waits w"
        " JOIN performance_schema.threads r ON r.thread_id = w.requesting_thread_id"
        " JOIN performance_schema.threads b ON b.thread_id = w.blocking_thread_id WHERE r.processlist_id = %s"
    ),
}


class SessionInquiry:
    """In a thread of its own, which ends by itself: connecting and each answer have a deadline."""

    def __init__(
        self,
        uri: ServerUri,
        flavour: Flavour,
        session: SessionRecord,
        server: str,
        cut: KillSwitch,
        done: Callable[[], None],
    ) -> None:
        """`server`: what server_of() has said of the session. `cut` ends it. `done` is called from the thread, last."""
        self._uri, self._flavour, self._session, self._server = uri, flavour, session, server
        self._cut, self._done = cut, done
        self.answer: Answer | None = None
        threading.Thread(target=self._run, name="inquiry", daemon=True).start()

    def _run(self) -> None:
        try:
            self.answer = self._ask()
        except Exception as error:
            if not isinstance(error, (HedgerowError, pymysql.MySQLError, OSError)):
                log.exception("inquiry-failed")
            self.answer = Answer(Fate.UNKNOWN, f"Asked over a new connection, it has not answered ({error})")
        self._done()

    def _ask(self) -> Answer:
        with connect(self._uri, "sink", read_timeout=ASK_SECONDS) as connection, connection.cursor() as cursor:
            self._cut.attach(connection)
            server = server_of(cursor)
            if server != self._server:
                return Answer(
                    Fate.UNKNOWN,
                    f"A new connection reaches another server there ({server}) than the one that is at the batch "
                    f"({self._server}): if that one is gone for good, pause and resume",
                )
            cursor.execute(_SESSION, (self._session.id, self._session.host))
            row = cursor.fetchone()
            if row is None:
                return Answer(
                    Fate.GONE,
                    f"its server has no session {self._session.id} of {self._session.host} any more, and the "
                    "connection was not told: something between (a tunnel, a proxy, a firewall) delivers nothing",
                )
            told = describe(self._session.id, *(str(value or "") for value in row))
            return Answer(Fate.THERE, told + _holders(cursor, self._flavour, self._session.id))


def server_of(cursor: Cursor) -> str:
    """Which one answers: behind one address there may be several."""
    cursor.execute(_SERVER)
    ((server,),) = cursor.fetchall()
    return str(server)


def describe(session: int, command: str, state: str, statement: str) -> str:
    """What the processlist shows of it."""
    flat = " ".join(statement.split())
    flat = re.sub(r"^BINLOG\b.*", "BINLOG (rows)", flat, flags=re.IGNORECASE)
    flat = flat if len(flat) <= _SHOWN else f"{flat[:_SHOWN]}..."
    if command == "Sleep":
        return f"Its session {session} there waits for a statement"
    return f"Its session {session} there executes {flat or command}" + (f", state: {state}" if state else "")


def _holders(cursor: Cursor, flavour: Flavour, session: int) -> str:
    try:
        cursor.execute(_ROW_LOCKS[flavour], (session,))
        blocking = tuple(row[0] for row in cursor.fetchall())
        if not blocking:
            return ""
        cursor.execute("SELECT id, user, host FROM information_schema.processlist WHERE id IN %s", (blocking,))
        names = ", ".join(f"session {row[0]} ({row[1]}@{row[2]})" for row in sorted(cursor.fetchall()))
    except pymysql.MySQLError as error:
        if not error.args or not isinstance(error.args[0], int) or error.args[0] >= 2000:
            raise
        return ""  # no right to look there, or no such table in this version
    return f"; it waits for locks on rows that {names} holds" if names else ""
