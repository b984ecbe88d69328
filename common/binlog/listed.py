"""The events of a binlog file as the server lists them: SHOW BINLOG EVENTS, by SQL, without a dump connection.

It is read in pages, because a file may hold millions, and each page begins with the last event of the former one: not
every version says where an event ends (MariaDB from 11.4 on shows an End_log_pos of 0 inside a transaction). So an
event ends where the next one begins. MySQL lists what a compressed transaction holds after it, as events that begin and
end where it ends: what begins there for the server is the event after them, so such a page begins with the transaction.
Texts are taken as bytes: statements are shown as they were written, in whatever character set that was. Blocking.
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
    at, known = start, 0  # where the page begins, and how many events of it the former one had
    while True:
        limit = known + max(page, known)  # of a large compressed transaction not the same again for each page
        with connection.cursor() as cursor:
            rows = query_bytes(cursor, "SHOW BINLOG EVENTS IN %s FROM %s LIMIT %s", (file, at, limit))
        is_last_page, new = len(rows) < limit, rows[known:]
        for _, begin, kind, _, end, info in new:
            event = ListedEvent(file, int(begin), max(int(end), int(begin)), _text(kind), _text(info))
            if int(end) != event.begin != at:
                at, known = event.begin, 0
            known += 1
            if last is not None:
                yield _ending(last, event.begin)
            last = event
        if is_last_page:
            if last is not None:
                yield last
            return


def _ending(event: ListedEvent, end: int) -> ListedEvent:
    return ListedEvent(event.file, event.begin, end, event.kind, event.info)


def _text(value: bytes | str | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""
