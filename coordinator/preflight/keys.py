"""Whether the sink can find the rows that the source changes, by the columns that it is told of them. Pure.

With binlog_row_image = FULL it is told all columns. MINIMAL: those of the primary key, or of the UNIQUE key over NOT
NULL columns that stands for it, and all where there is none; NOBLOB: those, and all that are no BLOB. MySQL compares
what it is told. MariaDB looks by its own primary key, or what stands for it, as if it had been told all of it, with the
defaults for the rest, and changes whatever row has those; without one it compares whole rows, and finds none. Found by
trying both servers.
"""

from __future__ import annotations

from collections.abc import Sequence

from hedgerow.common.errors import Problem
from hedgerow.common.mysql.catalog import Column
from hedgerow.common.mysql.names import TableName, quoted
from hedgerow.coordinator.preflight.facts import Facts


def key_problems(source: Facts, sink: Facts) -> list[Problem]:
    """Tables whose rows can be inserted, and no more; wherever the changefeed starts, for it may be in silence."""
    image = source.variables.get("binlog_row_image", "FULL")
    if sink.info.flavour != "mariadb" or source.info.flavour != "mariadb" or image not in ("MINIMAL", "NOBLOB"):
        return []
    return [
        _problem(name, source.tables.columns.get(name, ()), image, sink)
        for name in sorted(source.tables.listed.keys() & sink.tables.listed.keys())
        if not _is_found(source.tables.columns.get(name, ()), sink.tables.columns.get(name, ()), image)
    ]


def _is_found(theirs: Sequence[Column], ours: Sequence[Column], image: str) -> bool:
    has_key = any(column.in_key for column in theirs)
    told = {
        column.name.casefold()
        for column in theirs
        if column.in_key or not has_key or (image == "NOBLOB" and not column.is_blob)
    }
    if len(told) == len(theirs):
        return True
    sought = {column.name.casefold() for column in ours if column.in_key}
    return bool(sought) and sought <= told


def _problem(name: TableName, theirs: Sequence[Column], image: str, sink: Facts) -> Problem:
    key = ", ".join(quoted(column.name) for column in theirs if column.in_key)
    return Problem(
        f"table {name.key} on the sink {sink.address} has another primary key than the source's ({key}), or none, and "
        f"binlog_row_image is {image} on the source: the sink is not told what it looks for, so that UPDATE and DELETE "
        "would change no row, or another one",
        f"ALTER TABLE {name.quoted} DROP INDEX IF EXISTS `PRIMARY`, ADD PRIMARY KEY ({key}); on the sink, or SET "
        "GLOBAL binlog_row_image = FULL; on the source, for all of its sessions",
    )
