"""Whether a source still has the transaction that was applied last, and not another one of the same number.

The mark of a position (common/binlog/mark.py) is compared with what the source has in its binlog. On the server that
the position is of that is exact: the file's FORMAT_DESCRIPTION event, and the event that ends at the offset. On another
server (the source has failed over) the transaction is looked for by its GTID, and has to be of the same time. A
transaction that is there proves everything before it, because a binlog is only appended to; so it is enough to prove
the farthest of several positions.

What no source has any more cannot be proved. Where the transaction was purged, or was never in this server's binlog
(a replica that was made of a copy), and all that was purged is applied, the numbers are all that there is, and the
stream goes on by them, with a warning in the log. So it does where a position has no mark: one that a user has named,
or that an earlier version has written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, Final

import structlog
from pymysql.connections import Connection
from zlib_ng.zlib_ng import crc32

from hedgerow.common.binlog import events as e
from hedgerow.common.binlog.gtid import MariadbGtidSet, MysqlGtidSet
from hedgerow.common.binlog.mark import Mark
from hedgerow.common.binlog.position import Position, file_order
from hedgerow.common.errors import BinlogCorrupt, BinlogReset, HistoryDiverged, UnsupportedEvent
from hedgerow.common.mysql.connect import Flavour, ServerInfo
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.dispatcher.source.dump import FIRST_EVENT, look
from hedgerow.dispatcher.source.framing import StreamEnded, description_checksum
from hedgerow.dispatcher.source.gtid_events import mariadb_gtid, mysql_gtid, original_micros
from hedgerow.dispatcher.source.refusals import COPY
from hedgerow.dispatcher.source.statements import changed_at

log = structlog.get_logger()

_MOST_READ: Final = 64 << 20  # bytes of a transaction that is read again to see its end
_MOST_OFFSET: Final = 1 << 32  # COM_BINLOG_DUMP has 4 bytes for it
_BESIDE: Final = frozenset({e.HEARTBEAT, e.HEARTBEAT_V2, e.FORMAT_DESCRIPTION})
_U32: Final = struct.Struct("<I")


def prove(
    connection: Connection[Any], uri: ServerUri, source: ServerInfo, applied: Position, *, file_only: bool = False
) -> bool:
    """Whether the source has the last transaction of `applied` in the file and at the offset of that position.
    `file_only`: it had, and is asked again; the file will do.

    Raises BinlogReset and HistoryDiverged where it has another one in its place; SourceUnavailable, and what PyMySQL
    raises when the connection breaks. False: it has the transaction elsewhere, or that cannot be known.
    """
    mark = Mark.read(applied.mark, applied.file, applied.offset)
    if mark is None:
        return False
    same_server = bool(applied.file) and applied.source_id == source.source_id
    files = [str(row[0]) for row in _rows(connection, "SHOW BINARY LOGS")]
    if same_server and applied.file in files and is_at_place(uri, source, applied, file_only=file_only):
        return True
    what = f"transaction {mark.gtid or 'without a GTID'} before {applied.file}:{applied.offset}"
    if _is_gone(connection, source, mark, files, applied.file if same_server else ""):
        log.warning("source-history-by-numbers", source=uri.address, position=str(applied), purged=what)
        return False
    if same_server:
        raise BinlogReset(
            f"source {uri.address} no longer has {what}, the last that was applied; another may have the same number "
            f"now. Its binlog was reset, or lost its end in a crash, or the server was restored to an earlier "
            f"state, and was written to again; {COPY}"
        )
    found, wanted = _find(connection, uri, source, mark, files), mark.micros or mark.changed
    if found is None:
        raise HistoryDiverged(
            f"source {uri.address} (server {source.source_id}) counts transaction {mark.gtid} as executed, but its "
            f"binlog lacks it; it was applied from server {applied.source_id}. Point the changefeed to a "
            f"server that has it, or {COPY}"
        )
    if found and wanted and found != wanted:
        raise HistoryDiverged(
            f"source {uri.address} (server {source.source_id}) has another transaction {mark.gtid} than the one that "
            f"was applied from server {applied.source_id}: it is of {_time(source, found)}, the applied one of "
            f"{_time(source, wanted)}. Point the changefeed to a server that shares its history, "
            f"or {COPY}"
        )
    return False


def is_at_place(uri: ServerUri, source: ServerInfo, position: Position, *, file_only: bool = False) -> bool:
    """Whether the last transaction of `position` ends at its file and offset on this server."""
    mark = Mark.read(position.mark, position.file, position.offset)
    if mark is None:
        return False
    whole = not file_only and _is_whole(mark, position.offset)
    offset = mark.begin if whole else position.offset
    place = position.file, offset if offset < _MOST_OFFSET else FIRST_EVENT
    try:
        with look(uri, source.flavour, place) as events:
            return _is_described(events, mark) and (not whole or _ends_alike(events, mark, position.offset))
    except (StreamEnded, BinlogCorrupt, UnsupportedEvent):  # nothing begins there, or it is no longer there
        return False


def has_place(position: Position, source_id: str, flavour: Flavour) -> bool:
    """Whether a stream from `position` may begin at its file and offset on this server, where they are proved, instead
    of by GTID: to look for a GTID set costs the server a millisecond for each MiB of a binlog file.

    MariaDB then sends everything that follows, so its position must not hold anything from after the offset: with one
    domain, whose numbers only grow, it cannot. A position that was asked for, and not read, has no commit time: a
    server does not tell GTIDs and offset at the same instant.
    """
    if not position.file or not position.gtid_set or not position.commit_time or position.source_id != source_id:
        return False
    mark = Mark.read(position.mark, position.file, position.offset)
    if position.offset >= _MOST_OFFSET or mark is None:
        return False
    if position.offset != FIRST_EVENT and not _is_whole(mark, position.offset):
        return False  # what ends there was not seen: only the file is proved, not the offset in it
    return flavour == "mysql" or "," not in position.gtid_set


def _is_whole(mark: Mark, offset: int) -> bool:
    """Whether the transaction is read again to see how it ends."""
    return 0 < mark.begin < offset <= mark.begin + _MOST_READ and mark.begin < _MOST_OFFSET


def _is_described(events: Iterator[bytes], mark: Mark) -> bool:
    """Takes what comes up to the FORMAT_DESCRIPTION event of the file."""
    for event in events:
        if event[e.TYPE_AT] == e.FORMAT_DESCRIPTION:
            return description_checksum(event) == mark.file
        if event[e.TYPE_AT] != e.ROTATE:
            return False
    return False


def _ends_alike(events: Iterator[bytes], mark: Mark, offset: int) -> bool:
    low = offset & 0xFFFFFFFF
    for event in events:
        kind, end = event[e.TYPE_AT], _U32.unpack_from(event, e.LOG_POS_AT)[0]
        if kind in (e.ROTATE, e.GTID, e.GTID_TAGGED, e.MARIADB_GTID, e.ANONYMOUS_GTID):
            return False
        if end == low and kind not in _BESIDE and int(crc32(event)) == mark.checksum:
            return True
    return False


def _is_gone(connection: Connection[Any], source: ServerInfo, mark: Mark, files: list[str], place: str) -> bool:
    """Whether the transaction was purged, or has never been in this server's binlog though the server has executed it.
    One without a GTID is gone where `place`, its file on this server, is (empty: it is of another server)."""
    if not mark.gtid:
        return not place or file_order(place) < file_order(files[0])
    if source.flavour == "mysql":
        (purged,) = _rows(connection, "SELECT @@gtid_purged")[0]
        return MysqlGtidSet.parse(str(purged)).contains(mark.gtid)
    domain, server, number = _mariadb(mark.gtid)
    ((state,),) = _rows(connection, "SELECT @@gtid_binlog_state")
    parts = (gtid.strip().split("-") for gtid in str(state).split(",") if gtid.strip())
    if not any((int(d), int(s)) == (domain, server) and int(n) >= number for d, s, n in parts):
        return True
    return _begins_after(connection, files[0], domain, number)


def _begins_after(connection: Connection[Any], file: str, domain: int, number: int) -> bool:
    """Whether MariaDB's binlog file begins when the domain has reached the number already."""
    ((text,),) = _rows(connection, f"SELECT BINLOG_GTID_POS('{file}', {FIRST_EVENT})")
    return text is not None and MariadbGtidSet.parse(str(text)).last(domain) >= number


