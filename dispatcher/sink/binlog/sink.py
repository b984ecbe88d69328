"""A MySQL or MariaDB server as a sink: it gets the source's own rows events, as BINLOG statements, and the source's
DDL statements as they were logged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from hedgerow.common.binlog.position import Position
from hedgerow.common.mysql.catalog import table_exists
from hedgerow.common.mysql.connect import connect
from hedgerow.common.mysql.names import TableName
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.sink.api import SchemaChange
from hedgerow.dispatcher.sink.binlog.lane import Lane
from hedgerow.dispatcher.sink.binlog.ledger import BinlogLedger
from hedgerow.dispatcher.sink.columns.watch import WatchedTables
from hedgerow.dispatcher.sink.ddl.execute import execute_ddl
from hedgerow.dispatcher.sink.ddl.kept import KeptSession
from hedgerow.dispatcher.sink.ddl.survey import unlisted
from hedgerow.dispatcher.sink.kill_switch import KillSwitch
from hedgerow.dispatcher.sink.refusals import refusal
from hedgerow.dispatcher.sink.token import CurrentToken
from hedgerow.dispatcher.spec import Spec

QUESTION_SECONDS = 10.0


class BinlogSink:
    """See dispatcher.sink.api.Sink."""

    def __init__(self, spec: Spec, token: CurrentToken) -> None:
        self._spec = spec
        self._token = token
        self._cut = KillSwitch()  # of all connections but the lanes'
        self._tables = WatchedTables(spec, self._ask)
        self._kept = KeptSession()
        self._lock = threading.Lock()
        self._lanes: list[Lane] = []
        self.ledger = BinlogLedger(spec.uid, self._ask)

    @property
    def address(self) -> str:
        return self._spec.sink.address

    def open_lane(self, number: int, done: Callable[[], None]) -> Lane:
        lane = Lane(self._spec.sink, self._spec.flavour, self._token, number, done, self._tables)
        with self._lock:
            self._lanes = [one for one in self._lanes if not one.has_ended]
            self._lanes.append(lane)
        if self.is_cut:  # it came meanwhile, and did not see this lane
            lane.cancel()
        return lane

    def read_tables(self, served: Collection[str], ddl: pb.Ddl | None = None) -> None:
        self._tables.read(served, ddl)

    def look_again(self, position: Position, now: float) -> None:
        self._tables.look_again(position, now)

    def has_table(self, table: TableName) -> bool:
        with self._ask() as connection:
            return table_exists(connection, table)

    def unlisted(self) -> list[TableName]:
        spec = self._spec
        return unlisted(spec.sink, spec.flavour, spec.uid, spec.filter, self._cut)

    def execute(self, change: SchemaChange, generation: int, flushed: Mapping[str, int]) -> None:
        execute_ddl(
            self._spec.sink,
            self._spec.flavour,
            self._token(),
            generation,
            change.ddl,
            change.position,
            change.session,
            begin=change.begin,
            cut=self._cut,
            executed=change.executed,
            raw=change.raw,
            error_code=change.error_code,
            flushed=flushed,
            kept=self._kept,
        )

    @property
    def is_cut(self) -> bool:
        return self._cut.is_cut

    def cut(self) -> None:
        self._cut.cut()
        with self._lock:
            lanes = list(self._lanes)
        for lane in lanes:
            lane.cancel()

    def close(self) -> None:
        self._kept.close()

    @contextmanager
    def _ask(self) -> Iterator[Connection[Cursor]]:
        """A connection for a question or two."""
        try:
            with connect(self._spec.sink, "sink", read_timeout=QUESTION_SECONDS) as connection:
                self._cut.attach(connection)
                yield connection
        except (pymysql.MySQLError, OSError) as error:
            raise refusal(self._spec.sink, self._spec.flavour, error) from error
