"""Storage engines of tables in the sink: rows and position are committed together only where the engine can."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pymysql.cursors import Cursor

from hedgerow.common.mysql.names import TableName

_SELECT = (
    "SELECT t.table_schema, t.table_name, t.engine FROM information_schema.tables t"
    " JOIN information_schema.engines e ON e.engine = t.engine"
    " WHERE t.table_type <> 'VIEW' AND COALESCE(e.transactions, 'NO') <> 'YES' AND t.table_schema = %s"
)


def without_transactions(cursor: Cursor, names: Collection[TableName]) -> list[tuple[TableName, str]]:
    """Those tables that have an engine without transactions, with it; a name without table means all of its schema.
    What is not there, and what has no engine (views), is left out. Preflight has the same rule."""
    found: list[tuple[Any, ...]] = []
    for schema in sorted({name.schema for name in names}):
        tables = [name.table for name in names if name.schema == schema]
        if "" in tables:
            cursor.execute(_SELECT, (schema,))
        else:
            cursor.execute(f"{_SELECT} AND t.table_name IN %s", (schema, tables))
        found += cursor.fetchall()
    return sorted((TableName(schema, table), engine) for schema, table, engine in found)
