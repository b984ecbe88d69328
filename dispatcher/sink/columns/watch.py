"""What the sink's tables are like, kept up to date: which ones foreign keys tie to others, because the sink's engine
carries out the cascades, and what columns they have: first those of some tables, of others when their first rows come,
after a DDL those of the tables that it has touched, and all of them now and then. The source's are compared.

Used by the stream's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import TypeAlias

import structlog
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from hedgerow.common.binlog.position import Position
from hedgerow.common.ddlscope import dropped, touched
from hedgerow.common.errors import HedgerowError
from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.common.mysql.catalog import charsets_by_collation, foreign_key_edges
from hedgerow.common.mysql.connect import server_info
from hedgerow.common.mysql.names import TableName
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.sink.columns.definitions import Definitions
from hedgerow.dispatcher.sink.columns.shapes import Shapes
from hedgerow.dispatcher.sink.columns.tables import read_shapes
from hedgerow.dispatcher.spec import Spec

log = structlog.get_logger()

LOOK_AGAIN_SECONDS = 300.0  # between two readings of the tables' columns, without a DDL
ASK_AGAIN_SECONDS = 30.0  # where a server did not answer
_AT_ONCE = 100  # tables whose columns are read together

Ask: TypeAlias = "Callable[[], AbstractContextManager[Connection[Cursor]]]"


class WatchedTables:
    """`tied`: the tables that foreign keys tie to others."""

    def __init__(self, spec: Spec, ask: Ask) -> None:
        """`ask` connects to the sink for a question."""
        self._spec = spec
        self._ask = ask
        self.tied: frozenset[str] = frozenset()
        self._served: frozenset[str] = frozenset()
        self._shapes: Shapes | None = None
        self._definitions = Definitions(spec, ask)
        self._look_again_at = time.monotonic() + LOOK_AGAIN_SECONDS
        self._ask_again_at = 0.0

    def read(self, served: Collection[str], ddl: pb.Ddl | None = None) -> None:
        """Of these dispatchers. Raises SinkUnavailable, SinkRefused, SourceUnavailable."""
        self._served = frozenset(served) - {SCHEMA_DISPATCHER}
        with self._ask() as connection:
            self.tied = frozenset(table.key for edge in foreign_key_edges(connection) for table in edge)
            if self._shapes is None:
                self._shapes = Shapes(
                    self._spec.flavour,
                    server_info(connection).version,
                    charsets_by_collation(connection),
                    self._learn,
                    self._definitions.source_key,
                )
        known = self._shapes.known
        self._read_columns(self._some() if ddl is None else touched(ddl, known) | dropped(ddl, known))

    def check(self, dispatcher: str, name: TableName, table_map: bytes) -> None:
        """Whether the sink's table can take the rows. Raises SinkRefused."""
        if self._shapes is not None:
            self._shapes.check(dispatcher, name, table_map)

    @property
    def check_rows(self) -> Callable[[str, TableName, bytes], None] | None:
        """What is to judge rows events; None where nothing is to be judged."""
        return self._shapes.check_rows if self._shapes is not None and self._shapes.searches else None

    def look_again(self, position: Position, now: float) -> None:
        """At columns: those that somebody may have changed in the sink, now and then, and those that differ from the
        source's, when the stream is at `position`. `now` is monotonic. Raises SinkRefused. A server that does not
        answer is asked again later: whatever needs it says so."""
        if self._shapes is None or now < self._ask_again_at:
            return
        try:
            for key, found in self._definitions.judge(position):
                self._shapes.forbid(key, found)
            if now >= self._look_again_at:
                self._read_columns(self._shapes.known)
                self._look_again_at = time.monotonic() + LOOK_AGAIN_SECONDS
        except HedgerowError as error:
            if not error.retriable:
                raise
            self._ask_again_at = time.monotonic() + ASK_AGAIN_SECONDS
            log.warning("columns-not-compared", changefeed=self._spec.name, error=str(error))

    def _learn(self, key: str) -> None:
        """A table's first rows come: its columns are read, with some that may be next."""
        self._read_columns(self._some() | {key})

    def _some(self) -> set[str]:
        """Of those not known yet: a stream may have thousands, and begins again with each that is created."""
        assert self._shapes is not None
        return set(sorted(self._served - self._shapes.known)[:_AT_ONCE])

    def _read_columns(self, keys: Collection[str]) -> None:
        if not keys:
            return
        assert self._shapes is not None
        with self._ask() as connection:
            self._shapes.update(read_shapes(connection, self._spec.flavour, keys))
        self._definitions.compare(keys)
