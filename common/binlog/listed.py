"""The events of a binlog file as the server lists them: SHOW BINLOG EVENTS, by SQL, without a dump connection.

It is read in pages, because a file may hold millions, and each page begins with the last event of the former one: not
every version says where an event ends (MariaDB from 11.4 on shows an End_log_pos of 0 inside a transaction). So an
event ends where the next one begins. Texts are taken as bytes: statements are shown as they were written, in whatever
character set that was. Blocking.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pymysql.connections import Connection

from hedgerow.common.mysql.rawtext import query_bytes

FIRST_EVENT: Final = 4  # offset of a binlog file's first event
PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """`begin` and `end` are offsets in `file`. Of the last event the end is what the server says, at least `begin`."""

    file: str
    begin: int
    end: int
    kind: str
    info: str


def list_events(
    connection: Connection[Any], file: str, start: int = FIRST_EVENT, *, page: int = PAGE
) -> Iterator[ListedEvent]:
    """Those of `file` from offset `start` on. Raises what PyMySQL raises."""
    last: ListedEvent | None = None
    at = start
    while True:
        with connection.cursor() as cursor:
            statement = "SHOW BINLOG EVENTS IN %s FROM %s LIMIT %s"
            known = 0 if last is None else 1
            rows = query_bytes(cursor, statement, (file, at, page + known))
        for _, begin, kind, _, end, info in rows[known:]:
            if last is not None:
                yield _ending(last, int(begin))
            last = ListedEvent(file, int(begin), max(int(end), int(begin)), _text(kind), _text(info))
        if last is None:
            return
        if len(rows) < page + known:
            yield last
            return
        at = last.begin


def _ending(event: ListedEvent, end: int) -> ListedEvent:
    return ListedEvent(event.file, event.begin, end, event.kind, event.info)


def _text(value: bytes | str | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""
