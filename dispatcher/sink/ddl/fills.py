"""Refuses an ALTER TABLE that would give rows in the sink other values than the same rows have on the source.

Which statements do is known from their text (dispatcher.ddl.fills), and whether there are such rows from the sink: all
that came before the statement is applied when it is asked. A table without rows takes any of them. The order in which a
server finds rows is that of the table's key; without one it is that of their arrival, which is the source's business.
"""

from __future__ import annotations

from pymysql.cursors import Cursor

from hedgerow.common.errors import DdlFailed
from hedgerow.common.mysql.names import TableName, quoted
from hedgerow.common.pb.v1 import model_pb2 as pb

_SHOWN = 200  # characters of a statement in an error


def check_fills(cursor: Cursor, ddl: pb.Ddl) -> None:
    """Raises DdlFailed, pymysql.MySQLError. To be asked before the statement is begun."""
    if not ddl.fills:
        return
    table = TableName.read(ddl.touches[0])
    keyed = _has_key(cursor, table)
    for fill in ddl.fills:
        if fill.ordered:
            if not keyed and _count_to_two(cursor, table, fill.numbered) > 1:
                raise DdlFailed(
                    f"{fill.what} would follow the order in which each server finds the rows of {table.key}, which has "
                    f"no key: {_start(ddl.statement)}. {_copy_anew(table)}. Where this is to come again: add a column "
                    "without AUTO_INCREMENT, number the rows with UPDATE, then MODIFY the column and add its key"
                )
        elif _count_to_two(cursor, table):
            way = (
                f"Execute the statement in the sink by hand, and skip it; when the changefeed runs again, UPDATE the "
                f"column in all rows of {table.key} in the source: what it sets there travels as it is"
                if keyed
                else _copy_anew(table)
            )
            raise DdlFailed(
                f"{table.key} has rows, and would get other values in the sink than it has in the source from "
                f"{fill.what}: {_start(ddl.statement)}. {way}. Where this is to come again: add the column without "
                "it, UPDATE the rows, then ALTER COLUMN ... SET DEFAULT"
            )


def _copy_anew(table: TableName) -> str:
    return (
        f"The table has to be copied again: leave it out of this changefeed (hedgerow changefeed update, with "
        f"--filter '!{table.quoted}' as the last rule), drop it in the sink, load it there from a dump of the source, "
        "and create a changefeed of its own for it that starts at the dump's position"
    )


def _has_key(cursor: Cursor, table: TableName) -> bool:
    """Whether the rows are stored in the order of a key: the primary one, or one whose columns are never NULL."""
    cursor.execute(
        "SELECT index_name FROM information_schema.statistics WHERE table_schema = %s AND table_name = %s"
        " AND non_unique = 0 GROUP BY index_name"
        " HAVING SUM(nullable = 'YES' OR sub_part IS NOT NULL OR column_name IS NULL) = 0",
        (table.schema, table.table),
    )
    return bool(cursor.fetchall())


def _count_to_two(cursor: Cursor, table: TableName, empty: str = "") -> int:
    """Rows of the table, only those where column `empty` is NULL or 0 if one is given; not beyond two."""
    where = f" WHERE {quoted(empty)} IS NULL OR {quoted(empty)} = 0" if empty else ""
    cursor.execute(f"SELECT 1 FROM {table.quoted}{where} LIMIT 2")
    return len(cursor.fetchall())


def _start(statement: str) -> str:
    flat = " ".join(statement.split())
    return flat if len(flat) <= _SHOWN else f"{flat[:_SHOWN]}..."
