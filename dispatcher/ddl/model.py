"""What classification says of a statement."""

from __future__ import annotations

import bisect
import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from hedgerow.common.mysql.names import TableName
from hedgerow.common.pb.v1 import model_pb2 as pb

# Error codes: a name is not there, or is of another kind; of DROP TABLE, SEQUENCE and VIEW.
DROPPED_IN_PART: Final = frozenset({1051, 1109, 1347, 1965, 4089, 4090, 4091, 4092})
_WIDEST: Final = 8  # bytes of a character, and more


class DdlKind(enum.Enum):
    """What a statement works on; the values are for messages."""

    TABLE = "table"  # CREATE, DROP, ALTER, RENAME, TRUNCATE
    INDEX = "index"
    SEQUENCE = "sequence"  # MariaDB; its values are rows of a table
    SCHEMA = "schema"
    VIEW = "view"
    TRIGGER = "trigger"
    ROUTINE = "stored routine"
    EVENT = "scheduled event"
    TEMPORARY = "temporary table"
    MAINTENANCE = "table maintenance"
    ACCOUNT = "account"
    SERVER = "server object"
    TRANSACTION = "transaction control"
    DML = "change of rows that is not in the binlog as rows"
    EMPTY = "empty statement"
    UNKNOWN = "unknown statement"


class Edit(NamedTuple):
    """The characters from `at` to `until` of a statement are replaced by `text`, which is ASCII."""

    at: int
    until: int
    text: str


def edited(statement: str, edits: Iterable[Edit]) -> str:
    """The statement after its edits, which are in order and do not overlap."""
    pieces, done = [], 0
    for edit in edits:
        pieces += [statement[done : edit.at], edit.text]
        done = edit.until
    return "".join(pieces) + statement[done:]


def at_byte(raw: bytes, text: str, at: int, decode: Callable[[bytes], str]) -> int:
    """Where in `raw` the character `at` of `text` begins, which is `raw` decoded."""
    if len(raw) == len(text):
        return at
    near = bisect.bisect_left(range(len(raw) + 1), at, key=lambda end: len(decode(raw[:end])))
    before = text[:at]
    for end in range(max(0, near - _WIDEST), min(len(raw), near + _WIDEST) + 1):
        if decode(raw[:end]) == before:  # half a character counts as one, or as none
            return end
    raise ValueError(f"character {at} of a statement is at no byte of it")


@dataclass(frozen=True, slots=True)
class Fill:
    """What ALTER TABLE puts into rows that are there already, and each server would choose for itself.

    `what` says it for messages. With `ordered` it numbers (or drops) rows in the order in which the server finds them,
    which is the same on both sides only where the table has a key; `numbered` is the column whose NULLs and zeros are
    numbered, empty where that is every row. Without, it is a value that differs however the rows are ordered.
    """

    what: str
    ordered: bool = False
    numbered: str = ""

    def write(self) -> pb.Fill:
        return pb.Fill(what=self.what, ordered=self.ordered, numbered=self.numbered)


@dataclass(frozen=True, slots=True)
class Classified:
    """A statement and what it means for dispatchers.

    `touches`: tables whose dispatchers flush before it (without table: all of the schema). `creates`, `drops`: tables
    that are there only after it, or only before it. `changes`: names that decide whether the filter lets it through;
    `needs`: tables that must be in the sink though the statement leaves them as they are (LIKE, REFERENCES).
    `ignorable`: it is not replicated whatever the filter says, because of `reason`. `fills`: of `changes[0]`.
    `statement`: for the sink; the source's after `edits`.
    """

    kind: DdlKind
    scope: pb.DdlScope = pb.TABLES
    touches: tuple[TableName, ...] = ()
    creates: tuple[TableName, ...] = ()
    drops: tuple[TableName, ...] = ()
    changes: tuple[TableName, ...] = ()
    needs: tuple[TableName, ...] = ()
    fills: tuple[Fill, ...] = ()
    ignorable: bool = False
    reason: str = ""
    statement: str = ""
    edits: tuple[Edit, ...] = ()
