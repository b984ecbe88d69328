"""XA transactions in the sink: rows stored at PREPARE, applied or dropped when the source has decided.

Everything happens inside the lane's sink transaction, after its fence and progress. Only one stored statement is in
memory at a time, whatever the size of the XA transaction.
"""

from __future__ import annotations

from hedgerow.common.binlog.events import HEADER
from hedgerow.common.errors import SinkRefused
from hedgerow.common.ledger import xa as sinkxa
from hedgerow.dispatcher.sink.api import Decided, Prepared
from hedgerow.dispatcher.sink.binlog.session import SinkSession

# Of a FORMAT_DESCRIPTION: binlog version 2, server version 50, created 4, the layout of events, checksums 5.
_LAYOUT = slice(HEADER + 56, -5)


def store(session: SinkSession, uid: str, prepared: Prepared, format_description: bytes) -> None:
    session.execute(
        sinkxa.insert_text(
            session.connection,
            uid,
            prepared.xid,
            prepared.dispatcher,
            prepared.number,
            format_description,
            prepared.events,
        )
    )


def decide(session: SinkSession, uid: str, decided: Decided, format_description: bytes) -> None:
    """Raises SinkRefused where rows were stored in another format than the session's: it cannot be changed inside a
    transaction."""
    connection, xid = session.connection, decided.xid
    if decided.commit:
        listed = session.execute(sinkxa.list_text(connection, uid, xid, decided.dispatchers))
        for number, dispatcher, stored_format in listed.rows:
            if stored_format[_LAYOUT] != format_description[_LAYOUT]:
                raise SinkRefused(
                    f"XA transaction {xid} was prepared by a source of another version than the one that has committed "
                    f"it, and its rows of {dispatcher} are in the former's format. Apply its changes in the sink by "
                    f"hand, delete its rows from hedgerow.xa there, then resume"
                )
            events = session.execute(sinkxa.fetch_text(connection, uid, xid, dispatcher, number)).rows[0][0]
            session.apply(events)
    session.execute(sinkxa.delete_text(connection, uid, xid, decided.dispatchers))
