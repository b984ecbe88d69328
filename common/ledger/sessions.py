"""Server sessions of the sink that may hold the locks of schema `hedgerow`: waiting for them, and ending them.

A frozen writer can hold locks. Whoever needs them waits a second, then kills those sessions recorded in the progress
rows that may be in the way, each only if the processlist still shows exactly the recorded (connection id, client
host:port), and tries again until its patience is over. A transaction here can also be of a session that is recorded
nowhere, as a maintainer's is: so the server ends a session that is idle in one for a few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import pymysql
import structlog
from pymysql.connections import Connection
from pymysql.constants import ER
from pymysql.cursors import Cursor

from hedgerow.common import metrics
from hedgerow.common.errors import SinkUnavailable
from hedgerow.common.ledger.locks import global_read_lock, session_variable
from hedgerow.common.ledger.schema import SCHEMA

log = structlog.get_logger()

Sink: TypeAlias = "Connection[Cursor]"
T = TypeVar("T")
PATIENCE = 10.0  # seconds that a blocked statement is tried again
IDLE_IN_TRANSACTION = 4  # seconds; below the patience of those who wait


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A server session, by what the processlist shows of it: ids are reused, the pair with the client's port is not."""

    id: int
    host: str


def this_session(conn: Connection[Any]) -> SessionRecord:
    with conn.cursor() as cursor:
        cursor.execute("SELECT id, host FROM information_schema.processlist WHERE id = CONNECTION_ID()")
        row = one_row(cursor)
    return SessionRecord(int(row[0]), row[1])


def kill_session(cursor: Cursor, session: SessionRecord, *, only_idle: bool = False) -> bool:
    """Kill a recorded session if the processlist still shows exactly it; True if it was there.

    A user may kill its own sessions without a privilege (MySQL manual, "KILL Statement").
    """
    if not session.id:
        return False
    cursor.execute(
        "SELECT id FROM information_schema.processlist WHERE id = %s AND host = %s AND id <> CONNECTION_ID()"
        + (" AND command = 'Sleep'" if only_idle else ""),
        (session.id, session.host),
    )
    if not cursor.fetchall():
        return False
    try:
        cursor.execute(f"KILL {session.id:d}")
    except pymysql.MySQLError as error:
        if error.args[0] != ER.NO_SUCH_THREAD:
            raise
    else:
        metrics.SESSIONS_ENDED.inc()
        log.warning("sink-session-ended", session=session.id, client=session.host, why="its locks were in the way")
    return True


@contextmanager
def transaction(conn: Sink) -> Iterator[Cursor]:
    """BEGIN; COMMIT at the end, ROLLBACK on an error. Without a statement for IDLE_IN_TRANSACTION seconds, as of a
    process that is frozen, the server rolls back and ends the session."""
    with conn.cursor() as cursor, session_variable(cursor, "wait_timeout", IDLE_IN_TRANSACTION):
        cursor.execute("BEGIN")
        try:
            yield cursor
        except BaseException:
            if conn.open:
                cursor.execute("ROLLBACK")
            raise
        cursor.execute("COMMIT")


def patiently(
    conn: Sink,
    what: str,
    patience: float,
    attempt: Callable[[Cursor], T],
    blockers: Callable[[], Iterable[SessionRecord]] = tuple,
) -> T:
    """Run `attempt` in a transaction; again after a deadlock, and after a lock wait with the blockers killed.

    The first lock wait kills only sessions that wait for their client, as a frozen writer's does; later ones also
    kill a session that is executing.
    """
    deadline = time.monotonic() + patience
    with (
        conn.cursor() as cursor,
        session_variable(cursor, "innodb_lock_wait_timeout", 1),
        session_variable(cursor, "lock_wait_timeout", 1),
    ):
        waits = 0
        while True:
            try:
                with transaction(conn) as inside:
                    return attempt(inside)
            except pymysql.MySQLError as error:
                if error.args[0] not in (ER.LOCK_WAIT_TIMEOUT, ER.LOCK_DEADLOCK):
                    raise
                if time.monotonic() >= deadline:
                    why = global_read_lock(cursor) or (
                        f"information_schema.innodb_trx there shows who holds rows of schema {SCHEMA}"
                    )
                    raise SinkUnavailable(
                        f"{what}: a lock in the sink was not released within {patience:g} s ({error.args[1]}). {why}"
                    ) from error
                if error.args[0] == ER.LOCK_WAIT_TIMEOUT:
                    waits += 1
                    for session in set(blockers()):
                        kill_session(cursor, session, only_idle=waits == 1)


def one_row(cursor: Cursor) -> tuple[Any, ...]:
    row = cursor.fetchone()
    if row is None:
        raise pymysql.InternalError("the sink answered a query for one row with none")
    return row
