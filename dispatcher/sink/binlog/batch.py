"""What a lane is given to apply: values between the coalescer, which makes them, and the sink transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hedgerow.common.binlog.position import Position
from hedgerow.common.mysql.names import TableName

End = tuple[int, bytes, str]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows events of one dispatcher in an XA transaction that is not decided: they are stored, not applied.

    `number` orders them within the XA transaction; `events` are what would be in the BINLOG statement.
    """

    xid: str
    dispatcher: str
    number: int
    events: bytearray


@dataclass(frozen=True, slots=True)
class Decided:
    """XA COMMIT (or ROLLBACK): what was stored of `xid` for these dispatchers is applied (or not), and deleted."""

    xid: str
    commit: bool
    dispatchers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Batch:
    """What a lane applies in one sink transaction, or, where not final, one part of it.

    `statements`: in order; a bytearray is the events of one BINLOG statement. `progress` has the position that each
    dispatcher has reached when the sink transaction commits; a part of an unfinished source transaction names its
    dispatchers in `touched` only. `ends`, for errors: of each source transaction the number of rows events up to its
    end, its GTID event (empty without), and its file.
    """

    format_description: bytes
    statements: tuple[bytearray | Prepared | Decided, ...]
    progress: Mapping[str, Position]
    touched: frozenset[str]
    tables: frozenset[TableName]
    transactions: int
    rows_events: int
    bytes: int
    final: bool = True
    ends: tuple[End, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Without XA transactions."""
        return all(isinstance(statement, bytearray) for statement in self.statements)
