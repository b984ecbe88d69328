"""What a new owner, and the removal of a changefeed, do in the sink: raise the fence, end those whom it shuts out.

A frozen writer can hold these locks: the functions here end its session after a second (see common.ledger.sessions),
and try again until `patience` (seconds) is over. Blocking, on a PyMySQL connection in autocommit mode that nobody else
uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pymysql.cursors import Cursor

from hedgerow.common.ledger.fence import raise_row
from hedgerow.common.ledger.progress import list_progress
from hedgerow.common.ledger.schema import SCHEMA
from hedgerow.common.ledger.sessions import PATIENCE, SessionRecord, Sink, patiently

TOMBSTONE_DAYS = 7


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
        raise_row(cursor, uid, epoch, owner)
        if also is not None:
            also(cursor)

    def blockers() -> Iterable[SessionRecord]:
        return (row.session for row in list_progress(conn, uid) if row.epoch < epoch)

    patiently(conn, f"raising the fence of changefeed {uid}", patience, attempt, blockers)


def remove_changefeed(conn: Sink, uid: str, epoch: int, owner: str, *, patience: float = PATIENCE) -> None:
    """Remove a changefeed: raise its fence to `epoch` as a tombstone, delete everything else of it.

    Tombstones older than a week are collected on the way. Raises what raise_fence raises.
    """

    def attempt(cursor: Cursor) -> None:
        raise_row(cursor, uid, epoch, owner)
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
