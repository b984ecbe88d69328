"""From what a user writes as a start to a complete position: GTID set, file, offset, server.

    now | earliest | gtid:SET | file:NAME:OFFSET

Asked once, when a changefeed is created; from then on only positions travel. It needs SQL only (SHOW BINARY LOGS, SHOW
BINLOG EVENTS), no dump connection. Blocking: call it from a thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import pymysql
from pymysql.connections import Connection

from hedgerow.common.binlog.gtid import MariadbGtidSet, MysqlGtidSet, gtid_set
from hedgerow.common.binlog.listed import FIRST_EVENT, ListedEvent, list_events
from hedgerow.common.binlog.position import Position, file_order
from hedgerow.common.errors import BadInput, BinlogPurged
from hedgerow.common.mysql.connect import Flavour, connect, server_info, unavailable
from hedgerow.common.mysql.uri import ServerUri

_FILE: Final = re.compile(r"(.+):([0-9]+)\Z")
_PAGE: Final = 20_000
_READ_SECONDS: Final = 120.0  # MariaDB's BINLOG_GTID_POS reads a whole file
_GTID_NEXT: Final = re.compile(r"GTID_NEXT\s*=\s*'([^']*)'")
_USE: Final = re.compile(r"use `(?:[^`]|``)*`; ")
_ENDS: Final = frozenset({"Xid", "XA_prepare", "Transaction_payload"})
_HEAD: Final = frozenset({"Format_desc", "Previous_gtids"})  # of a file, before any transaction


def split_start(text: str) -> tuple[str, str]:
    """(kind, what stands after its colon). Raises BadInput where it is not one of the forms."""
    kind, _, rest = text.strip().partition(":")
    if kind not in ("now", "earliest", "gtid", "file") or bool(rest) != (kind in ("gtid", "file")):
        raise BadInput(f"start {text!r} is not one of: now, earliest, gtid:SET, file:NAME:OFFSET")
    return kind, rest


def resolve_start(uri: ServerUri, flavour: Flavour, text: str) -> Position:
    """The position that `text` means on this source now.

    Raises BadInput (cannot be read, beyond the end, not between two transactions, another flavour), BinlogPurged,
    SourceUnavailable.
    """
    kind, rest = split_start(text)
    connection = connect(uri, "source", read_timeout=_READ_SECONDS)
    try:
        source = _Source(connection, uri.address, flavour)
        if kind == "now":
            return source.now()
        if kind == "earliest":
            return source.earliest()
        return source.at_gtids(rest.strip()) if kind == "gtid" else source.at_file(rest)
    except pymysql.err.OperationalError as error:
        raise unavailable(uri, "source", error) from error
    finally:
        connection.close()


class _Source:
    def __init__(self, connection: Connection[Any], address: str, flavour: Flavour) -> None:
        self._connection = connection
        self._name = f"source {address}"
        self._info = server_info(connection)
        self._mysql = flavour == "mysql"
        if self._info.flavour != flavour:
            raise BadInput(f"{self._name} is {self._info}, not {flavour}")
        self._gtids_on = not self._mysql or self._rows("SELECT @@gtid_mode") == [("ON",)]
        self._files = {str(row[0]): int(row[1]) for row in self._rows("SHOW BINARY LOGS")}
        if not self._files:
            raise BadInput(f"{self._name} has no binlog: start it with --log-bin")

    def now(self) -> Position:
        statement = "SHOW MASTER STATUS"
        if self._mysql and self._info.version >= (8, 2, 0):
            statement = "SHOW BINARY LOG STATUS"
        row = next(iter(self._rows(statement)))
        file, offset = str(row[0]), int(row[1])
        gtids = MysqlGtidSet.parse(str(row[4])) if self._mysql else self._mariadb_at(file, offset)
        return self._begin(str(gtids), file, offset)

    def earliest(self) -> Position:
        file = next(iter(self._files))
        if self._mysql:
            ((purged,),) = self._rows("SELECT @@gtid_purged")
            return self._begin(str(MysqlGtidSet.parse(str(purged))), file, FIRST_EVENT)
        return self._begin(str(self._mariadb_at(file, FIRST_EVENT)), file, FIRST_EVENT)

    def at_gtids(self, text: str) -> Position:
        if self._mysql:
            wanted = MysqlGtidSet.parse(text)
            ((mode, executed, purged),) = self._rows("SELECT @@gtid_mode, @@gtid_executed, @@gtid_purged")
            if mode != "ON":
                raise BadInput(
                    f"{self._name} has gtid_mode = {mode}, so it cannot start at a GTID set: start at "
                    f"file:NAME:OFFSET, or turn GTIDs on"
                )
            missing = str(wanted.minus(MysqlGtidSet.parse(str(executed))))
            gone = str(MysqlGtidSet.parse(str(purged)).minus(wanted))
            has, canonical = str(executed), str(wanted)
        else:
            wanted_domains = MariadbGtidSet.parse(text)
            ((logged,),) = self._rows("SELECT @@gtid_binlog_pos")
            missing = str(wanted_domains.minus(MariadbGtidSet.parse(str(logged))))
            gone = str(self._mariadb_at(next(iter(self._files)), FIRST_EVENT).minus(wanted_domains))
            has, canonical = str(logged), str(wanted_domains)
        if missing:
            raise BadInput(f"{self._name} has not executed {missing} of the start gtid:{text} (it has {has or 'none'})")
        if gone:
            raise BinlogPurged(
                f"{self._name} has purged transactions that a start at gtid:{text} needs: {gone}. Copy the data again "
                f"and start at the GTID set of the copy"
            )
        return self._position(canonical, "", 0)

    def at_file(self, text: str) -> Position:
        match = _FILE.match(text)
        if not match:
            raise BadInput(f"start file:{text} is not of the form file:NAME:OFFSET")
        file, offset = match[1], int(match[2])
        self._check_file(file, offset)
        found = walk(list_events(self._connection, file, page=_PAGE), offset, self._files[file], mysql=self._mysql)
        if found.problem:
            raise BadInput(
                f"start file:{text} is {found.problem}. The last place before it that is between two transactions is "
                f"file:{file}:{found.boundary}"
            )
        return self._begin(str(found.gtids if self._mysql else self._mariadb_at(file, offset)), file, offset)

    def _check_file(self, file: str, offset: int) -> None:
        order = file_order(file)
        first, last = next(iter(self._files)), next(reversed(self._files))
        if file not in self._files:
            has = f"{self._name} has the binlogs {first} to {last}, not {file}"
            raise BinlogPurged(f"{has}: it was purged") if order < file_order(first) else BadInput(has)
        if offset < FIRST_EVENT or offset > self._files[file]:
            raise BadInput(f"{self._name} has offsets {FIRST_EVENT} to {self._files[file]} in {file}, not {offset}")

    def _mariadb_at(self, file: str, offset: int) -> MariadbGtidSet:
        ((text,),) = self._rows("SELECT BINLOG_GTID_POS(%s, %s)", file, offset)
        if text is None:
            raise BadInput(f"{self._name} cannot tell the GTID position at {file}:{offset}: no event begins there")
        return MariadbGtidSet.parse(str(text))

    def _begin(self, gtids: str, file: str, offset: int) -> Position:
        """Before the first GTID there is a place without any, but no need for it: a file in the position would say that
        the source has none, and tie the changefeed to this server."""
        return self._position(gtids, file, offset) if gtids or not self._has_gtids_only() else self._position("", "", 0)

    def _has_gtids_only(self) -> bool:
        """Whether its binlogs can be read from the beginning by GTID."""
        if not self._mysql:
            return True
        first = islice(list_events(self._connection, next(iter(self._files)), page=10), 10)
        return self._gtids_on and not any(event.kind == "Anonymous_Gtid" for event in first)

    def _position(self, gtids: str, file: str, offset: int) -> Position:
        gtid_set(self._info.flavour, gtids)
        if not self._gtids_on:
            gtids = ""  # there may be some, from when it was on
        return Position(gtids, file, offset, self._info.source_id)

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())


@dataclass(frozen=True, slots=True)
class Walked:
    """`gtids` executed before the offset (MySQL); `problem`: why one cannot start there, or empty; `boundary`: the last
    offset up to there where one can."""

    gtids: MysqlGtidSet
    problem: str
    boundary: int


def walk(events: Iterable[ListedEvent], offset: int, size: int, *, mysql: bool) -> Walked:
    """Follow the transactions of one file of `size` bytes up to `offset`. Pure."""
    gtids, boundary, at = MysqlGtidSet(), FIRST_EVENT, FIRST_EVENT
    gtid = ""
    open_, body = False, False  # a transaction was announced; and it lasts until a COMMIT
    for event in events:
        if event.kind == "Previous_gtids":  # executed before the file, and so before each of its offsets
            gtids = gtids.union(MysqlGtidSet.parse(event.info))
        if event.begin > offset:
            if event.kind in _HEAD:
                continue
            break
        at = event.begin
        if not open_:
            boundary = at
        if at == offset:
            if event.kind in _HEAD:
                continue
            break
        if "gtid" in event.kind.lower() and event.kind not in ("Gtid_list", "Previous_gtids"):
            match = _GTID_NEXT.search(event.info)
            gtid = match[1] if match and match[1] != "ANONYMOUS" else ""
            open_, body = True, not mysql and event.info.startswith(("BEGIN", "XA START"))
        elif event.kind in _ENDS or (event.kind.startswith("Query") and _ends(event.info, body)):
            if gtid:
                gtids.add_gtid(gtid)
            gtid, open_, body = "", False, False
        elif event.kind.startswith("Query"):
            open_ = body = True
    else:
        if offset == size and at != offset:
            at = offset
            boundary = boundary if open_ else at
    if at != offset:
        return Walked(gtids, "not where an event begins", boundary)
    return Walked(gtids, "in the middle of a transaction" if open_ else "", boundary)


def _ends(info: str, body: bool) -> bool:
    """Whether this query event ends its transaction: COMMIT does, and any other but BEGIN that is not in a body."""
    text = _USE.sub("", info, count=1)
    if text in ("BEGIN",) or text.startswith("XA START"):
        return False
    return not body or text in ("COMMIT", "ROLLBACK")
