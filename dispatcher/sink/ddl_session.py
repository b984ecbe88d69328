"""The sink's session that executes a DDL statement: made such that the statement means what it meant on the source."""

from __future__ import annotations

from collections.abc import Mapping

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from common.mysql import connect, detect_dead_peer
from common.names import quoted
from common.uri import ServerUri
from dispatcher.sink.cut import Cut
from dispatcher.sink.refusals import code
from dispatcher.sink.session import IDLE_TIMEOUT, PEER_TIMEOUT

METADATA_LOCK_WAIT = 30  # seconds
_NO_SUCH_SCHEMA = 1049


def open_session(uri: ServerUri, cut: Cut) -> Connection[Cursor]:
    """For statements of Hedgerow's own. Raises SinkUnavailable, pymysql.MySQLError."""
    connection = connect(uri, "sink")
    try:
        cut.attach(connection)
        detect_dead_peer(connection, PEER_TIMEOUT)
        connection.query(
            f"SET SESSION lock_wait_timeout = {METADATA_LOCK_WAIT}, innodb_lock_wait_timeout = {METADATA_LOCK_WAIT}"
        )
    except BaseException:
        connection.close()
        raise
    return connection


def become_executor(cursor: Cursor) -> None:
    """For the session that is going to execute the statement: it ends soon when this node falls silent."""
    cursor.execute(f"SET SESSION wait_timeout = {IDLE_TIMEOUT}, default_storage_engine = InnoDB")


def execute_as_logged(
    cursor: Cursor, statement: str, default_schema: str, variables: Mapping[str, int | float | str], thread_id: int
) -> None:
    """Execute it as the source's session did: the text goes out as utf8mb4, everything else as it was there.

    `thread_id`: what the sink's binlog is to have with it.
    """
    if default_schema:
        try:
            cursor.execute(f"USE {quoted(default_schema)}")
        except pymysql.MySQLError as error:
            if code(error) != _NO_SUCH_SCHEMA:  # CREATE DATABASE is logged with the schema that it creates
                raise
    others = {name: value for name, value in variables.items() if name != "character_set_client"}
    if others:
        cursor.execute("SET " + ", ".join(f"SESSION {name} = %s" for name in others), tuple(others.values()))
    # Last: CONNECTION_ID() tells this one from now on. Both servers log it (Query_event, thread id).
    cursor.execute(f"SET SESSION pseudo_thread_id = {thread_id:d}")
    cursor.execute(statement)
