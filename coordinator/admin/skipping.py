"""Finds the transaction that a user wants to leave out in the source's binlog, to identify and to show it.

`walk` is pure; `find` reads the source from the changefeed's checkpoint on, as everything before it is applied.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from hedgerow.common.binlog.listed import FIRST_EVENT, ListedEvent, list_events
from hedgerow.common.binlog.position import Position, file_order
from hedgerow.common.errors import BadInput
from hedgerow.common.mysql.connect import connect, unavailable
from hedgerow.common.mysql.uri import ServerUri

_SECONDS: Final = 15.0
_SHOWN: Final = 8  # events of a transaction
_SHOWN_TEXT: Final = 160  # characters of an event
_ANNOUNCING: Final = ("Gtid", "Anonymous_Gtid")
_NAME: Final = re.compile(r"GTID_NEXT= ?'([^']+)'|\bGTID (\d+-\d+-\d+)")
_BEGINS: Final = ("BEGIN", "XA START", "START TRANSACTION")
_ENDS: Final = ("COMMIT", "ROLLBACK", "XA COMMIT", "XA ROLLBACK", "XA PREPARE")


@dataclass(slots=True)
class Found:
    """A transaction, or a single event that belongs to none; `file` and `offset`: where what announces it ends."""

    gtid: str
    file: str
    offset: int
    begun: bool = False
    ended: bool = False
    ends: set[int] = field(default_factory=set)
    _shown: list[str] = field(default_factory=list)
    _count: int = 0

    @property
    def what(self) -> str:
        more = self._count - len(self._shown)
        return "; ".join(self._shown) + (f"; and {more} more events" if more else "")

    def take(self, event: ListedEvent) -> None:
        self.ends.add(event.end)
        self._count += 1
        text = f"{event.kind} {' '.join(event.info.split())}".strip()
        if self._count <= _SHOWN:
            self._shown.append(text if len(text) <= _SHOWN_TEXT else f"{text[:_SHOWN_TEXT]}...")
        info = event.info.upper()
        self.begun = self.begun or (event.kind == "Query" and info.startswith(_BEGINS))
        is_last = event.kind in ("Xid", "XA_prepare") or (event.kind == "Query" and info.startswith(_ENDS))
        self.ended = is_last or (not self.begun and event.kind in ("Query", "Incident"))

    def is_wanted(self, gtid: str, at: tuple[str, int]) -> bool:
        if gtid:
            return self.gtid == gtid
        return self.file == at[0] and (at[1] == self.offset or at[1] in self.ends)


def walk(events: Iterable[ListedEvent], gtid: str, at: tuple[str, int]) -> Found | None:
    """The transaction `gtid`, or without one the one of which an event ends `at` this file and offset. Pure."""
    group: Found | None = None
    for event in events:
        if event.kind.startswith(_ANNOUNCING) or group is None or group.ended:
            if group is not None and group.is_wanted(gtid, at):
                return group
            if event.kind.startswith(_ANNOUNCING):
                group = _announced(event)
            else:  # it belongs to no transaction
                group = Found("", event.file, event.end, ended=True)
                group.take(event)
                group.ended = True
        else:
            group.take(event)
    return group if group is not None and group.is_wanted(gtid, at) else None


def _announced(event: ListedEvent) -> Found:
    match = _NAME.search(event.info)
    name = (match[1] or match[2]) if match else ""
    found = Found("" if name == "ANONYMOUS" else name.lower(), event.file, event.end)
    found.begun = event.info.startswith(_BEGINS)  # MariaDB begins a transaction with its GTID
    return found


def find(source: ServerUri, start: Position, gtid: str, at: tuple[str, int]) -> Found:
    """Blocking. Raises BadInput where there is no such transaction after `start`, SourceUnavailable."""
    wanted = gtid or f"with an event that ends at {at[0]}:{at[1]}"
    try:
        with closing(connect(source, "source", read_timeout=_SECONDS)) as connection:
            found = walk(_events(connection, start, at[0]), gtid, at)
    except (pymysql.MySQLError, OSError) as error:
        raise unavailable(source, "source", error) from error
    if found is None:
        raise BadInput(
            f"source {source.address} has no transaction {wanted} after the changefeed's checkpoint ({start}), as far "
            f"as could be read in {_SECONDS:g} s. The error that stopped the changefeed names the transaction"
        )
    return found


def _events(connection: Connection[Cursor], start: Position, only: str) -> Iterator[ListedEvent]:
    """From `start` on; where a file is named, in that one."""
    deadline = time.monotonic() + _SECONDS
    with connection.cursor() as cursor:
        cursor.execute("SHOW BINARY LOGS")
        files = [str(row[0]) for row in cursor.fetchall()]
        first = file_order(start.file) if start.file in files else file_order(files[0])
        for file in files:
            if file_order(file) < first or (only and file != only):
                continue
            for event in list_events(connection, file, start.offset if file == start.file else FIRST_EVENT):
                if time.monotonic() > deadline:
                    return
                yield event
