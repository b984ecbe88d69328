"""What to say of a lock wait that timed out: for rows, a table, or everything; and whose lock, where that is told."""

from __future__ import annotations

from collections.abc import Collection

import pymysql

from hedgerow.common.errors import HedgerowError, SinkUnavailable
from hedgerow.common.ledger.locks import global_read_lock, table_locks
from hedgerow.common.mysql.connect import connect
from hedgerow.common.mysql.names import TableName
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.dispatcher.sink.kill_switch import KillSwitch
from hedgerow.dispatcher.sink.refusals import listed

_ASK_SECONDS = 10.0


def lock_wait(
    uri: ServerUri, error: pymysql.MySQLError, tables: Collection[TableName], cut: KillSwitch, *, ddl: str = ""
) -> SinkUnavailable:
    """`error` is 1205; `tables` are those concerned. `ddl`: the statement that waited; else it was rows. Asks the sink
    over a new connection, which `cut` ends."""
    everything = holders = ""
    try:
        with connect(uri, "sink", read_timeout=_ASK_SECONDS) as connection, connection.cursor() as cursor:
            cut.attach(connection)
            everything = global_read_lock(cursor)
            if ddl and not everything:
                holders = table_locks(cursor, tables)
    except (HedgerowError, pymysql.MySQLError, OSError):  # the error that there is says enough
        pass
    names = listed(tables)
    said = f"sink {uri.address}: {error.args[0]}: {error.args[-1]}"
    if ddl:
        said += f". A DDL statement of the source that touches {names} waits for a lock: {ddl}"
    if everything:
        why = everything
    elif holders:
        why = f"It is a metadata lock. Those who have locks on {names} there, of which some are in its way: {holders}"
    elif ddl:
        why = (
            f"It is a metadata lock: as a rule a session that has used {names} has not ended its transaction there. "
            "information_schema.innodb_trx there lists open transactions (trx_mysql_thread_id is the session); SHOW "
            "PROCESSLIST tells what others wait for"
        )
    else:
        why = f"Other sessions of the sink hold locks on rows of {names}, or have locked the table"
    return SinkUnavailable(f"{said}. {why}. Replication goes on by itself when the lock is released")
