"""Queries a source or a sink for everything that the rules check. Changes nothing there.

Privileges are tried where the attempt leaves no trace: a dump of a binlog file that cannot exist (the privilege is
checked before the file), and an empty BINLOG statement (checked before its text).
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import pymysql
from pymysql.connections import Connection
from pymysql.constants import COMMAND

from hedgerow.common.ledger.progress import every_dispatcher, every_source
from hedgerow.common.mysql.catalog import Column, ForeignKey, Table, columns, foreign_keys, user_tables
from hedgerow.common.mysql.connect import ServerInfo, server_info
from hedgerow.common.mysql.error_codes import LOGIN_REFUSED, NO_PRIVILEGE, NOT_GRANTED
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.names import TableName
from hedgerow.common.mysql.unlogged import unlogged
from hedgerow.coordinator.preflight.grants import Grants, parse_grants

_T = TypeVar("_T")
_NOT_THERE: Final = frozenset({1049, 1146})  # schema, table
_NO_SUCH_FILE: Final = b"hedgerow-preflight.000000"


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables that match the filter, with their columns, and the foreign keys of all user tables."""

    listed: Mapping[TableName, Table] = field(default_factory=dict)
    columns: Mapping[TableName, tuple[Column, ...]] = field(default_factory=dict)
    foreign_keys: tuple[ForeignKey, ...] = ()
    transactional_engines: frozenset[str] = frozenset({"InnoDB"})


@dataclass(frozen=True, slots=True)
class Facts:
    """One server as one account sees it, asked about the tables of `filter`.

    `variables`: global ones, names in lower case.

    `denied`: what was tried and is not allowed, of "binlog status", "dump", "apply" and "gtid_next".
    `binlog_do`, `binlog_ignore`: the server's own binlog filter. `applied`: the changefeeds that have this server as
    their sink, by uid and the id of the server that they replicate from, as far as this account may see. `replicated`:
    the tables that changefeeds replicate into this server, by key, with the uid.
    """

    address: str
    info: ServerInfo
    account: str
    variables: Mapping[str, str]
    grants: Grants
    tables: Tables
    filter: TableFilter
    denied: frozenset[str] = frozenset()
    binlog_do: str = ""
    binlog_ignore: str = ""
    unlogged: str = ""  # common.mysql.connect.unlogged
    applied: frozenset[tuple[str, str]] = frozenset()
    replicated: Mapping[str, str] = field(default_factory=dict)

    def variable(self, *names: str) -> tuple[str, str]:
        """(name, value) of the first of these variables that the server has; ("", "") if it has none of them."""
        return next(((name, self.variables[name]) for name in names if name in self.variables), ("", ""))


def source_facts(connection: Connection[Any], address: str, table_filter: TableFilter) -> Facts:
    """Raises what PyMySQL raises when the connection breaks. The connection cannot be used afterwards."""
    info = server_info(connection)
    denied: set[str] = set()
    status = _binlog_status(connection, info)
    if status is None:
        denied.add("binlog status")
    common = _common(connection, address, info, table_filter)
    applied: frozenset[tuple[str, str]] = _from_progress(every_source, connection, frozenset())
    lacks = unlogged(connection, info)
    if common["variables"].get("log_bin") == "ON" and not _may_dump(connection):
        denied.add("dump")
    do, ignore = status or ("", "")
    return Facts(
        **common, denied=frozenset(denied), binlog_do=do, binlog_ignore=ignore, unlogged=lacks, applied=applied
    )


def sink_facts(connection: Connection[Any], address: str, table_filter: TableFilter) -> Facts:
    """Raises what PyMySQL raises when the connection breaks."""
    info = server_info(connection)
    denied: set[str] = set()
    if _error_of(connection, "BINLOG ''") == NO_PRIVILEGE:
        denied.add("apply")
    if info.flavour == "mysql" and _error_of(connection, "SET SESSION gtid_next = 'AUTOMATIC'") == NO_PRIVILEGE:
        denied.add("gtid_next")
    common = _common(connection, address, info, table_filter)
    return Facts(**common, denied=frozenset(denied), replicated=_from_progress(every_dispatcher, connection, {}))


def read_tables(connection: Connection[Any], table_filter: TableFilter) -> Tables:
    listed = {table.name: table for table in user_tables(connection, table_filter)}
    engines = _rows(connection, "SELECT engine FROM information_schema.engines WHERE transactions = 'YES'")
    return Tables(
        listed,
        columns(connection, listed),
        tuple(foreign_keys(connection)),
        frozenset(str(engine) for (engine,) in engines),
    )


def _common(connection: Connection[Any], address: str, info: ServerInfo, table_filter: TableFilter) -> dict[str, Any]:
    variables = {str(name).lower(): str(value) for name, value in _rows(connection, "SHOW GLOBAL VARIABLES")}
    ((account,),) = _rows(connection, "SELECT CURRENT_USER()")
    return {
        "address": address,
        "info": info,
        "account": "'" + str(account).replace("@", "'@'") + "'",
        "variables": variables,
        "grants": parse_grants(_show_grants(connection, info)),
        "tables": read_tables(connection, table_filter),
        "filter": table_filter,
    }


def _show_grants(connection: Connection[Any], info: ServerInfo) -> Iterable[str]:
    """MySQL shows a role's privileges only when asked for them; MariaDB always."""
    statement = "SHOW GRANTS"
    if info.flavour == "mysql":
        ((roles,),) = _rows(connection, "SELECT CURRENT_ROLE()")
        if roles != "NONE":
            statement = f"SHOW GRANTS FOR CURRENT_USER() USING {roles}"
    return [str(line) for (line,) in _rows(connection, statement)]


def _binlog_status(connection: Connection[Any], info: ServerInfo) -> tuple[str, str] | None:
    """(binlog_do_db, binlog_ignore_db), or None where this account may not ask."""
    renamed = info.flavour == "mysql" and info.version >= (8, 2, 0)
    try:
        rows = _rows(connection, "SHOW BINARY LOG STATUS" if renamed else "SHOW MASTER STATUS")
    except pymysql.MySQLError as error:
        if error.args[0] in NOT_GRANTED:
            return None
        raise
    return (str(rows[0][2]), str(rows[0][3])) if rows else ("", "")


def _from_progress(read: Callable[[Connection[Any]], _T], connection: Connection[Any], nothing: _T) -> _T:
    """`nothing` where no changefeed has written here, or this account may not see it."""
    try:
        return read(connection)
    except pymysql.MySQLError as error:
        if error.args[0] in NOT_GRANTED | _NOT_THERE:
            return nothing
        raise


def _may_dump(connection: Connection[Any]) -> bool:
    """Try COM_BINLOG_DUMP (MySQL internals, "COM_BINLOG_DUMP"). The server id must be unused: the server ends the
    dump of a replica whose id connects a second time."""
    server_id = random.randrange(1 << 31, 1 << 32)
    payload = struct.pack("<IHI", 4, 0, server_id) + _NO_SUCH_FILE
    raw: Any = connection
    try:
        raw._execute_command(COMMAND.COM_BINLOG_DUMP, payload)
        raw._read_packet()
    except pymysql.MySQLError as error:
        return error.args[0] not in NOT_GRANTED | LOGIN_REFUSED
    return True


def _error_of(connection: Connection[Any], statement: str) -> int:
    try:
        _rows(connection, statement)
    except pymysql.MySQLError as error:
        if not connection.open:
            raise
        return int(error.args[0])
    return 0


def _rows(connection: Connection[Any], statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())
