"""Compares what a stream's tables are like in the source's catalog and in the sink's, where that can be told.

The sink's catalog is as of the stream's position, the source's as of now: between them a DDL may lie that the stream
has not read. So a difference is only a doubt, with the place where the source's binlog ended after its catalog was read
(both servers let nobody see a new definition before its statement is in the binlog). A DDL on the table before that
place makes it void; at that place no DDL explains it, and if the catalogs still differ the table's rows are refused.
That is before any row where the stream begins at the end of the binlog. One with more to read may have applied some:
then it stops late, but never in silence. What the table maps tell (dispatcher.sink.columns.shapes) is known before any
row. Without rows nothing stops: in opposite directions the sink may have a DDL that the source is still to get.

Used by the stream's thread, when it begins, after a DDL, and now and then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from typing import TypeAlias

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from hedgerow.common.binlog.gtid import gtid_set, is_subset
from hedgerow.common.binlog.position import Position, file_order
from hedgerow.common.binlog.startpoint import resolve_start
from hedgerow.common.mysql.catalog import Column, columns, show_hidden_keys
from hedgerow.common.mysql.connect import Flavour, connect, unavailable
from hedgerow.common.mysql.names import TableName
from hedgerow.dispatcher.sink.columns.catalogs import catalog_differences
from hedgerow.dispatcher.sink.columns.shapes import Difference
from hedgerow.dispatcher.sink.columns.tables import read_shapes
from hedgerow.dispatcher.spec import Spec

_READ_SECONDS = 10.0

Ask: TypeAlias = "Callable[[], AbstractContextManager[Connection[Cursor]]]"


@dataclass(frozen=True, slots=True)
class _Doubt:
    found: tuple[Difference, ...]
    end: Position  # of the source's binlog, not before its catalog was read


class Definitions:
    def __init__(self, spec: Spec, sink: Ask) -> None:
        """`sink` connects for a question."""
        self._spec = spec
        self._sink = sink
        self._doubts: dict[str, _Doubt] = {}
        self._source_keys: dict[str, tuple[str, ...]] = {}

    def compare(self, dispatchers: Collection[str]) -> None:
        """Of these tables. Raises SourceUnavailable, SinkUnavailable, SinkRefused."""
        if not dispatchers:
            return
        theirs = self._source_columns(dispatchers)
        self._source_keys |= {key: tuple(c.name for c in theirs.get(key, ()) if c.in_key) for key in dispatchers}
        end = resolve_start(self._spec.source, self._spec.flavour, "now")
        with self._sink() as connection:
            ours = read_shapes(connection, self._spec.flavour, dispatchers)
        for key in dispatchers:
            there, here = theirs.get(key), ours.get(key)
            found = tuple(catalog_differences(there, here)) if there is not None and here is not None else ()
            self._doubts.pop(key, None)
            if found:
                self._doubts[key] = _Doubt(found, end)

    def source_key(self, dispatcher: str) -> tuple[str, ...]:
        """The source's primary key, or what stands for it, when its catalog was last read; empty where there is
        none."""
        return self._source_keys.get(dispatcher, ())

    def judge(self, position: Position) -> Iterator[tuple[str, Sequence[Difference]]]:
        """At the end of the last whole transaction that was read: what no DDL explains, by dispatcher. Raises what
        `compare` raises."""
        flavour = self._spec.flavour
        due = {key: doubt for key, doubt in self._doubts.items() if _reached(position, doubt.end, flavour)}
        self.compare(due.keys())
        for key, doubt in due.items():
            still = self._doubts.get(key)
            if still is not None and still.found == doubt.found:
                del self._doubts[key]
                yield key, doubt.found

    def _source_columns(self, dispatchers: Collection[str]) -> dict[str, tuple[Column, ...]]:
        names = {TableName(*key.split(".")): key for key in dispatchers if key.count(".") == 1}
        try:
            with closing(connect(self._spec.source, "source", read_timeout=_READ_SECONDS)) as connection:
                show_hidden_keys(connection, self._spec.flavour)
                return {names[name]: listed for name, listed in columns(connection, names).items()}
        except (pymysql.MySQLError, OSError) as error:
            raise unavailable(self._spec.source, "source", error) from error


def _reached(position: Position, end: Position, flavour: Flavour) -> bool:
    if not end.gtid_set and not end.file:
        return True  # the beginning
    if position.gtid_set and end.gtid_set:
        return is_subset(gtid_set(flavour, end.gtid_set), gtid_set(flavour, position.gtid_set))
    if not position.file or position.source_id != end.source_id:
        return False
    return (*file_order(position.file), position.offset) >= (*file_order(end.file), end.offset)
