"""Whether MariaDB finds the rows that UPDATE and DELETE events change, where the sink's key is not the source's. Pure.

An event has of the row before what binlog_row_image says: FULL all columns; MINIMAL those of the primary key, or of the
UNIQUE key over NOT NULL columns that stands for it, and all where there is none; NOBLOB those, and all that are no
BLOB. A session may have its own setting. MySQL looks by keys of which the event has all columns, else by comparing what
it has, and so it always finds the row. MariaDB takes the first UNIQUE key over NOT NULL columns, the primary key before
others, whatever the event has: it looks with the column's default for what is missing, and changes what it finds
without comparing the rest. Without such a key it looks by some other index, or compares whole rows, with these defaults
all the same, and as a rule finds none. Before 11.2 a column that only the sink has is looked for by its default too,
though the event has all that the source has; later ones take no key with such a column. 11.8 logs no generated columns
with FULL either, and computes them.
Sources: mysql-server, Rows_log_event::decide_row_lookup_algorithm_and_key in sql/log_event.cc; MariaDB,
Rows_log_event::find_key and find_row in sql/log_event_server.cc. Tried on both.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hedgerow.common.mysql.catalog import Column
from hedgerow.common.mysql.names import TableName, quoted

COMPUTES_KEYS = (11, 2)  # MariaDB: generated columns need not be told, keys over the sink's own are not looked by


def sought(columns: Sequence[Column]) -> tuple[str, ...]:
    """The key by which MariaDB looks for rows of a table with these columns; empty where it has none that it prefers
    to comparing."""
    return tuple(column.name for column in columns if column.in_key)


def finds(told: Collection[str], columns: Sequence[Column]) -> bool:
    """Whether MariaDB finds a row of which it is told these columns, and not all. Names in any case."""
    key = {name.casefold() for name in sought(columns)}
    return bool(key) and key <= {name.casefold() for name in told}


def rekeyed(table: TableName, key: Sequence[str], columns: Sequence[Column]) -> str:
    """The statement that gives a table of MariaDB with these columns this primary key."""
    parts = ["DROP INDEX IF EXISTS `PRIMARY`", f"ADD PRIMARY KEY ({listed(key)})"]
    # An AUTO_INCREMENT column has to begin some key, and that may have been the one that goes.
    parts += [f"ADD INDEX ({quoted(column.name)})" for column in columns if column.counts and column.name != key[0]]
    return f"ALTER TABLE {table.quoted} {', '.join(parts)}"


def listed(names: Sequence[str]) -> str:
    return ", ".join(quoted(name) for name in names)
