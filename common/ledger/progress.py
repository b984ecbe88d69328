"""Schema `hedgerow` in the sink: the fence and the progress of every dispatcher.

The sink is the truth about what was applied and who may apply. Every statement on these two tables is here or in
common.ledger.ddl, so that the rules can be read in one place:

- a changefeed without a fence row is fenced; the row is only ever inserted or raised, also by removal (a tombstone);
- whoever changes anything first locks the fence row (shared) in the same transaction and finds it not above its epoch;
- a progress row moves forward only under its incarnation (epoch, generation) and the session that claimed it.

A frozen writer can hold these locks: the functions here end its session after a second (see common.ledger.sessions),
and try again until `patience` (seconds) is over.

Blocking, on a PyMySQL connection to the sink in autocommit mode that nobody else uses. Server errors that a statement
here can meet beyond the named ones are left to the caller as pymysql.MySQLError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.constants import ER
from pymysql.cursors import Cursor

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import Fenced, SinkRefused
from hedgerow.common.ledger.schema import SCHEMA, SCHEMA_DISPATCHER, ensure_schema
from hedgerow.common.ledger.sessions import (
    SessionRecord,
    Sink,
    kill_session,
    one_row,
    patiently,
    this_session,
    transaction,
)

__all__ = [
    "SCHEMA",
    "SCHEMA_DISPATCHER",
    "ProgressRow",
    "SessionRecord",
    "add_progress",
    "check_fence",
    "chunks",
    "claim",
    "delete_progress",
    "dispatchers_of_others",
    "ensure_schema",
    "fence_query",
    "find_fence",
    "forget",
    "insert_progress",
    "judge_fence",
    "kill_session",
    "list_progress",
    "progress_update",
    "raise_fence",
    "this_session",
    "transaction",
]

TOMBSTONE_DAYS = 7
PATIENCE = 10.0  # seconds that a blocked statement is tried again
CHUNK = 500  # dispatchers in one statement


@dataclass(frozen=True, slots=True)
class ProgressRow:
    dispatcher: str
    epoch: int
    generation: int
    position: Position
    session: SessionRecord


def raise_fence(
    conn: Sink,
    uid: str,
    epoch: int,
    owner: str,
    *,
    also: Callable[[Cursor], None] | None = None,
    patience: float = PATIENCE,
) -> None:
    """Insert the fence row or raise it to `epoch`; from then on no writer below `epoch` commits.

    `also` is done in the same transaction, which may be tried more than once. Raises Fenced where the row is above, or
    at `epoch` with another owner; SinkUnavailable where a lock outlasts `patience` seconds.
    """

    def attempt(cursor: Cursor) -> None:
        _raise(cursor, uid, epoch, owner)
        if also is not None:
            also(cursor)

    def blockers() -> Iterable[SessionRecord]:
        return (row.session for row in list_progress(conn, uid) if row.epoch < epoch)

    patiently(conn, f"raising the fence of changefeed {uid}", patience, attempt, blockers)


def find_fence(conn: Sink, uid: str) -> int:
    """The fence's epoch; 0 without one. Takes no locks."""
    with conn.cursor() as cursor:
        cursor.execute(f"SELECT epoch FROM {SCHEMA}.fence WHERE changefeed_uid = %s", (uid,))
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def forget(conn: Sink, uid: str, epoch: int, owner: str, *, patience: float = PATIENCE) -> None:
    """Remove a changefeed: raise its fence to `epoch` as a tombstone, delete everything else of it.

    Tombstones older than a week are collected on the way. Raises what raise_fence raises.
    """

    def attempt(cursor: Cursor) -> None:
        _raise(cursor, uid, epoch, owner)
        cursor.execute(
            f"UPDATE {SCHEMA}.fence SET removed_at = COALESCE(removed_at, NOW()) WHERE changefeed_uid = %s", (uid,)
        )
        cursor.execute(f"DELETE FROM {SCHEMA}.progress WHERE changefeed_uid = %s", (uid,))
        cursor.execute(f"DELETE FROM {SCHEMA}.ddl WHERE changefeed_uid = %s", (uid,))
        cursor.execute(f"DELETE FROM {SCHEMA}.xa WHERE changefeed_uid = %s", (uid,))
        cursor.execute(
            f"DELETE FROM {SCHEMA}.fence WHERE removed_at < NOW() - INTERVAL {TOMBSTONE_DAYS} DAY"
            " AND changefeed_uid <> %s",
            (uid,),
        )

    def blockers() -> Iterable[SessionRecord]:
        return (row.session for row in list_progress(conn, uid))

    patiently(conn, f"removing changefeed {uid} from the sink", patience, attempt, blockers)


