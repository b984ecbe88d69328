"""What a sink knows about a started changefeed, checked before an update of its servers or filter."""

from __future__ import annotations

from contextlib import closing

import pymysql
from pymysql.constants import ER

from hedgerow.common.errors import Problem
from hedgerow.common.ledger.progress import list_progress
from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.common.mysql.catalog import user_tables
from hedgerow.common.mysql.connect import connect, unavailable
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.uri import ServerUri

_SECONDS = 10.0
SHOWN = 5


def has_progress(sink: ServerUri, uid: str) -> bool:
    """Blocking. Raises SinkUnavailable."""
    with closing(connect(sink, "sink", read_timeout=_SECONDS)) as connection:
        try:
            return bool(list_progress(connection, uid))
        except (pymysql.MySQLError, OSError) as error:
            if error.args and error.args[0] in (ER.NO_SUCH_TABLE, ER.BAD_DB_ERROR):
                return False
            raise unavailable(sink, "sink", error) from error


def joining(sink: ServerUri, uid: str, former: TableFilter, new: TableFilter) -> list[Problem]:
    """Tables that an updated filter adds, and where they start; none if the changefeed has not started. Blocking.
    Raises SinkUnavailable."""
    with closing(connect(sink, "sink", read_timeout=_SECONDS)) as connection:
        try:
            rows = {row.dispatcher: row.position for row in list_progress(connection, uid)}
            names = [table.name for table in user_tables(connection, new)]
        except (pymysql.MySQLError, OSError) as error:
            if error.args and error.args[0] in (ER.NO_SUCH_TABLE, ER.BAD_DB_ERROR):
                return []
            raise unavailable(sink, "sink", error) from error
    position = rows.get(SCHEMA_DISPATCHER)
    joins = sorted(name.key for name in names if name.key not in rows and not former.matches(*name))
    if position is None or not joins:
        return []
    shown = ", ".join(joins[:SHOWN]) + (f" and {len(joins) - SHOWN} more" if joins[SHOWN:] else "")
    return [
        Problem(
            f"{shown} now matches the filter and starts at the changefeed's position ({position}, or wherever a "
            "running changefeed is when the filter takes effect): earlier changes are not replicated",
            "make the sink's copy equal to the source's table at that position: pause the changefeed, load the table "
            "as of its checkpoint, update the filter, and resume",
        )
    ]
