"""A source: one binlog of transactions, numbered from 1, each of which changes one or several tables."""

from __future__ import annotations

import functools

from hedgerow.common.binlog.position import Position
from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER

TABLES = ("shop.a", "shop.b", "shop.c")
KEYS = (*TABLES, SCHEMA_DISPATCHER)


@functools.cache
def at(offset: int) -> Position:
    """The end of transaction number `offset`."""
    return Position(file="binlog.000001", offset=offset, source_id="1")


class Source:
    """Transactions are only added. `end` is the number of the last one."""

    def __init__(self) -> None:
        self.end = 0

    def touches(self, key: str, offset: int) -> bool:
        """Every fourth transaction changes all tables, the others one."""
        return key in TABLES and (offset % 4 == 0 or TABLES.index(key) == offset % len(TABLES))

    def transactions(self, key: str, after: int, until: int) -> list[int]:
        return [offset for offset in range(after + 1, until + 1) if self.touches(key, offset)]

    def following(self, key: str, after: int) -> int | None:
        """The first transaction of `key` after `after`."""
        return next((offset for offset in range(after + 1, self.end + 1) if self.touches(key, offset)), None)