def list_progress(conn: Sink, uid: str) -> list[ProgressRow]:
    """All progress rows of a changefeed, by dispatcher. Takes no locks."""
    with conn.cursor() as cursor:
        cursor.execute(f"{_SELECT_PROGRESS} WHERE changefeed_uid = %s ORDER BY dispatcher", (uid,))
        return [_progress(row) for row in cursor.fetchall()]


def dispatchers_of_others(conn: Sink, uid: str) -> set[str]:
    """What other changefeeds replicate to this sink."""
    with conn.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT dispatcher FROM {SCHEMA}.progress WHERE changefeed_uid <> %s", (uid,))
        return {row[0] for row in cursor.fetchall()} - {SCHEMA_DISPATCHER}


def insert_progress(
    conn: Sink, uid: str, epoch: int, dispatchers: Sequence[str], position: Position, *, patience: float = PATIENCE
) -> None:
    """Add rows for new dispatchers at `position`, generation 0, all or none; rows that exist stay as they are.

    Raises Fenced, SinkUnavailable.
    """

    def attempt(cursor: Cursor) -> None:
        check_fence(cursor, uid, epoch)
        add_progress(cursor, uid, epoch, dispatchers, position)

    patiently(conn, f"inserting progress of changefeed {uid}", patience, attempt)


def claim(
    conn: Sink, uid: str, epoch: int, generations: Mapping[str, int], *, patience: float = PATIENCE
) -> dict[str, Position]:
    """Put this connection in charge of dispatchers, and tell where each is to begin. All or none.

    A row is claimed where its incarnation is not above (epoch, generation); an equal one is this writer's own, from
    before it reconnected. Raises Fenced (fence or a row above, or a row gone), SinkUnavailable.
    """
    if not generations:
        return {}
    try:
        return _claim(conn, uid, epoch, generations, patience)
    except pymysql.MySQLError as error:
        if error.args[0] != ER.BAD_FIELD_ERROR:
            raise
    ensure_schema(conn)  # made by an earlier version, whose maintainer this one's lanes work for
    return _claim(conn, uid, epoch, generations, patience)


