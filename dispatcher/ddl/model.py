"""What classification says of a statement."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from common.names import TableName
from common.pb.v1 import model_pb2 as pb


class Kind(enum.Enum):
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


@dataclass(frozen=True, slots=True)
class Classified:
    """A statement and what it means for dispatchers.

    `touches`: tables whose dispatchers flush before it (without table: all of the schema). `creates`, `drops`: tables
    that are there only after it, or only before it. `changes`: names that decide whether the filter lets it through;
    `needs`: tables that must be in the sink though the statement leaves them as they are (LIKE, REFERENCES).
    `ignorable`: it is not replicated whatever the filter says, because of `reason`. `statement`: for the sink.
    """

    kind: Kind
    statement: str
    scope: pb.DdlScope = pb.TABLES
    touches: tuple[TableName, ...] = ()
    creates: tuple[TableName, ...] = ()
    drops: tuple[TableName, ...] = ()
    changes: tuple[TableName, ...] = ()
    needs: tuple[TableName, ...] = ()
    ignorable: bool = False
    reason: str = ""
