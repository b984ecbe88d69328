"""What an error of the sink's server means for the changefeed: which HedgerowError, with what to do.

Codes: MySQL and MariaDB server error references. What is not named here stops the changefeed as SinkRefused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pymysql

from hedgerow.common.errors import HedgerowError, SinkDiverged, SinkRefused, SinkUnavailable
from hedgerow.common.mysql.connect import Flavour, unavailable
from hedgerow.common.mysql.error_codes import LOGIN_REFUSED, NOT_GRANTED
from hedgerow.common.mysql.names import TableName, quoted
from hedgerow.common.mysql.uri import ServerUri

LOCK_WAIT_TIMEOUT = 1205
TRY_AGAIN = frozenset({LOCK_WAIT_TIMEOUT, 1213, 1614})  # deadlock, transaction branch rolled back by a deadlock

_LOST = frozenset({1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1317, 1927, 2002, 2003, 2006, 2013, 2055})
_LOST_TOO = frozenset({0, 1040, 1129, 1130, 1203, 1226, 3169, 4030, 4031})  # 0: PyMySQL, about a broken connection
_READ_ONLY = frozenset({1290, 1792, 1836, 3989})
_DISK_FULL = frozenset({3, 28, 1021, 1026, 1114, 3675})
_TIMED_OUT = frozenset({1969, 3024})  # by the server: Hedgerow's sessions switch its limits off when they begin
_CORRUPT = frozenset({1034, 1035, 1194, 1195, 1712})
# Out of memory, commit failed, table definition changed, too many prepared statements, too many transactions; not ready
# to serve (Galera), and a transaction that a group refused (Group Replication).
_PASSING = frozenset({1037, 1041, 1047, 1180, 1412, 1461, 1637, 3100, 3101})
_DIVERGED = frozenset({1022, 1032, 1062, 1169, 1216, 1217, 1451, 1452, 1557, 1586, 1761, 1762})
_NO_ROW = frozenset({1032})
_DUPLICATE = frozenset({1022, 1062, 1169, 1557, 1586, 1761, 1762})
_NO_PARENT = frozenset({1216, 1452})
_CHILDREN = frozenset({1217, 1451})
_MISSING = frozenset({1049, 1051, 1146})
_SHAPE = frozenset({1054, 1136, 1364, 1535, 1610, 1677, 3546, 4078})
_UNNAMED = 1105  # both servers say no more when the columns of an event and of the table differ; their log does
_TOO_LARGE = frozenset({1197, 1206, 1705})  # binlog cache, lock table, binlog statement cache
_PACKET = frozenset({1153, 1301, 2020})


def code(error: BaseException) -> int:
    """The server's error number; 0 where the connection broke without one."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


@dataclass(frozen=True, slots=True)
class Refused:
    """`kind`: insert, update or delete. `row`: its key, or what it has, as text; empty where it is not known. `where`:
    of which transaction of the source. `there`: what the sink has under that key; empty where that is not known.
    `transaction`: its GTID, and file and offset where the event that announces it ends; None where it is not known.
    `told`: the columns that the event has of the row before; empty where it has all by which the sink's table has its
    key (without one: all)."""

    table: TableName
    kind: str
    row: str
    where: str
    there: str
    transaction: tuple[str, str, int] | None = None
    told: tuple[str, ...] = ()

    def __str__(self) -> str:
        row = f" of the row with {self.row}" if self.row else ""
        there = f"; the sink has {self.there}" if self.there else ""
        return f"the {self.kind}{row} in {self.table.key} ({self.where}){there}"


def lost(error: BaseException) -> bool:
    """Whether the connection is gone, so that what it was doing may or may not have been committed."""
    return code(error) in _LOST or code(error) in _LOST_TOO or not isinstance(error, pymysql.MySQLError)


def may_find(error: BaseException) -> bool:
    """Whether it is about a row, so that it comes again when that row is applied alone."""
    return code(error) in _DIVERGED or code(error) in _SHAPE or code(error) == _UNNAMED


