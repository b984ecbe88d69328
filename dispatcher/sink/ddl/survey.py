"""Which tables the sink has that no dispatcher replicates: what is known of a statement that was left out unread.

A user has executed in the sink what belongs there. Everything before the statement is applied when this is asked, so a
table that is there, matches the filter and has no progress row has come with it.
"""

from __future__ import annotations

import pymysql

from hedgerow.common.ledger.progress import list_progress
from hedgerow.common.mysql.catalog import user_tables
from hedgerow.common.mysql.connect import Flavour, connect
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.names import TableName
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.dispatcher.sink.kill_switch import KillSwitch
from hedgerow.dispatcher.sink.refusals import refusal

_SECONDS = 30.0


def unlisted(uri: ServerUri, flavour: Flavour, uid: str, table_filter: TableFilter, cut: KillSwitch) -> list[TableName]:
    """Raises SinkUnavailable, SinkRefused."""
    try:
        with connect(uri, "sink", read_timeout=_SECONDS) as connection:
            cut.attach(connection)
            listed = {row.dispatcher for row in list_progress(connection, uid)}
            found = [table.name for table in user_tables(connection, table_filter)]
    except (pymysql.MySQLError, OSError) as error:
        raise refusal(uri, flavour, error) from error
    return [name for name in found if name.key not in listed and "." not in name.schema + name.table]
