"""Table hedgerow.ddl in the sink: which DDL statement was begun, by which session, and what the tables were before it.

DDL commits implicitly, so it cannot share a transaction with the progress that covers it; these rows tell a successor
what happened. Pieces of a fenced transaction (see common.ledger.progress): the caller has begun it and checked the
fence.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pymysql.cursors import Cursor

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import Fenced
from hedgerow.common.ledger.progress import add_progress, chunks, delete_progress
from hedgerow.common.ledger.schema import SCHEMA, SCHEMA_DISPATCHER
from hedgerow.common.ledger.sessions import SessionRecord, Sink

STARTED, DONE = "started", "done"
EXECUTED = "executed"  # but what it made cannot be replicated to as it is
REFUSED = "refused"  # by the sink's server: it was not executed, whatever the tables are like later


@dataclass(frozen=True, slots=True)
class Entry:
    state: str
    fingerprint: str  # of the affected tables, before the statement
    epoch: int
    session: SessionRecord


def entry(cursor: Cursor, uid: str, key: str) -> Entry | None:
    """Locks the row until the transaction ends."""
    cursor.execute(
        f"SELECT state, fingerprint_before, epoch, session_id, session_host FROM {SCHEMA}.ddl"
        " WHERE changefeed_uid = %s AND ddl_key = %s FOR UPDATE",
        (uid, key),
    )
    row = cursor.fetchone()
    return None if row is None else Entry(row[0], row[1], int(row[2]), SessionRecord(int(row[3]), row[4]))


def unfinished(conn: Sink, uid: str) -> dict[str, str]:
    """The state of every statement that is begun, or that a user has executed, by its key."""
    with conn.cursor() as cursor:
        cursor.execute(
            f"SELECT ddl_key, state FROM {SCHEMA}.ddl WHERE changefeed_uid = %s AND state IN (%s, %s)",
            (uid, STARTED, DONE),
        )
        return {str(key): str(state) for key, state in cursor.fetchall()}


def sessions_of_started(cursor: Cursor, uid: str, epoch: int) -> list[SessionRecord]:
    """Who may hold the changefeed's lock for a statement that was begun at `epoch` or below."""
    cursor.execute(
        f"SELECT session_id, session_host FROM {SCHEMA}.ddl WHERE changefeed_uid = %s AND state = %s AND epoch <= %s",
        (uid, STARTED, epoch),
    )
    return [SessionRecord(int(row[0]), row[1]) for row in cursor.fetchall()]


def write_started(
    cursor: Cursor, uid: str, key: str, statement: str, fingerprint: str, epoch: int, session: SessionRecord
) -> None:
    """Begin a statement, or begin it again."""
    cursor.execute(
        f"INSERT INTO {SCHEMA}.ddl (changefeed_uid, ddl_key, state, statement, fingerprint_before, epoch, session_id,"
        " session_host) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
        " ON DUPLICATE KEY UPDATE state = %s, fingerprint_before = %s, epoch = %s, session_id = %s, session_host = %s",
        (
            *(uid, key, STARTED, statement, fingerprint, epoch, session.id, session.host),
            *(STARTED, fingerprint, epoch, session.id, session.host),
        ),
    )


def write_outcome(cursor: Cursor, uid: str, key: str, state: str) -> None:
    """What came of the statement that was begun, EXECUTED or REFUSED (it begins again).

    The caller has locked and checked the schema dispatcher's row.
    """
    cursor.execute(
        f"UPDATE {SCHEMA}.ddl SET state = %s WHERE changefeed_uid = %s AND ddl_key = %s AND state = %s",
        (state, uid, key, STARTED),
    )


def write_done(
    cursor: Cursor,
    uid: str,
    key: str,
    epoch: int,
    position: Position,
    begin: Position,
    creates: Sequence[str],
    drops: Sequence[str],
    dropped_schemas: Sequence[str],
) -> None:
    """Finish a statement: its entry, the schema dispatcher's position, the progress rows that begin (at `begin`) and
    end with it.

    The caller has locked and checked the schema dispatcher's row. Entries of earlier statements are deleted,
    also of those that were begun, and then left out by another filter.
    """
    cursor.execute(f"UPDATE {SCHEMA}.ddl SET state = %s WHERE changefeed_uid = %s AND ddl_key = %s", (DONE, uid, key))
    cursor.execute(f"DELETE FROM {SCHEMA}.ddl WHERE changefeed_uid = %s AND ddl_key <> %s", (uid, key))
    cursor.execute(
        f"UPDATE {SCHEMA}.progress SET gtid_set = %s, binlog_file = %s, binlog_pos = %s, source_uuid = %s,"
        " commit_time = %s, mark = %s WHERE changefeed_uid = %s AND dispatcher = %s",
        (
            position.gtid_set,
            position.file,
            position.offset,
            position.source_id,
            position.commit_time,
            position.mark,
            uid,
            SCHEMA_DISPATCHER,
        ),
    )
    delete_progress(cursor, uid, drops)
    for schema in dropped_schemas:
        prefix = f"{schema}."
        for table in ("progress", "xa"):
            cursor.execute(
                f"DELETE FROM {SCHEMA}.{table} WHERE changefeed_uid = %s AND LEFT(dispatcher, %s) = %s",
                (uid, len(prefix), prefix),
            )
    add_progress(cursor, uid, epoch, creates, begin)


def generations(cursor: Cursor, uid: str, keys: Collection[str] | None) -> dict[str, int]:
    """The generation of each of these dispatchers that there is; None: of all."""
    select = f"SELECT dispatcher, generation FROM {SCHEMA}.progress WHERE changefeed_uid = %s"
    found: dict[str, int] = {}
    for chunk in [()] if keys is None else chunks(sorted(keys)):
        cursor.execute(select + (" AND dispatcher IN %s" if chunk else ""), (uid, chunk) if chunk else (uid,))
        found.update((key, int(generation)) for key, generation in cursor.fetchall())
    return found


def lock_schema_dispatcher(cursor: Cursor, uid: str, epoch: int, generation: int) -> Position:
    """Lock the schema dispatcher's progress row; its position.

    Raises Fenced unless it carries `generation`, at this writer's epoch or at one before that it was taken over from.
    """
    cursor.execute(
        f"SELECT epoch, generation, gtid_set, binlog_file, binlog_pos, source_uuid, commit_time, mark"
        f" FROM {SCHEMA}.progress WHERE changefeed_uid = %s AND dispatcher = %s FOR UPDATE",
        (uid, SCHEMA_DISPATCHER),
    )
    row = cursor.fetchone()
    if row is None:
        raise Fenced(f"changefeed {uid} has no schema dispatcher in the sink: it was removed after epoch {epoch}")
    if int(row[0]) > epoch or int(row[1]) != generation:
        raise Fenced(
            f"changefeed {uid}: its schema dispatcher is claimed at epoch {row[0]} generation {row[1]}; this writer is "
            f"at epoch {epoch} generation {generation}"
        )
    return Position(row[2], row[3], int(row[4]), row[5], float(row[6]), row[7])
