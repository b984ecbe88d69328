"""Whether a source can continue from a position, and what its refusals mean.

What can be asked beforehand is asked, because the answer can then name what is missing; the server's own refusal
(error 1236, its text is all that tells them apart) covers what changes in between. "The same server without it" means
that its binlog was reset or lost its end; "another server without it" means that histories have parted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from pymysql.connections import Connection

from hedgerow.common.binlog.gtid import MariadbGtidSet, MysqlGtidSet
from hedgerow.common.binlog.position import Position, file_order, following
from hedgerow.common.errors import (
    BinlogCorrupt,
    BinlogPurged,
    BinlogReset,
    HistoryDiverged,
    ReplicationError,
    SourceUnavailable,
    Unavailable,
    UnsupportedEvent,
)
from hedgerow.common.mysql.connect import ServerInfo
from hedgerow.common.mysql.unlogged import unlogged

_MASTER_FATAL: Final = 1236
COPY: Final = "copy the data again and create the changefeed again from there"

_PERMISSIVE: Final = (
    "transactions with GTIDs that were not applied yet can be read with gtid_mode = ON_PERMISSIVE only: "
    "SET GLOBAL gtid_mode = OFF_PERMISSIVE; SET GLOBAL gtid_mode = ON_PERMISSIVE; on the source, resume, and turn it "
    "off when the changefeed has caught up"
)

# Parts of the texts of error 1236, of all versions of both servers, in lower case.
_TEXTS: Final[tuple[tuple[str, type[ReplicationError], str], ...]] = (
    ("purged", BinlogPurged, COPY),
    ("could not find first log file name", BinlogPurged, COPY),
    ("could not find gtid state requested", BinlogPurged, COPY),
    ("more gtids than", HistoryDiverged, COPY),
    ("not in the master's binlog", HistoryDiverged, COPY),
    ("is missing the gtid", HistoryDiverged, COPY),
    ("diverge", HistoryDiverged, COPY),
    ("position > file size", BinlogReset, COPY),
    ("impossible position", BinlogReset, COPY),
    ("binlog truncated in the middle", BinlogCorrupt, ""),  # see _torn
    ("crc", BinlogCorrupt, "check the source's disk"),
    ("checksum", BinlogCorrupt, "check the source's disk"),
    ("bogus data", BinlogCorrupt, "the position is not at the beginning of an event, or the source's disk is damaged"),
    ("anonymous", UnsupportedEvent, "set gtid_mode = ON on the source, and start after its last anonymous transaction"),
    ("gtid_mode", UnsupportedEvent, _PERMISSIVE),
    ("gtid-transaction", UnsupportedEvent, _PERMISSIVE),
    ("max_allowed_packet", UnsupportedEvent, "raise max_allowed_packet on the source"),
)
_LAST_READ: Final = re.compile(r"last event read from '(?:[^']*[/\\])?([^'/\\]+\.[0-9]+)' at ([0-9]+)")
_RETRIABLE: Final = ("server_uuid/server_id", "same server_id", "same server_uuid", "being killed", "shut")


def check_gtids(
    connection: Connection[Any], source: ServerInfo, address: str, start: Position, applied: Position
) -> bool:
    """Whether to start by GTID set (else by file and offset), from a source that still has what comes after `start`.

    Raises as `check_applied`, and BinlogPurged, naming the GTIDs.
    """
    by_gtid = check_applied(connection, source, address, start, applied)
    if by_gtid and source.flavour == "mysql":
        (purged,) = _row(connection, "SELECT @@gtid_purged")
        gone = MysqlGtidSet.parse(str(purged)).minus(MysqlGtidSet.parse(start.gtid_set))
        if gone:
            raise BinlogPurged(
                f"source {address} has purged transactions that were not applied yet: {gone}. They are needed after "
                f"{start}; {COPY}"
            )
    return by_gtid


def check_logged(connection: Connection[Any], source: ServerInfo, address: str) -> None:
    """Raises UnsupportedEvent where the source replicates from another server and does not log what it does so."""
    name = unlogged(connection, source)
    if name:
        raise UnsupportedEvent(
            f"source {address} replicates from another server with {name} = OFF: its binlog lacks what comes from "
            f"there, and so would the sink. Set {name} = ON under [mysqld] in its configuration and restart it, or "
            f"replicate from that other server; what was missed has to be copied: {COPY}"
        )


def check_applied(
    connection: Connection[Any], source: ServerInfo, address: str, start: Position, applied: Position
) -> bool:
    """Whether to start by GTID set (else by file and offset). `applied`: what the source must have had, if only in
    parts that the start is before. It holds for as long as the stream runs, whatever the source purges meanwhile.

    Raises HistoryDiverged, BinlogReset, naming the GTIDs; what PyMySQL raises when the connection breaks.
    """
    if start.file and not start.gtid_set:
        if start.source_id == source.source_id:
            return False
        raise HistoryDiverged(
            f"source {address} is now server {source.source_id}, the position {start} is of server "
            f"{start.source_id or '(unknown)'} and has no GTIDs: it means nothing here. Restore the former server, or "
            f"{COPY}"
        )
    same_server = applied.source_id == source.source_id
    if source.flavour == "mariadb":
        current, state, replicated = _row(
            connection, "SELECT @@gtid_current_pos, @@gtid_binlog_state, @@gtid_slave_pos"
        )
        missing = mariadb_missing(applied.gtid_set, [str(current), str(state), str(replicated)])
        _require(missing, str(MariadbGtidSet.parse(str(current))), source, address, same_server)
        return True
    mode, executed = _row(connection, "SELECT @@gtid_mode, @@gtid_executed")
    if mode != "ON":
        return False
    lacks = MysqlGtidSet.parse(applied.gtid_set).minus(MysqlGtidSet.parse(str(executed)))
    _require(str(lacks), str(executed), source, address, same_server)
    return True


def mariadb_missing(applied: str, known: Iterable[str]) -> str:
    """The last GTIDs of `applied` that a server does not know whose GTID positions and states are `known`.

    Sequence numbers alone do not tell: a server that was written to by mistake has used the same ones for transactions
    of its own. What it knows of the server that made a transaction does.
    """
    last: dict[tuple[str, str], int] = {}
    for text in known:
        for domain, server, number in _triples(text):
            last[domain, server] = max(number, last.get((domain, server), 0))
    return ",".join(
        f"{domain}-{server}-{number}"
        for domain, server, number in _triples(applied)
        if last.get((domain, server), 0) < number
    )


def _triples(gtids: str) -> list[tuple[str, str, int]]:
    parts = (gtid.strip().split("-") for gtid in gtids.split(",") if gtid.strip())
    return [(domain, server, int(number)) for domain, server, number in parts]


def check_file(connection: Connection[Any], source: ServerInfo, address: str, start: Position) -> None:
    """Whether the source has `start.file` up to `start.offset`; raises HistoryDiverged, BinlogPurged, BinlogReset."""
    if not start.file or start.source_id != source.source_id:
        raise HistoryDiverged(
            f"source {address} is server {source.source_id} and has no GTIDs now, the position {start} is of server "
            f"{start.source_id or '(any)'}: it cannot be found here. Turn GTIDs on again (SET GLOBAL "
            f"gtid_mode = OFF_PERMISSIVE, then ON_PERMISSIVE, then ON), restore the former server, or {COPY}"
        )
    sizes = {str(row[0]): int(row[1]) for row in _rows(connection, "SHOW BINARY LOGS")}
    if start.file not in sizes:
        first, last = next(iter(sizes)), next(reversed(sizes))
        place = f"source {address} has the binlogs {first} to {last}, the position is {start.file}:{start.offset}"
        if file_order(start.file) < file_order(first):
            raise BinlogPurged(f"{place}: it was purged; {COPY}")
        raise BinlogReset(f"{place}: the binlog was reset; {COPY}")
    if start.offset > sizes[start.file]:
        raise BinlogReset(
            f"source {address} has {sizes[start.file]} bytes in {start.file}, the position is at {start.offset}: the "
            f"binlog was reset, or its end was lost in a crash; {COPY}"
        )


def refusal(address: str, start: Position, code: int, text: str) -> ReplicationError | Unavailable:
    """The error for a stream that the server ended with error `code` and `text` (0: without any)."""
    if not code:
        return SourceUnavailable(f"source {address} has ended the stream: it is being shut down")
    lower = text.lower()
    if code == _MASTER_FATAL and not any(part in lower for part in _RETRIABLE):
        for part, kind, fix in _TEXTS:
            if part in lower:
                return kind(f"source {address} cannot continue from {start}: {text} ({code}); {fix or _torn(text)}")
        return BinlogCorrupt(f"source {address} cannot read its binlog from {start}: {text} ({code})")
    return SourceUnavailable(f"source {address} has ended the stream: {text} ({code})")


def _torn(text: str) -> str:
    """What to do about a file that ends in the middle of an event, by the server's text about it."""
    last = _LAST_READ.search(text)
    place = f"file:{following(last[1])}:4" if last else "the first event of the next file"
    where = f" ({last[1]}:{last[2]})" if last else ""
    return (
        f"the source crashed, or ran out of disk space, while it wrote the last event of that file{where}. It has "
        f"rolled that transaction back when it started again (if it was a DDL statement, or of a table without "
        f"transactions, compare what it was about), and no replica can read over it. Where the source has a file after "
        f"it, remove the changefeed and create it again with --start {place}; otherwise check the source's disk"
    )


def _require(missing: str, has: str, source: ServerInfo, address: str, same_server: bool) -> None:
    if not missing:
        return
    if same_server:
        raise BinlogReset(
            f"source {address} no longer has transactions that were applied: {missing} (it has {has or 'none'}). Its "
            f"binlog was reset, or it lost its last transactions in a crash; {COPY}"
        )
    raise HistoryDiverged(
        f"source {address} (server {source.source_id}) lacks transactions that were applied from another server: "
        f"{missing} (it has {has or 'none'}). Wait until it has them, point the changefeed to a server that has, "
        f"or {COPY}"
    )


def _rows(connection: Connection[Any], statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def _row(connection: Connection[Any], statement: str) -> tuple[Any, ...]:
    (row,) = _rows(connection, statement)
    return row
