"""Whether the sink finds the rows that an UPDATE or DELETE event changes, by the columns that the event has of them.

MariaDB only: see hedgerow.common.mysql.lookup. The event tells what its own session logged, and the sink's key is as
last read, so this holds for tables that come later, and for settings of single sessions. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hedgerow.common.binlog.rows_header import RowsHeader
from hedgerow.common.errors import SinkRefused
from hedgerow.common.mysql.catalog import Column
from hedgerow.common.mysql.lookup import COMPUTES_KEYS, finds, listed, rekeyed, sought
from hedgerow.common.mysql.names import TableName, quoted


@dataclass(frozen=True, slots=True)
class SearchedTable:
    """A table of the sink. `nullable_uniques`: columns of its UNIQUE keys that may hold NULL; `source_key`: what the
    source's table has as its primary key now, empty where that is not known, or nothing."""

    name: TableName
    columns: Sequence[Column]
    nullable_uniques: Sequence[frozenset[str]]
    source_key: Sequence[str]


def refuse_unfound(table: SearchedTable, header: RowsHeader, version: tuple[int, ...]) -> None:
    """Raises SinkRefused where MariaDB of this version might change another row, or finds none."""
    held = frozenset(header.held())
    shown = table.columns[: header.columns]  # without what the servers hide: it is in no event, or in all of them
    told = [column.name for number, column in enumerate(shown) if number in held]
    is_new = version >= COMPUTES_KEYS
    if any(number not in held and not (is_new and column.generated) for number, column in enumerate(shown)):
        if not finds(told, table.columns):
            raise SinkRefused(_partly_told(table, told))
        return
    extra = [column.name for column in table.columns[header.columns :]]
    if extra and not is_new and (by := _looked_by(table, extra)):
        raise SinkRefused(_not_in_source(table, by, extra))


def _looked_by(table: SearchedTable, extra: Sequence[str]) -> tuple[str, ...]:
    """The key over columns that only the sink has."""
    if key := sought(table.columns):
        return key if set(key) & set(extra) else ()
    found = (key for key in table.nullable_uniques if key & set(extra))
    return tuple(sorted(next(found, ())))


def _partly_told(table: SearchedTable, told: Sequence[str]) -> str:
    key = sought(table.columns)
    by = f"MariaDB looks for them in the sink by its key ({listed(key)}), with defaults for what it is not told"
    if not key:
        by = "the sink's table has no primary key, and no UNIQUE key over NOT NULL columns, by which MariaDB would look"
    wanted = table.source_key if table.source_key and set(table.source_key) <= set(told) else told
    return (
        f"table {table.name.key}: of rows that an UPDATE or DELETE changes, the source's binlog has only the columns "
        f"{listed(told)} (binlog_row_image was not FULL, for all sessions or for the one that wrote them), and {by}: "
        "it would find no row, or change another one without an error. "
        f"{rekeyed(table.name, wanted, table.columns)}; in the sink (the source's key), then resume"
    )


def _not_in_source(table: SearchedTable, key: Sequence[str], extra: Sequence[str]) -> str:
    looked_by = [name for name in key if name in extra]
    if table.source_key:
        mend = f"{rekeyed(table.name, table.source_key, table.columns)}; in the sink"
    else:
        drops = ", ".join(f"DROP COLUMN {quoted(name)}" for name in looked_by)
        mend = f"ALTER TABLE {table.name.quoted} {drops}; in the sink (the source's table has no primary key to take)"
    return (
        f"table {table.name.key}: MariaDB before 11.2 looks for rows that an UPDATE or DELETE changes by the sink's "
        f"key ({listed(key)}), of which the source's binlog does not have {listed(looked_by)}: it takes the default "
        f"instead, and would find no row, or change another one without an error. {mend}, then resume"
    )