def refusal(
    uri: ServerUri,
    flavour: Flavour,
    error: Exception,
    tables: Iterable[TableName] = (),
    refused: Refused | None = None,
) -> HedgerowError:
    """The error to raise for `error`; `tables` are those that the refused transaction has rows of, `refused` the row
    that it is about, where that was found."""
    number = code(error)
    text = error.args[1] if len(error.args) > 1 else str(error)
    said = f"sink {uri.address}: {number}: {text}"
    if number in _READ_ONLY:
        return SinkUnavailable(
            f"sink {uri.address} is read only ({number}: {text}). After a failover, point the sink's URI to the new "
            "primary; else SET GLOBAL read_only = OFF there"
        )
    if number in _DISK_FULL:
        return SinkUnavailable(f"{said}. The sink has no room; make some, and replication goes on by itself")
    if number in _TIMED_OUT:
        return SinkRefused(
            f"{said}. Hedgerow's sessions there have no limit, so something between (a proxy, a query killer) has set "
            "one: take it away for the sink's account, then resume; it would end the same statement again"
        )
    if number in _PASSING:
        return SinkUnavailable(f"{said}. It is a state that passes: replication goes on by itself when it has")
    if number in TRY_AGAIN:
        return SinkUnavailable(f"{said}. Other sessions of the sink hold locks on rows of {listed(tables)}")
    if number not in NOT_GRANTED and (lost(error) or number in LOGIN_REFUSED):
        return unavailable(uri, "sink", error)
    if number in _NO_ROW and flavour == "mariadb" and refused is not None and refused.told:
        columns = ", ".join(quoted(column) for column in refused.told)
        return SinkDiverged(
            f"{said}. Refused: {refused}. The event has of that row only {columns} (binlog_row_image of the source is "
            "not FULL), and the sink's table has another primary key, or none, so that MariaDB does not find it. ALTER "
            f"TABLE {refused.table.quoted} DROP INDEX IF EXISTS `PRIMARY`, ADD PRIMARY KEY ({columns}); there (with "
            "NOBLOB of these only the source's primary key), then resume",
            (*refused.transaction, refused.table.key) if refused.transaction else None,
        )
    if number in _DIVERGED:
        what = f"Refused: {refused}" if refused else f"Source and sink differ in a row of {listed(tables)}"
        return SinkDiverged(
            f"{said}. {what}. Somebody else writes to the sink, or it was not equal at the start position. "
            f"{_remedy(number, refused)}, then resume",
            (*refused.transaction, refused.table.key) if refused and refused.transaction else None,
        )
    if number in _MISSING:
        return SinkRefused(f"{said}. Table missing in the sink ({listed(tables)}): create it there, then resume")
    if number in _CORRUPT:
        return SinkRefused(
            f"{said}. A table or an index is damaged in the sink ({listed(tables)}): see that server's error log, fix "
            "it there (CHECK TABLE, REPAIR TABLE, or rebuild it by ALTER TABLE ... FORCE; for a temporary table, make "
            "room in tmpdir), then resume"
        )
    if number in _SHAPE:
        return SinkRefused(
            f"{said}. The columns in the sink do not match the source's (of {listed(tables)}): ALTER TABLE there, then "
            f"resume{_found(refused)}"
        )
    if number == _UNNAMED:
        return SinkRefused(
            f"{said}. The reason is in the error log of that server; as a rule the columns in the sink do not match "
            f"the source's (of {listed(tables)}): ALTER TABLE there, then resume{_found(refused)}"
        )
    if number in _TOO_LARGE:
        return SinkRefused(
            f"{said}. The transaction has rows of {listed(tables)} and is too large for the sink: raise there what it "
            "names (SET GLOBAL max_binlog_cache_size = ..., or innodb_buffer_pool_size); or, where it is many source "
            "transactions in one, update the changefeed with smaller --batch-transactions and --batch-bytes; then "
            "resume"
        )
    if number in NOT_GRANTED:
        return SinkRefused(f"{said}. Fix: {_grant(flavour, uri)}")
    if number in _PACKET:
        return SinkRefused(f"{said}. Fix: SET GLOBAL max_allowed_packet = 1073741824 in the sink, then resume")
    return SinkRefused(f"{said}. The transaction has rows of {listed(tables)}")


def _found(refused: Refused | None) -> str:
    return f". Refused was {refused}" if refused else ""


def _remedy(number: int, refused: Refused | None) -> str:
    """What makes it possible, when followed literally."""
    kind = refused.kind if refused else ""
    if number in _NO_ROW:
        if kind == "delete":
            return "INSERT the row there again (its key is enough; without a key, all of its columns)"
        return "INSERT the row there as the source had it before that change"
    if number in _DUPLICATE:
        return (
            "DELETE the row there that is in the way, which has the same key: to make it equal does not help, for the "
            f"{kind or 'insert'} comes again"
        )
    if number in _NO_PARENT:
        return "INSERT there the row of the other table that the foreign key points to"
    if number in _CHILDREN:
        return "DELETE there the rows of the other table that point to it"
    return "Make the row there as the source had it before that change"


def listed(tables: Iterable[TableName]) -> str:
    keys = sorted(table.key for table in tables)
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return ", ".join(keys[:5]) + more if keys else "an unknown table"


def _grant(flavour: Flavour, uri: ServerUri) -> str:
    needed = "BINLOG REPLAY" if flavour == "mariadb" else "REPLICATION_APPLIER, SESSION_VARIABLES_ADMIN"
    return (
        f"GRANT {needed} ON *.* TO {uri.user}; GRANT CREATE, SELECT, INSERT, UPDATE, DELETE ON hedgerow.* TO {uri.user}"
        " in the sink, and what the source's DDL needs there"
        + ("" if flavour == "mariadb" else " (before MySQL 8.0.18 BINLOG_ADMIN instead of REPLICATION_APPLIER)")
    )
