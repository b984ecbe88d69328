"""What identifies the last transaction before a position, so that a source can be asked whether it still has that one.

Numbers do not identify it: after a reset, a crash that shortened the binlog, or a restore, the same server gives the
same GTIDs, files and offsets to other transactions. A mark is made of what the source sent, kept with the position in
the sink, and compared with what the source sends when a stream begins (dispatcher/source/history.py).

It is text in one column, and says for which place it is: a writer that predates marks moves a position and leaves the
mark of an earlier one, which then says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

from hedgerow.common.binlog.position import Position

_FIELDS = 7


@dataclass(frozen=True, slots=True)
class Mark:
    """`gtid`: of the transaction, empty where it has none. `micros`: when it was committed on the server where it was
    made, in microseconds since 1970 (MySQL; else 0). `changed`: when its last statement changed rows, in seconds since
    1970 by the same server's clock (where it changed none: when it ended). These three are equal on every server that
    has the transaction.

    In the binlog that the position's file and offset are of, all 0 without a file: `begin` is an offset after the
    transaction's GTID event, from where it can be read (0: there is none in this file); `checksum` is that of the event
    that ended it, without the event's own checksum; `file` is that of the file's FORMAT_DESCRIPTION event.
    """

    gtid: str
    micros: int
    changed: int
    begin: int
    checksum: int
    file: int

    def write(self, file: str, offset: int) -> str:
        """As a position at this place carries it."""
        words = (
            self.gtid or "-",
            self.micros,
            self.changed,
            self.begin,
            self.checksum,
            self.file,
            _place(file, offset),
        )
        return " ".join(map(str, words))

    @classmethod
    def read(cls, text: str, file: str, offset: int) -> Mark | None:
        """The mark of a position at this place; None where the text is none, or of another place."""
        gtid, *numbers = text.split(" ")
        if len(numbers) != _FIELDS - 1 or not all(number.isdecimal() for number in numbers):
            return None
        *known, place = map(int, numbers)
        return cls("" if gtid == "-" else gtid, *known) if place == _place(file, offset) else None


def moved(position: Position, file: str, offset: int, checksum: int) -> str:
    """The mark of a position that has moved on to this place, without any transaction in between. `checksum`: as
    Mark.file."""
    mark = Mark.read(position.mark, position.file, position.offset)
    if mark is None and not file:
        return ""
    gtid, micros, changed = (mark.gtid, mark.micros, mark.changed) if mark else ("", 0, 0)
    return Mark(gtid, micros, changed, 0, 0, checksum).write(file, offset)


def _place(file: str, offset: int) -> int:
    return crc32(f"{file}:{offset}".encode())
