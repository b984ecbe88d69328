"""Transactions of the source that a user has decided to leave out, in a changefeed's spec (ADR: "A way past").

A transaction is known by its GTID; where the source has none, by the end of the event that announces it (MySQL's
Anonymous_Gtid), or of a single event that belongs to no transaction. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from hedgerow.common.binlog.gtid import MysqlGtidSet
from hedgerow.common.binlog.position import Position, file_order, has_reached
from hedgerow.common.errors import BadInput
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.pb.v1 import model_pb2 as pb

_MARIADB: Final = re.compile(r"\d{1,10}-\d{1,10}-\d{1,20}")
_PLACE: Final = re.compile(r"(.+):(\d{1,19})")
_MYSQL_ONE: Final = re.compile(r"[0-9a-f-]{36}(?::[a-z_][a-z0-9_]{0,31})?:\d+")


class Skip(NamedTuple):
    """`tables`: the dispatchers that get none of its rows; empty: all of them, and its DDL is not executed."""

    gtid: str
    file: str = ""
    offset: int = 0
    tables: frozenset[str] = frozenset()

    @classmethod
    def read(cls, message: pb.Skip) -> Skip:
        return cls(message.gtid, message.file, message.offset, frozenset(message.tables))

    @classmethod
    def of_key(cls, key: str) -> Skip:
        """From what identifies a statement in hedgerow.ddl: a GTID, or FILE:OFFSET."""
        file, _, offset = key.rpartition(":")
        is_gtid = not file or _MYSQL_ONE.fullmatch(key) is not None
        return cls(key) if is_gtid else cls("", file, int(offset))

    def is_before(self, position: Position, flavour: Flavour) -> bool:
        """Whether a dispatcher at `position` is past it. Where one of the two has no GTID, by file and offset alone."""
        if self.gtid:
            return has_reached(position, gtid=self.gtid, file="", offset=0, source_id="", flavour=flavour)
        if not position.file:
            return False
        return (*file_order(position.file), position.offset) >= (*file_order(self.file), self.offset)


def one_gtid(flavour: Flavour, text: str) -> str:
    """The GTID of one transaction, as positions and messages write it. Raises BadInput."""
    text = text.strip()
    if flavour == "mariadb":
        if _MARIADB.fullmatch(text):
            return "-".join(str(int(part)) for part in text.split("-"))
        raise BadInput(f"{text!r} is not the GTID of one transaction: domain-server-number, such as 0-1-42")
    try:
        found = str(MysqlGtidSet.parse(text))
    except BadInput:
        found = ""
    if not _MYSQL_ONE.fullmatch(found):
        raise BadInput(f"{text!r} is not the GTID of one transaction: server_uuid:number, or server_uuid:tag:number")
    return found


def place(text: str) -> tuple[str, int]:
    """FILE:OFFSET. Raises BadInput."""
    match = _PLACE.fullmatch(text.strip())
    if match is None:
        raise BadInput(f"{text!r} is not FILE:OFFSET, such as binlog.000042:1234")
    return match[1], int(match[2])


def table_key(text: str, table_filter: TableFilter) -> str:
    """The dispatcher's key of a table that the filter matches. Raises BadInput."""
    schema, dot, table = text.partition(".")
    if not dot or not table_filter.matches(schema, table):
        raise BadInput(f"{text!r} is not SCHEMA.TABLE of a table that the changefeed's filter matches ({table_filter})")
    return text


def command(changefeed: str, gtid: str, file: str, offset: int, tables: Sequence[str] = ()) -> str:
    """What a user enters to get past this transaction."""
    which = f"--transaction {gtid}" if gtid else f"--at {file}:{offset}"
    options = "".join(f" --table '{table}'" for table in tables)
    return f"hedgerow changefeed skip {changefeed} {which}{options}"


def way_past(changefeed: str, gtid: str, file: str, offset: int, tables: Sequence[str] = ()) -> str:
    """A sentence for messages that stop a changefeed."""
    what = f"what it has of {', '.join(tables)}" if tables else "it"
    return (
        f"To go on without {what}: {command(changefeed, gtid, file, offset, tables)}; then "
        f"hedgerow changefeed resume {changefeed}"
    )
