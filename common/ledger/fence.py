"""Table hedgerow.fence in the sink: up to which epoch writers of a changefeed are fenced.

- a changefeed without a row is fenced; the row is only ever inserted or raised, also by removal (a tombstone);
- whoever changes anything first locks the row (shared) in the same transaction and finds it not above its epoch.

Blocking, on a PyMySQL connection to the sink.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from hedgerow.common.errors import Fenced
from hedgerow.common.ledger.schema import SCHEMA
from hedgerow.common.ledger.sessions import Sink, one_row


def find_fence(conn: Sink, uid: str) -> int:
    """The fence's epoch; 0 without one. Takes no locks."""
    with conn.cursor() as cursor:
        cursor.execute(f"SELECT epoch FROM {SCHEMA}.fence WHERE changefeed_uid = %s", (uid,))
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def check_not_above(conn: Sink, uid: str, epoch: int, owner: str) -> None:
    """Raises Fenced where the fence is another owner's already. Takes no locks, which one of them could hold."""
    with conn.cursor() as cursor:
        cursor.execute(f"SELECT epoch, owner FROM {SCHEMA}.fence WHERE changefeed_uid = %s", (uid,))
        row = cursor.fetchone()
    if row is not None:
        judge_owner(uid, epoch, owner, int(row[0]), row[1])


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


def raise_row(cursor: Cursor, uid: str, epoch: int, owner: str) -> None:
    """Insert the row or raise it to `epoch`. Raises Fenced where it is above, or at `epoch` with another owner."""
    cursor.execute(
        f"INSERT INTO {SCHEMA}.fence (changefeed_uid, epoch, owner) VALUES (%s, %s, %s)"
        " ON DUPLICATE KEY UPDATE owner = IF(epoch < %s, %s, owner), epoch = GREATEST(epoch, %s)",
        (uid, epoch, owner, epoch, owner, epoch),
    )
    cursor.execute(f"SELECT epoch, owner FROM {SCHEMA}.fence WHERE changefeed_uid = %s", (uid,))
    found, whose = one_row(cursor)
    judge_owner(uid, epoch, owner, int(found), whose)


def judge_owner(uid: str, epoch: int, owner: str, fence: int, whose: str) -> None:
    """Raises Fenced where the fence is above `epoch`, or at `epoch` and another owner's."""
    if fence > epoch or (fence == epoch and whose != owner):
        raise Fenced(
            f"changefeed {uid}: the sink's fence is at epoch {fence} (owner {whose}), which is not below "
            f"epoch {epoch} (owner {owner})",
            fence,
        )
