"""Differences between a table's columns in the source's catalog and in the sink's that change values in silence. Pure.

For what the table map does not tell (dispatcher.sink.columns.shapes), and for what no table map tells: a column that
only the sink generates, a type with a format of its own for plain bytes, digits that a FLOAT of the sink is rounded to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hedgerow.common.binlog.table_map import WORDS
from hedgerow.common.mysql.catalog import Column
from hedgerow.dispatcher.sink.columns.shapes import Difference, SinkTable, definition, holds, is_instead_of, plain

# Words for one type of rows events: the server does not tell them apart, the character set does.
_BYTES = {
    "char": "binary",
    "varchar": "varbinary",
    "tinytext": "tinyblob",
    "text": "blob",
    "mediumtext": "mediumblob",
} | {"longtext": "longblob", "json": "longblob"}
_GEOMETRIES = WORDS[255]
_FIXED = frozenset({"char", "binary"})


def catalog_differences(theirs: Sequence[Column], ours: SinkTable) -> Iterator[Difference]:
    for number, (there, here) in enumerate(zip(theirs, ours.columns, strict=False), start=1):
        yield from _column(number, there, here)


def _column(number: int, there: Column, here: Column) -> Iterator[Difference]:
    if there.name.casefold() != here.name.casefold():
        yield Difference(f"column {number} is {here.name} instead of {there.name}")
        return
    if here.generated:
        if not there.generated:
            yield Difference(f"column {here.name} is generated in the sink, and not in the source")
        return
    if _kind(there) != _kind(here):
        yield Difference(f"column {here.name} is {here.type} instead of {there.type}")
        return
    rounds = here.word in ("float", "double") and _digits(there) != _digits(here)
    if rounds or (here.is_numeric and there.unsigned != here.unsigned):
        yield is_instead_of(here, there.type)
    numbered = there.members is not None and here.members is not None
    if numbered:
        assert there.members is not None
        assert here.members is not None
        if here.members[: len(there.members)] != there.members:
            yield is_instead_of(here, there.type)
        return
    theirs = plain(there.charset) or "binary"
    if not here.is_opaque and not holds(theirs, here, variable=there.word not in _FIXED):
        yield Difference(
            f"column {here.name} has character set {here.charset or 'binary'} instead of {theirs}",
            here,
            definition(here, kind=there.type, charset=theirs) if there.charset else "",
        )


def _kind(column: Column) -> str:
    if column.word in _GEOMETRIES:
        return "geometry"
    return _BYTES.get(column.word, column.word)


def _digits(column: Column) -> str:
    return column.type.partition("(")[2].partition(")")[0]
