"""Where in its binlog a source may begin at once, instead of looking for a GTID set from a file's beginning. Pure.

To find the GTIDs that are wanted, both servers read the binlog file that begins before them from its first event: a
millisecond for each MiB, at every start of a stream. A position that was reached by reading this very server's binlog
has a file and an offset before which nothing is wanted. They are used if the source proves that it is still the same
binlog, and not one that grew anew after a reset. Until then nothing of what it sends is believed, and where the proof
fails the stream begins by GTID as ever. The proof:

- the file was made before the position's last transaction was committed (both times are the source's), and
- the first transaction that is sent has the number that follows the position's in its domain or UUID: had the binlog
  others before the offset that the position has not, they would have had it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from common.gtid import MariadbGtidSet, MysqlGtidSet
from common.mysql import Flavour
from common.position import Position
from dispatcher.source import events as e
from dispatcher.source.gtid_events import mariadb_gtid, mysql_gtid

_MOST_OFFSET: Final = 1 << 32  # COM_BINLOG_DUMP has 4 bytes for it
_TIMESTAMP: Final = struct.Struct("<I")
_BEFORE_TRANSACTIONS: Final = frozenset({e.ROTATE, *e.IGNORED})


class Doubted(Exception):
    """It may be another binlog, or not the beginning of a transaction."""


def has_place(position: Position, source_id: str, flavour: Flavour) -> bool:
    """Whether a stream from `position` may try to begin at its file and offset on this server, instead of by GTID.

    MariaDB then sends everything that follows, so its position must not hold anything from behind the offset: with one
    domain, whose numbers only grow, it cannot.
    """
    if not position.file or not position.gtid_set or not position.commit_time or position.source_id != source_id:
        return False
    if position.offset >= _MOST_OFFSET:
        return False
    return flavour == "mysql" or "," not in position.gtid_set


class Proof:
    """Of one stream that began at the file and offset of `start`."""

    def __init__(self, start: Position, flavour: Flavour) -> None:
        self._start = start
        self._flavour = flavour
        self._described = False
        self.done = False

    def judge(self, events: Iterable[bytes]) -> None:
        """The next events as they came; raises Doubted."""
        for event in events:
            if self.done:
                return
            kind = event[e.TYPE_AT]
            if kind == e.FORMAT_DESCRIPTION:
                self._judge_file(event)
            elif kind in (e.GTID, e.GTID_TAGGED, e.MARIADB_GTID):
                self._judge_transaction(event)
            elif kind not in _BEFORE_TRANSACTIONS:
                raise Doubted(f"{e.type_name(kind)} comes before any transaction begins")

    def _judge_file(self, description: bytes) -> None:
        """The first is of the file that was asked for; files behind it are newer."""
        if self._described:
            return
        self._described = True
        (made,) = _TIMESTAMP.unpack_from(description)
        if made >= int(self._start.commit_time):
            raise Doubted(f"{self._start.file} was made at {made}, the position is of {self._start.commit_time}")

    def _judge_transaction(self, event: bytes) -> None:
        if not self._described:
            raise Doubted("a transaction comes before the format of events")
        if self._flavour == "mariadb":
            domain, _, number = mariadb_gtid(event)
            follows = number > 1 and number == MariadbGtidSet.parse(self._start.gtid_set).last(domain) + 1
        else:
            source, number = mysql_gtid(event)
            reached = MysqlGtidSet.parse(self._start.gtid_set)
            follows = not reached.has(source, number) and reached.has(source, number - 1)
        if not follows:
            raise Doubted(f"its first transaction, number {number}, does not follow {self._start.gtid_set}")
        self.done = True
