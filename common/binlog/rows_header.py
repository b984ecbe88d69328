"""What a rows event says before its rows: how many columns its table has, and which of them its rows hold. Pure.

Layout: post-header (table id 6, flags 2; in version 2 also extra data with its length), number of columns as a packed
integer, a bit for each that is in the image (of UPDATE and DELETE: in that of the row before), and for UPDATE the same
again for the row after. Sources: mysql-server, class Rows_event in libs/mysql/binlog/event/rows_event.h; MariaDB, class
Rows_log_event in sql/log_event.h.
"""

from __future__ import annotations

from dataclasses import dataclass

from hedgerow.common.binlog import events as e


@dataclass(frozen=True, slots=True)
class RowsHeader:
    """`images`: which columns are in the image before, and in that after, where there are two. `first_end`: offset in
    the event where the first of these ends; `end`: where the rows begin."""

    columns: int
    images: tuple[bytes, ...]
    first_end: int
    end: int

    def held(self, image: int = 0) -> tuple[int, ...]:
        """The columns in an image, from 0."""
        bits = self.images[image]
        return tuple(number for number in range(self.columns) if bits[number // 8] >> number % 8 & 1)


def read_rows_header(event: bytes) -> RowsHeader:
    """`event` with its header. Raises ValueError or IndexError where it does not hold together."""
    kind = event[e.TYPE_AT]
    at = e.TABLE_BODY_AT
    if kind in e.ROWS_V2:
        at += int.from_bytes(event[at : at + 2], "little")
    first = event[at]
    size = {252: 2, 253: 3, 254: 8}.get(first, 0)
    columns = int.from_bytes(event[at + 1 : at + 1 + size], "little") if size else first
    at += 1 + size
    width = (columns + 7) // 8
    first_end = at + width
    end = first_end + (width if e.ROWS_KINDS[kind] == e.UPDATE else 0)
    if end > len(event):
        raise ValueError(f"a rows event of {len(event)} bytes has {columns} columns")
    images = tuple(bytes(event[begin : begin + width]) for begin in range(at, end, width or 1))
    return RowsHeader(columns, images, first_end, end)