def _find(connection: Connection[Any], uri: ServerUri, source: ServerInfo, mark: Mark, files: list[str]) -> int | None:
    """When this server says that the transaction was made (0: it does not), None where it is not in its binlog."""
    if source.flavour == "mysql":
        (executed,) = _rows(connection, "SELECT @@gtid_executed")[0]
        one = MysqlGtidSet.parse(mark.gtid)
        with look(uri, "mysql", None, str(MysqlGtidSet.parse(str(executed)).minus(one))) as events:
            return _mysql_time(events, one)
    wanted = _mariadb(mark.gtid)
    first, last = 0, len(files) - 1  # of the files that may have it
    while first < last:
        middle = (first + last + 1) // 2
        if _begins_after(connection, files[middle], wanted[0], wanted[2]):
            last = middle - 1
        else:
            first = middle
    with look(uri, "mariadb", (files[first], FIRST_EVENT)) as events:
        return _mariadb_time(events, wanted)


def _mysql_time(events: Iterable[bytes], wanted: MysqlGtidSet) -> int | None:
    for event in events:
        if event[e.TYPE_AT] in (e.GTID, e.GTID_TAGGED) and wanted.has(*mysql_gtid(event)):
            return original_micros(event)
    return None


def _mariadb_time(events: Iterable[bytes], wanted: tuple[int, int, int]) -> int | None:
    mapped = end = b""
    inside = False
    for event in events:
        kind = event[e.TYPE_AT]
        if kind == e.MARIADB_GTID:
            if inside:
                break
            inside = mariadb_gtid(event) == wanted
        elif inside and kind == e.TABLE_MAP:
            mapped = event
        elif inside and kind in (e.XID, e.QUERY, e.XA_PREPARE):
            end = event
    return changed_at(mapped, end) if inside else None


def _mariadb(gtid: str) -> tuple[int, int, int]:
    domain, server, number = map(int, gtid.split("-"))
    return domain, server, number


def _time(source: ServerInfo, time: int) -> str:
    return f"{time} µs since 1970" if source.flavour == "mysql" else f"{time} s since 1970"


def _rows(connection: Connection[Any], statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())
