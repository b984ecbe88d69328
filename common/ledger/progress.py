"""Table hedgerow.progress in the sink: how far each dispatcher is, and who moves it.

A row moves forward only under its incarnation (epoch, generation) and the session that claimed it. The rows of a
changefeed are the list of its dispatchers.

A frozen writer can hold these locks: the functions here end its session after a second (see common.ledger.sessions),
and try again until `patience` (seconds) is over.

Blocking, on a PyMySQL connection to the sink in autocommit mode that nobody else uses. Server errors that a statement
here can meet beyond the named ones are left to the caller as pymysql.MySQLError.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.constants import ER
from pymysql.cursors import Cursor

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import Fenced, SinkRefused
from hedgerow.common.ledger.fence import check_fence
from hedgerow.common.ledger.schema import SCHEMA, SCHEMA_DISPATCHER, ensure_schema
from hedgerow.common.ledger.sessions import PATIENCE, SessionRecord, Sink, patiently, this_session

CHUNK = 500  # dispatchers in one statement


@dataclass(frozen=True, slots=True)
class ProgressRow:
    dispatcher: str
    epoch: int
    generation: int
    position: Position
    session: SessionRecord


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


def every_dispatcher(conn: Sink) -> dict[str, str]:
    """The changefeed (uid) that replicates each table of this sink."""
    with conn.cursor() as cursor:
        cursor.execute(f"SELECT dispatcher, changefeed_uid FROM {SCHEMA}.progress")
        return {str(key): str(uid) for key, uid in cursor.fetchall() if key != SCHEMA_DISPATCHER}


def every_source(conn: Sink) -> frozenset[tuple[str, str]]:
    """(changefeed uid, source id) of all that was applied to this sink."""
    with conn.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT changefeed_uid, source_uuid FROM {SCHEMA}.progress")
        return frozenset((str(uid), str(source)) for uid, source in cursor.fetchall())


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


def claim_dispatchers(
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
