"""Whether the sink can find the rows that the source changes, by the columns that the binlog has of them. Pure.

Judges by the source's global setting, before any event is seen; dispatchers check every event with the same rule
(hedgerow.common.mysql.lookup).
"""

from __future__ import annotations

from collections.abc import Sequence

from hedgerow.common.errors import Problem
from hedgerow.common.mysql.catalog import Column
from hedgerow.common.mysql.lookup import finds, listed, rekeyed, sought
from hedgerow.common.mysql.names import TableName
from hedgerow.coordinator.preflight.facts import Facts


def key_problems(source: Facts, sink: Facts) -> list[Problem]:
    """Tables whose rows can only be inserted. Applies to any start position, as there may be no event to check yet."""
    image = source.variables.get("binlog_row_image", "FULL")
    if sink.info.flavour != "mariadb" or source.info.flavour != "mariadb" or image not in ("MINIMAL", "NOBLOB"):
        return []
    problems: list[Problem] = []
    for name in sorted(source.tables.listed.keys() & sink.tables.listed.keys()):
        theirs, ours = source.tables.columns.get(name, ()), sink.tables.columns.get(name, ())
        if not _is_found(theirs, ours, image):
            problems.append(_problem(name, theirs, ours, image, sink.address))
    return problems


def _is_found(theirs: Sequence[Column], ours: Sequence[Column], image: str) -> bool:
    has_key = any(column.in_key for column in theirs)
    told = {
        column.name.casefold()
        for column in theirs
        if column.in_key or not has_key or (image == "NOBLOB" and not column.is_blob)
    }
    return len(told) == len(theirs) or finds(told, ours)


def _problem(name: TableName, theirs: Sequence[Column], ours: Sequence[Column], image: str, sink: str) -> Problem:
    key = sought(theirs)
    return Problem(
        f"table {name.key} on the sink {sink} does not have the source's primary key ({listed(key)}), and "
        f"binlog_row_image is {image} on the source: the binlog lacks the columns by which the sink finds a row, so "
        "UPDATE and DELETE would change no row, or the wrong one",
        f"{rekeyed(name, key, ours)}; on the sink, or SET GLOBAL binlog_row_image = FULL; on the source, for all of "
        "its sessions",
    )
