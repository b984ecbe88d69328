"""Tables as exact bytes: their rows as the server sends them, undecoded and unconverted.

A row is the text protocol's own row packet (MySQL internals, "Text Resultset Row"): the length-encoded value of every
column, one after the other. Two rows are equal if and only if their packets are, so rows can be compared without being
taken apart, which is what makes this fast enough for tables of some hundred thousand rows.

What the text form would blur is asked for differently: FLOAT as DOUBLE (its text has six digits), ENUM and SET by
number (an invalid value and an empty label read alike), TIMESTAMP in UTC (an hour a year is ambiguous elsewhere).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.connections import Connection, MySQLResult
from pymysql.constants import COMMAND
from pymysql.cursors import Cursor

from hedgerow.sandbox.accounts import Access

SYSTEM_SCHEMAS = frozenset({"mysql", "sys", "information_schema", "performance_schema", "hedgerow"})
_NULL = 0xFB
_UTF8 = re.compile(r"^utf8(?=_|$)")  # its name before MySQL 8.0.30 and MariaDB 10.6
_WIDTH = re.compile(r"\b((?:tiny|small|medium|big)?int|year)\(\d+\)")  # MySQL 8.0.19 and later do not show most


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    charset: str | None
    collation: str | None
    nullable: bool

    @property
    def expression(self) -> str:
        quoted = quote(self.name)
        kind = self.type.lower().split("(")[0].split()[0]
        if kind == "float":
            return f"{quoted} + 0e0"  # as DOUBLE: a FLOAT shows six digits (CAST knows DOUBLE from MySQL 8.0.17 on)
        if kind in ("enum", "set"):
            return f"{quoted} + 0"
        return quoted


@dataclass(frozen=True, slots=True)
class TableShape:
    """Columns in order, invisible and generated ones too, and the positions of those of the primary key."""

    columns: tuple[Column, ...]
    key: tuple[int, ...]


def quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def qualified(table: str) -> str:
    """`schema`.`table` of schema.table; a schema's name has no dot."""
    schema, _, name = table.partition(".")
    return f"{quote(schema)}.{quote(name)}"


@contextlib.contextmanager
def raw_connection(access: Access, seconds: float = 60.0) -> Iterator[Connection[Any]]:
    """A connection whose results are the stored bytes; no single answer may take longer than `seconds`."""
    connection = access.connect(read_timeout=seconds)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00', sql_mode = ''")
        yield connection
    finally:
        with contextlib.suppress(pymysql.MySQLError):
            connection.close()


def shapes(connection: Connection[Any], schemas: Sequence[str]) -> dict[str, TableShape]:
    """The base tables by schema.table; of all user schemas where none are named."""
    found: dict[str, TableShape] = {}
    with connection.cursor() as cursor:
        cursor.execute("SHOW DATABASES")
        there = {schema for (schema,) in cursor.fetchall()}
        for schema in sorted(there.intersection(schemas) if schemas else there - SYSTEM_SCHEMAS):
            found |= _shapes_of(cursor, schema)
    return found


def _shapes_of(cursor: Cursor, schema: str) -> dict[str, TableShape]:
    """Asked for by the schema's name: else MariaDB opens every table and view of the server each time."""
    columns: dict[str, list[Column]] = {}
    keys: dict[str, list[str]] = {}
    cursor.execute(
        "SELECT c.table_name, c.column_name, c.column_type, c.character_set_name, c.collation_name,"
        " c.is_nullable = 'YES' FROM information_schema.columns c JOIN information_schema.tables t"
        " ON t.table_schema = c.table_schema AND t.table_name = c.table_name"
        " WHERE t.table_schema = %s AND c.table_schema = %s AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')"
        " ORDER BY c.table_name, c.ordinal_position",
        (schema, schema),
    )
    for table, name, type_, charset, collation, nullable in cursor.fetchall():
        charset, collation = (each and _UTF8.sub("utf8mb3", each) for each in (charset, collation))
        column = Column(name, _WIDTH.sub(r"\1", type_), charset, collation, bool(nullable))
        columns.setdefault(f"{schema}.{table}", []).append(column)
    cursor.execute(
        "SELECT table_name, column_name FROM information_schema.statistics"
        " WHERE table_schema = %s AND index_name = 'PRIMARY' ORDER BY table_name, seq_in_index",
        (schema,),
    )
    for table, name in cursor.fetchall():
        keys.setdefault(f"{schema}.{table}", []).append(name)
    found = {}
    for full_name, of_table in columns.items():
        names = [column.name for column in of_table]
        found[full_name] = TableShape(tuple(of_table), tuple(names.index(name) for name in keys.get(full_name, ())))
    return found


def read_rows(connection: Connection[Any], table: str, columns: Sequence[Column]) -> list[bytes]:
    """Every row's packet, in any order. Raises pymysql.MySQLError; then the connection cannot be used again."""
    with connection.cursor() as cursor:  # rows are not to be converted, the catalogue is
        cursor.execute("SET character_set_results = NULL")
    protocol: Any = connection  # below what PyMySQL's type stubs know
    expressions = ", ".join(column.expression for column in columns)
    protocol._execute_command(COMMAND.COM_QUERY, f"SELECT {expressions} FROM {qualified(table)}")
    result: Any = MySQLResult(protocol)
    try:
        result.init_unbuffered_query()
        rows = []
        while not (packet := protocol._read_packet()).is_eof_packet():
            rows.append(packet.get_all_data())
    finally:
        result.unbuffered_active = False  # or it would read on when it is collected
    with connection.cursor() as cursor:
        cursor.execute("SET character_set_results = utf8mb4")
    return rows


def split_row(row: bytes) -> tuple[bytes | None, ...]:
    """The column values of a row packet (MySQL internals, "length-encoded string"; 0xFB is NULL)."""
    values: list[bytes | None] = []
    at = 0
    while at < len(row):
        first = row[at]
        at += 1
        if first == _NULL:
            values.append(None)
            continue
        width = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first, 0)
        length = int.from_bytes(row[at : at + width], "little") if width else first
        at += width
        values.append(row[at : at + length])
        at += length
    return tuple(values)