def _claim(conn: Sink, uid: str, epoch: int, generations: Mapping[str, int], patience: float) -> dict[str, Position]:
    session = this_session(conn)

    def attempt(cursor: Cursor) -> dict[str, Position]:
        check_fence(cursor, uid, epoch)
        found: dict[str, ProgressRow] = {}
        for chunk in chunks(sorted(generations)):
            cursor.execute(
                f"{_SELECT_PROGRESS} WHERE changefeed_uid = %s AND dispatcher IN %s FOR UPDATE", (uid, chunk)
            )
            found.update({row.dispatcher: row for row in map(_progress, cursor.fetchall())})
        for key, generation in generations.items():
            row = found.get(key)
            if row is None:
                raise Fenced(
                    f"changefeed {uid}: dispatcher {key} has no progress row in the sink: its table was dropped, or "
                    f"the changefeed removed, by a writer after epoch {epoch}"
                )
            if (row.epoch, row.generation) > (epoch, generation):
                raise Fenced(
                    f"changefeed {uid}: dispatcher {key} is claimed at epoch {row.epoch} generation {row.generation}; "
                    f"this writer is at epoch {epoch} generation {generation}",
                    row.epoch,
                )
        for generation in sorted(set(generations.values())):
            for chunk in chunks(sorted(key for key, wanted in generations.items() if wanted == generation)):
                cursor.execute(
                    f"UPDATE {SCHEMA}.progress SET epoch = %s, generation = %s, session_id = %s, session_host = %s"
                    " WHERE changefeed_uid = %s AND dispatcher IN %s",
                    (epoch, generation, session.id, session.host, uid, chunk),
                )
        return {key: found[key].position for key in generations}

    def blockers() -> Iterable[SessionRecord]:
        return (
            row.session
            for row in list_progress(conn, uid)
            if row.dispatcher in generations and (row.epoch, row.generation) <= (epoch, generations[row.dispatcher])
        )

    return patiently(conn, f"claiming dispatchers of changefeed {uid}", patience, attempt, blockers)


# Pieces of a fenced transaction. The caller has begun it, and rolls it back on any error.


def check_fence(cursor: Cursor, uid: str, epoch: int) -> None:
    """Lock the fence row shared until the transaction ends. Raises Fenced where it is above `epoch` or missing."""
    cursor.execute(fence_query(cursor.connection, uid))
    judge_fence(uid, epoch, cursor.fetchall())


def fence_query(conn: Connection[Any], uid: str) -> str:
    """LOCK IN SHARE MODE is the spelling that both servers know."""
    return f"SELECT epoch, owner FROM {SCHEMA}.fence WHERE changefeed_uid = {conn.escape(uid)} LOCK IN SHARE MODE"


def judge_fence(uid: str, epoch: int, rows: Sequence[tuple[Any, ...]]) -> None:
    """Raises Fenced unless `rows`, the answer to fence_query, lets a writer of `epoch` commit."""
    if not rows:
        raise Fenced(f"changefeed {uid} has no fence row in the sink: a writer of epoch {epoch} may not write there")
    fence, owner = int(rows[0][0]), rows[0][1]
    if fence > epoch:
        raise Fenced(
            f"changefeed {uid}: the sink's fence is at epoch {fence} (owner {owner}), this writer is at epoch {epoch}; "
            "its transaction was rolled back",
            fence,
        )


def add_progress(cursor: Cursor, uid: str, epoch: int, dispatchers: Sequence[str], position: Position) -> None:
    """Insert rows with generation 0 where there are none. Raises SinkRefused where another changefeed has one of these
    tables: two would apply every change twice."""
    if dispatchers:
        _check_of_no_other(cursor, uid, dispatchers)
        cursor.executemany(
            f"INSERT IGNORE INTO {SCHEMA}.progress (changefeed_uid, dispatcher, epoch, generation, gtid_set,"
            " binlog_file, binlog_pos, source_uuid, commit_time, mark) VALUES (%s, %s, %s, 0, %s, %s, %s, %s, %s, %s)",
            [(uid, key, epoch, *_columns(position)) for key in sorted(dispatchers)],
        )


def _check_of_no_other(cursor: Cursor, uid: str, dispatchers: Sequence[str]) -> None:
    for chunk in chunks(sorted(set(dispatchers) - {SCHEMA_DISPATCHER})):
        cursor.execute(
            f"SELECT dispatcher, changefeed_uid FROM {SCHEMA}.progress WHERE dispatcher IN %s AND changefeed_uid <> %s"
            " ORDER BY dispatcher LIMIT 5",
            (chunk, uid),
        )
        found = cursor.fetchall()
        if found:
            tables = ", ".join(f"{key} (by changefeed uid {other})" for key, other in found)
            raise SinkRefused(
                "another changefeed replicates into tables of this sink that this one would replicate as well: "
                f"{tables}; "
                "every change would be applied twice. Leave them out of one of the two (hedgerow changefeed update "
                "NAME "
                "--filter ...), or remove the other one; then resume. Where nothing is left of it but this: DELETE "
                "FROM "
                f"{SCHEMA}.progress WHERE changefeed_uid = '{found[0][1]}'; in the sink"
            )


