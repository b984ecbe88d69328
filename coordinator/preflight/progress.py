"""Whether a sink knows a changefeed: before one that has begun is pointed at another address of it."""

from __future__ import annotations

from contextlib import closing

import pymysql
from pymysql.constants import ER

from common.mysql import connect, unavailable
from common.sinktables import list_progress
from common.uri import ServerUri

_SECONDS = 10.0


def has_progress(sink: ServerUri, uid: str) -> bool:
    """Blocking. Raises SinkUnavailable."""
    with closing(connect(sink, "sink", read_timeout=_SECONDS)) as connection:
        try:
            return bool(list_progress(connection, uid))
        except (pymysql.MySQLError, OSError) as error:
            if error.args and error.args[0] in (ER.NO_SUCH_TABLE, ER.BAD_DB_ERROR):
                return False
            raise unavailable(sink, "sink", error) from error
