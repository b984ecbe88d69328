"""Another server behind the source's address, while the stream's connection to the former one lives on.

A former primary that is cut off, or that somebody still writes to, goes on sending: heartbeats, or what only it has. So
the other is judged by what it has executed. One behind a load balancer that has no more than was read is no reason to
leave a server that works.
"""

from __future__ import annotations

from typing import Any

from pymysql.connections import Connection

from hedgerow.common.binlog.gtid import GtidSet, MariadbGtidSet, gtid_set
from hedgerow.common.binlog.position import Position
from hedgerow.common.mysql.connect import ServerInfo


class Elsewhere:
    """What was seen there the last time."""

    def __init__(self) -> None:
        self._seen: tuple[str, GtidSet, str] | None = None  # the server, what it had executed, what was read then

    def judge(self, connection: Connection[Any], source: ServerInfo, read: Position, idle: bool, by_gtid: bool) -> str:
        """Why the stream is to end, or empty. `idle`: the server that sends has sent everything that it has. Otherwise
        the other may only be a little ahead; so it has to have had for a while what the stream does not come to."""
        if not by_gtid:
            return "and without GTIDs nobody can tell whether it has more"
        query = "SELECT @@gtid_current_pos" if source.flavour == "mariadb" else "SELECT @@gtid_executed"
        with connection.cursor() as cursor:
            cursor.execute(query)
            executed = gtid_set(source.flavour, str((cursor.fetchone() or ("",))[0]))
        before, self._seen = self._seen, (source.source_id, executed, read.gtid_set)
        if not idle:
            if before is None or before[0] != source.source_id or before[2] == read.gtid_set:
                return ""
            executed = before[1]
        more = _more(executed, gtid_set(source.flavour, read.gtid_set))
        return f"which has executed transactions that were not read: {more}" if more else ""


def _more(executed: GtidSet, read: GtidSet) -> str:
    if isinstance(executed, MariadbGtidSet):
        assert isinstance(read, MariadbGtidSet)
        return str(executed.minus(read))
    assert not isinstance(read, MariadbGtidSet)
    return str(executed.minus(read))