def delete_progress(cursor: Cursor, uid: str, dispatchers: Sequence[str]) -> None:
    """And what they have stored of XA transactions."""
    for chunk in chunks(sorted(dispatchers)):
        cursor.execute(f"DELETE FROM {SCHEMA}.progress WHERE changefeed_uid = %s AND dispatcher IN %s", (uid, chunk))
        cursor.execute(f"DELETE FROM {SCHEMA}.xa WHERE changefeed_uid = %s AND dispatcher IN %s", (uid, chunk))


def progress_update(
    conn: Connection[Any],
    uid: str,
    dispatchers: Sequence[str],
    *,
    recorded: tuple[int, int],
    epoch: int,
    session_id: int,
    position: Position | None,
) -> str:
    """Move rows that carry the incarnation `recorded` and the session to `position` and to `epoch`.

    Without a position it only locks and marks them. It must match one row for each dispatcher.
    """
    literal = conn.escape
    changes = f"epoch = {epoch:d}, updated_at = CURRENT_TIMESTAMP(6)"
    if position is not None:
        gtid_set, file, offset, source_id, commit_time, mark = _columns(position)
        changes += (
            f", gtid_set = {literal(gtid_set)}, binlog_file = {literal(file)}, binlog_pos = {offset:d},"
            f" source_uuid = {literal(source_id)}, commit_time = {commit_time!r}, mark = {literal(mark)}"
        )
    keys = ", ".join(map(literal, dispatchers))
    return (
        f"UPDATE {SCHEMA}.progress SET {changes} WHERE changefeed_uid = {literal(uid)} AND dispatcher IN ({keys})"
        f" AND epoch = {recorded[0]:d} AND generation = {recorded[1]:d} AND session_id = {session_id:d}"
    )


def chunks(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), CHUNK):
        yield keys[start : start + CHUNK]


_SELECT_PROGRESS = (
    "SELECT dispatcher, epoch, generation, gtid_set, binlog_file, binlog_pos, source_uuid, commit_time, mark,"
    f" session_id, session_host FROM {SCHEMA}.progress"
)


def _progress(row: tuple[Any, ...]) -> ProgressRow:
    dispatcher, epoch, generation, gtid_set, file, offset, source_id, time, mark, session_id, session_host = row
    return ProgressRow(
        dispatcher=dispatcher,
        epoch=int(epoch),
        generation=int(generation),
        position=Position(gtid_set, file, int(offset), source_id, float(time), mark),
        session=SessionRecord(int(session_id), session_host),
    )


def _columns(position: Position) -> tuple[str, str, int, str, float, str]:
    at = position
    return at.gtid_set, at.file, at.offset, at.source_id, at.commit_time, at.mark


def _raise(cursor: Cursor, uid: str, epoch: int, owner: str) -> None:
    cursor.execute(
        f"INSERT INTO {SCHEMA}.fence (changefeed_uid, epoch, owner) VALUES (%s, %s, %s)"
        " ON DUPLICATE KEY UPDATE owner = IF(epoch < %s, %s, owner), epoch = GREATEST(epoch, %s)",
        (uid, epoch, owner, epoch, owner, epoch),
    )
    cursor.execute(f"SELECT epoch, owner FROM {SCHEMA}.fence WHERE changefeed_uid = %s", (uid,))
    found, whose = one_row(cursor)
    if int(found) > epoch or whose != owner:
        raise Fenced(
            f"changefeed {uid}: the sink's fence is at epoch {found} (owner {whose}), which is not below "
            f"epoch {epoch} (owner {owner})",
            int(found),
        )
