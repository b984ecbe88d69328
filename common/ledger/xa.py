"""Table hedgerow.xa in the sink: rows of XA transactions that were prepared on the source and are not decided yet.

One row holds binlog events of one dispatcher, ready for one BINLOG statement, and the format that they are in. `number`
orders what belongs to one XA transaction. Rows are inserted in the fenced transaction that moves the dispatcher's
progress after the PREPARE, and read and deleted in the one that moves it after XA COMMIT or XA ROLLBACK. So they have
the guarantees of progress: whoever claims the dispatcher finds exactly the transactions that are prepared at its
position. `xid` is in the notation of the binlog: X'gtrid',X'bqual',format.

Statements are texts because a lane sends them on a connection of its own (see common.ledger.progress.progress_update).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pybase64 import b64encode
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from hedgerow.common.ledger.schema import SCHEMA


def list_prepared(conn: Connection[Cursor], uid: str) -> dict[str, set[str]]:
    """By xid, the dispatchers that have rows of it. Takes no locks."""
    found: dict[str, set[str]] = {}
    with conn.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT xid, dispatcher FROM {SCHEMA}.xa WHERE changefeed_uid = %s", (uid,))
        for xid, dispatcher in cursor.fetchall():
            found.setdefault(xid, set()).add(dispatcher)
    return found


def insert_text(
    conn: Connection[Any],
    uid: str,
    xid: str,
    dispatcher: str,
    number: int,
    format_description: bytes,
    events: bytearray,
) -> bytes:
    head = ", ".join(map(conn.escape, (uid, xid, dispatcher)))
    return b"".join(
        (
            f"INSERT INTO {SCHEMA}.xa (changefeed_uid, xid, dispatcher, number, format_description, events)"
            f" VALUES ({head}, {number:d}, X'{format_description.hex()}', FROM_BASE64('".encode(),
            b64encode(events),
            b"'))",
        )
    )


def list_text(conn: Connection[Any], uid: str, xid: str, dispatchers: Collection[str]) -> str:
    """Rows (number, dispatcher, format description) of these dispatchers, in order."""
    which = _which(conn, uid, xid, dispatchers)
    return f"SELECT number, dispatcher, format_description FROM {SCHEMA}.xa WHERE {which} ORDER BY number"


def fetch_text(conn: Connection[Any], uid: str, xid: str, dispatcher: str, number: int) -> str:
    """One row: the events."""
    return f"SELECT events FROM {SCHEMA}.xa WHERE {_which(conn, uid, xid, [dispatcher])} AND number = {number:d}"


def delete_text(conn: Connection[Any], uid: str, xid: str, dispatchers: Collection[str]) -> str:
    return f"DELETE FROM {SCHEMA}.xa WHERE {_which(conn, uid, xid, dispatchers)}"


def _which(conn: Connection[Any], uid: str, xid: str, dispatchers: Collection[str]) -> str:
    keys = ", ".join(map(conn.escape, sorted(dispatchers)))
    return f"changefeed_uid = {conn.escape(uid)} AND xid = {conn.escape(xid)} AND dispatcher IN ({keys})"
