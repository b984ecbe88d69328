"""Whether a server's binlog lacks what the server replicates from another: nothing of that would ever arrive.

Blocking, on a PyMySQL connection; raises what PyMySQL raises.
"""

from __future__ import annotations

from typing import Any

import pymysql
from pymysql.connections import Connection

from hedgerow.common.mysql.connect import ServerInfo
from hedgerow.common.mysql.error_codes import NOT_GRANTED

_VARIABLES = ("log_replica_updates", "log_slave_updates")
_RUNNING = ("Replica_IO_Running", "Slave_IO_Running", "Replica_SQL_Running", "Slave_SQL_Running")


def unlogged(connection: Connection[Any], info: ServerInfo) -> str:
    """The variable that is OFF while the server replicates; empty where nothing is missing. An account that may not ask
    whether it does is told by what the server has replicated so far."""
    found = dict(_rows(connection, "SHOW GLOBAL VARIABLES WHERE Variable_name IN %s", _VARIABLES)[0])
    name = next((name for name in _VARIABLES if name in found), "")
    if found.get(name) != "OFF" or not _replicates(connection, info):
        return ""
    return name


def _replicates(connection: Connection[Any], info: ServerInfo) -> bool:
    statement = "SHOW ALL SLAVES STATUS"
    if info.flavour == "mysql":
        statement = "SHOW REPLICA STATUS" if info.version >= (8, 0, 22) else "SHOW SLAVE STATUS"
    try:
        rows, names = _rows(connection, statement)
    except pymysql.MySQLError as error:
        if error.args[0] not in NOT_GRANTED:
            raise
        if info.flavour == "mysql":
            return True
        return _rows(connection, "SELECT @@gtid_slave_pos")[0] != [("",)]
    return any(value != "No" for row in rows for name, value in zip(names, row, strict=True) if name in _RUNNING)


def _rows(connection: Connection[Any], statement: str, *values: object) -> tuple[list[tuple[Any, ...]], list[str]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall()), [str(column[0]) for column in cursor.description or ()]
