"""The sink's lock that a session holds while it executes DDL of a changefeed: GET_LOCK('hedgerow:<uid>').

It dies with the session, and a session that was killed ends only when its statement has: who gets the lock knows that
no statement of the changefeed runs in this server.
"""

from __future__ import annotations

from pymysql.cursors import Cursor

from hedgerow.common.ledger.ddl import sessions_of_started
from hedgerow.common.ledger.sessions import Sink, kill_session


def lock_name(uid: str) -> str:
    return f"hedgerow:{uid}"


def take_lock(cursor: Cursor, uid: str, seconds: int) -> bool:
    """For the session of `cursor`, which waits up to `seconds`."""
    cursor.execute("SELECT GET_LOCK(%s, %s)", (lock_name(uid), seconds))
    return cursor.fetchall() == ((1,),)


def end_ddl(conn: Sink, uid: str, epoch: int) -> str:
    """Ends sessions that execute DDL of the changefeed for an owner at `epoch` or below; what still runs, or nothing.

    The caller has raised the fence to `epoch`: once nothing runs, nothing of an owner below it begins.
    """
    with conn.cursor() as cursor:
        if take_lock(cursor, uid, 0):
            cursor.execute("SELECT RELEASE_LOCK(%s)", (lock_name(uid),))
            return ""
        for session in sessions_of_started(cursor, uid, epoch):
            kill_session(cursor, session)
        if take_lock(cursor, uid, 1):
            cursor.execute("SELECT RELEASE_LOCK(%s)", (lock_name(uid),))
            return ""
        cursor.execute(
            "SELECT id, COALESCE(state, ''), time, LEFT(COALESCE(info, ''), 200) FROM information_schema.processlist"
            " WHERE id = IS_USED_LOCK(%s)",
            (lock_name(uid),),
        )
        rows = cursor.fetchall()
    if not rows:
        return f"a session that holds GET_LOCK('{lock_name(uid)}')"
    session_id, state, seconds, statement = rows[0]
    what = " ".join(str(statement).split()) or "no statement"
    return f"session {session_id}, for {seconds} s: {what}" + (f" ({state})" if state else "")
