"""What marks a transaction, and the places in it that it may be rolled back to."""

from __future__ import annotations

import re
import struct
from typing import Final

from zlib_ng.zlib_ng import crc32

from hedgerow.common.binlog import events as e
from hedgerow.common.binlog.gtid import MysqlGtidSet
from hedgerow.common.binlog.mark import Mark
from hedgerow.common.mysql.connect import Flavour
from hedgerow.dispatcher.source.gtid_events import mariadb_gtid, mysql_gtid, original_micros
from hedgerow.dispatcher.source.statements import changed_at

_U32: Final = struct.Struct("<I")
_SAVEPOINT: Final = re.compile(r"SAVEPOINT\s+(.+)\Z", re.DOTALL | re.IGNORECASE)
_ROLLBACK_TO: Final = re.compile(r"ROLLBACK(?:\s+WORK)?\s+TO\s+(?:SAVEPOINT\s+)?(.+)\Z", re.DOTALL | re.IGNORECASE)


def gtid_text(event: bytes) -> str:
    """Of a GTID event, in the server's notation; empty where there is none."""
    if not event or event[e.TYPE_AT] == e.ANONYMOUS_GTID:
        return ""
    if event[e.TYPE_AT] == e.MARIADB_GTID:
        return "-".join(map(str, mariadb_gtid(event)))
    one = MysqlGtidSet()
    one.add(*mysql_gtid(event))
    return str(one)


def transaction_mark(
    flavour: Flavour, place: tuple[str, int], gtid: bytes, mapped: bytes, end: bytes, file_checksum: int
) -> str:
    """What identifies the transaction whose GTID event, last table map (or empty) and last event these are, as a
    position at `place` carries it (common/binlog/mark.py); empty without `end`."""
    if not end:
        return ""
    file, offset = place
    begin = 0
    if gtid:
        begin = offset - (offset - int(_U32.unpack_from(gtid, e.LOG_POS_AT)[0]) & 0xFFFFFFFF)
    changed = changed_at(mapped, end) if flavour == "mariadb" else 0
    checksum = int(crc32(end)) if begin else 0
    return Mark(gtid_text(gtid), original_micros(gtid), changed, begin, checksum, file_checksum).write(file, offset)


class Savepoints:
    """Of the transaction at hand. `count`: places so far; each gets the next number, 0 is the beginning."""

    def __init__(self) -> None:
        self.count = 0
        self._known: dict[str, int] = {}

    def set(self, text: str) -> bool:
        """A statement inside of the transaction: whether it sets a savepoint."""
        match = _SAVEPOINT.match(text)
        if match:
            self._add(match[1])
        return bool(match)

    def roll_back(self, text: str) -> int:
        """Of ROLLBACK or ROLLBACK TO: the place that everything since is rolled back to; -1 where it was not set."""
        match = _ROLLBACK_TO.match(text)
        if match is None:
            return 0
        found = self._known.get(match[1].lower(), -1) if self.count else -1
        self._add(match[1])  # it stays, for what comes
        return found

    @staticmethod
    def is_partial(text: str) -> bool:
        return _ROLLBACK_TO.match(text) is not None

    def _add(self, name: str) -> None:
        if not self.count:
            self._known.clear()
        self.count += 1
        self._known[name.lower()] = self.count
