"""Who keeps a statement of ours waiting in the sink. Asked after a lock wait has timed out (1205), where the server has
the same words for rows, tables and the whole server.

Whether everything is locked is tried, by statements that change nothing and are not logged. MySQL takes the global read
lock before it looks for the table to change: one that does not exist is refused with 1146, unless it waits first.
MariaDB does so for DDL only, which a backup may keep out alone; so rows are tried as well. Who holds a lock is told by
MySQL's performance_schema, and for tables by MariaDB's plugin metadata_lock_info, each where it is on and may be read.
What they do not tell is not said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pymysql
from pymysql.constants import ER
from pymysql.cursors import Cursor

from hedgerow.common.ledger.schema import SCHEMA
from hedgerow.common.mysql.names import TableName

_MISSING_ROWS: Final = f"DELETE FROM {SCHEMA}.no_such_table WHERE FALSE"
_MISSING_TABLE: Final = f"ALTER TABLE {SCHEMA}.no_such_table COMMENT ''"
_NO_ROWS: Final = f"DELETE FROM {SCHEMA}.fence WHERE FALSE"
_WAY: Final = (
    "UNLOCK TABLES in the session that holds it, or KILL that session there, or wait until the backup has ended"
)
_CLIENT_ERRORS: Final = 2000  # and above: of the connection
_EVERYTHING: Final = (
    "SELECT DISTINCT t.processlist_id, t.processlist_user, t.processlist_host FROM performance_schema.metadata_locks l"
    " JOIN performance_schema.threads t ON t.thread_id = l.owner_thread_id WHERE l.lock_status = 'GRANTED'"
    " AND l.object_type = 'GLOBAL' AND l.lock_type = 'SHARED' AND t.processlist_id <> CONNECTION_ID()",
)
_TABLES: Final = (
    "SELECT DISTINCT t.processlist_id, t.processlist_user, t.processlist_host FROM performance_schema.metadata_locks l"
    " JOIN performance_schema.threads t ON t.thread_id = l.owner_thread_id WHERE l.lock_status = 'GRANTED'"
    " AND (l.object_type = 'TABLE' AND (l.object_schema, l.object_name) IN %s"
    " OR l.object_type = 'BACKUP LOCK' AND l.lock_type = 'SHARED') AND t.processlist_id <> CONNECTION_ID()",
    "SELECT DISTINCT p.id, p.user, p.host FROM information_schema.metadata_lock_info l JOIN"
    " information_schema.processlist p ON p.id = l.thread_id WHERE (l.table_schema, l.table_name) IN %s"
    " AND p.id <> CONNECTION_ID()",
)


def global_read_lock(cursor: Cursor) -> str:
    """A sentence about it, with the way on; empty without. Waits for two seconds at most; in no transaction."""
    with session_variable(cursor, "lock_wait_timeout", 1):
        if not _is_everything_locked(cursor):
            return ""
    who = _sessions(cursor, _EVERYTHING, ())
    return (
        f"The sink is under a global read lock (FLUSH TABLES WITH READ LOCK, or a backup){who and f', held by {who}'}: "
        f"{_WAY}"
    )


def _is_everything_locked(cursor: Cursor) -> bool:
    cursor.execute("SELECT VERSION()")
    ((version,),) = cursor.fetchall()
    if "mariadb" not in str(version).lower():
        return _waits(cursor, _MISSING_ROWS)
    if not _waits(cursor, _MISSING_TABLE):
        return False
    cursor.execute("BEGIN")  # what is rolled back is not logged as a statement
    try:
        return _waits(cursor, _NO_ROWS)
    finally:
        if cursor.connection.open:
            cursor.execute("ROLLBACK")


def _waits(cursor: Cursor, statement: str) -> bool:
    try:
        cursor.execute(statement)
    except pymysql.MySQLError as error:
        _raise_lost(error)
        return bool(error.args[0] == ER.LOCK_WAIT_TIMEOUT)
    return False


def table_locks(cursor: Cursor, tables: Iterable[TableName]) -> str:
    """The sessions that hold metadata locks on them, or keep DDL out for a backup; empty where the server does not
    tell."""
    names = tuple((table.schema, table.table) for table in tables if table.table)
    return _sessions(cursor, _TABLES, (names,)) if names else ""


def _sessions(cursor: Cursor, questions: Iterable[str], arguments: tuple[Any, ...]) -> str:
    found: list[str] = []
    for question in questions:
        try:
            cursor.execute(question, arguments)
        except pymysql.MySQLError as error:  # of the other flavour, or no right to look there
            _raise_lost(error)
        else:
            found += [f"session {row[0]} ({row[1]}@{row[2]})" for row in sorted(cursor.fetchall())]
    return ", ".join(found)


def _raise_lost(error: pymysql.MySQLError) -> None:
    if not error.args or not isinstance(error.args[0], int) or not 0 < error.args[0] < _CLIENT_ERRORS:
        raise error


@contextmanager
def session_variable(cursor: Cursor, name: str, seconds: int) -> Iterator[None]:
    """Meanwhile it has this value."""
    cursor.execute(f"SELECT @@SESSION.{name}")
    ((usual,),) = cursor.fetchall()
    cursor.execute(f"SET SESSION {name} = {seconds:d}")
    try:
        yield
    finally:
        if cursor.connection.open:
            cursor.execute(f"SET SESSION {name} = {int(usual):d}")
