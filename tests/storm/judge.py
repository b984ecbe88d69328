"""Whether source and sink are the same: rows, and how the servers show what they hold, word for word.

AUTO_INCREMENT is left out of SHOW CREATE TABLE: it counts values that were rolled back too, and those never leave the
source, as in the servers' own replication.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import pymysql
from pymysql.cursors import Cursor

from hedgerow.common.mysql.names import TableName
from hedgerow.sandbox.accounts import Access
from hedgerow.sandbox.compare import compare
from hedgerow.sandbox.rawrows import SYSTEM_SCHEMAS, quote
from hedgerow.sandbox.servers import ServerPair
from tests.storm.feed import Feed

_COUNTER: Final = re.compile(r" AUTO_INCREMENT=\d+")
_WIDTH: Final = 2000
_ABSENT: Final = "is not there"


class Different(Exception):
    """Source and sink are not the same."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`differences`: empty where there are none."""

    tables: int
    rows: int
    definitions: int
    differences: tuple[str, ...]


def judge(pair: ServerPair) -> Verdict:
    """Of two servers to which nobody writes. Raises pymysql.MySQLError."""
    source, sink = definitions(pair.source.root), definitions(pair.sink.root)
    found = [
        f"{key}\n  source: {source.get(key, _ABSENT)[:_WIDTH]}\n  sink:   {sink.get(key, _ABSENT)[:_WIDTH]}"
        for key in sorted(source.keys() | sink.keys())
        if source.get(key) != sink.get(key)
    ]
    compared = compare(pair.source.root, pair.sink.root)
    found += [str(table) for table in compared.unequal]
    return Verdict(len(compared.tables), compared.rows, len(source), tuple(found))


def compared(feed: Feed, pair: ServerPair, patience: float) -> Verdict:
    """When the sink has reached the source's end. Raises Different, Stopped."""
    feed.reach_end(patience)
    verdict = judge(pair)
    if verdict.differences:
        raise Different("\n".join(verdict.differences))
    return verdict


def definitions(access: Access) -> dict[str, str]:
    """What a server holds besides rows, by what it is: SHOW CREATE of everything, partitions, sequences' values."""
    with access.connect(use_unicode=False, read_timeout=60) as connection, connection.cursor() as cursor:
        found: dict[str, str] = {}
        for (schema,) in _ask(cursor, "SELECT schema_name FROM information_schema.schemata"):
            if schema not in SYSTEM_SCHEMAS:
                found |= _schema(cursor, schema)
        return {key: _COUNTER.sub("", value) for key, value in found.items()}


def _schema(cursor: Cursor, schema: str) -> dict[str, str]:
    found = {f"schema {schema}": _show(cursor, f"SHOW CREATE DATABASE {quote(schema)}", 1)}
    which = "FROM information_schema.{} WHERE {}_schema = %s ORDER BY 1"
    for name, kind in _ask(cursor, f"SELECT table_name, table_type {which.format('tables', 'table')}", schema):
        full = TableName(schema, name).quoted
        if kind == "VIEW":
            found[f"view {schema}.{name}"] = _show(cursor, f"SHOW CREATE VIEW {full}", 1, 2, 3)
        elif kind == "SEQUENCE":
            found[f"sequence {schema}.{name}"] = _show(cursor, f"SELECT * FROM {full}", *range(8))
        else:
            found[f"table {schema}.{name}"] = _show(cursor, f"SHOW CREATE TABLE {full}", 1)
    for (name,) in _ask(cursor, f"SELECT trigger_name {which.format('triggers', 'trigger')}", schema):
        full = TableName(schema, name).quoted
        found[f"trigger {schema}.{name}"] = _show(cursor, f"SHOW CREATE TRIGGER {full}", *range(1, 6))
    for name, kind in _ask(cursor, f"SELECT routine_name, routine_type {which.format('routines', 'routine')}", schema):
        full = TableName(schema, name).quoted
        found[f"{kind.lower()} {schema}.{name}"] = _show(cursor, f"SHOW CREATE {kind} {full}", *range(1, 6))
    return found


def _show(cursor: Cursor, statement: str, *columns: int) -> str:
    """An error is part of what a server shows: a view that has lost its table has one on both sides."""
    try:
        row = _ask(cursor, statement)[0]
    except pymysql.err.OperationalError as error:
        return f"error {error.args[0]}"
    return " | ".join(row[at] for at in columns if at < len(row))


def _ask(cursor: Cursor, statement: str, *arguments: Any) -> list[tuple[str, ...]]:
    cursor.execute(statement, arguments or None)
    return [tuple(_text(value) for value in row) for row in cursor.fetchall()]


def _text(value: object) -> str:
    """What is no UTF-8 stays told apart."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
