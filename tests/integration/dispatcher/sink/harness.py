"""A stream in miniature: what the source has logged since the start, per transaction, and lanes to apply it."""

from __future__ import annotations

import struct
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from hedgerow.common.binlog import events as e
from hedgerow.common.binlog.position import Position
from hedgerow.common.binlog.table_map import table_name
from hedgerow.common.ledger.ownership import raise_fence
from hedgerow.common.ledger.progress import insert_progress
from hedgerow.common.ledger.schema import ensure_schema
from hedgerow.common.mysql.connect import connect, server_info
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.dispatcher.sink.binlog.coalesce import Coalescer
from hedgerow.dispatcher.sink.binlog.lane import Lane
from hedgerow.dispatcher.sink.columns.shapes import Shapes
from hedgerow.dispatcher.sink.token import FencingToken
from hedgerow.dispatcher.source.reader import Reader
from hedgerow.sandbox.servers import ServerPair

SCHEMA = "shop"
TABLE_MAP, XID, QUERY = 19, 16, 2
SECONDS = 30.0


@dataclass(frozen=True)
class SourceTransaction:
    rows: tuple[tuple[str, bytes, bytes], ...]  # dispatcher, table map, rows event
    position: Position


class Feed:
    """One changefeed of a pair, fenced at epoch 1, over the tables that `tables` creates on both servers."""

    def __init__(self, pair: ServerPair, tables: Mapping[str, str]) -> None:
        self.pair = pair
        self.uid = uuid4().hex
        self.keys = [f"{SCHEMA}.{name}" for name in tables]
        for server in (pair.source, pair.sink):
            run(
                server.connect(),
                f"CREATE DATABASE {SCHEMA}",
                *(f"CREATE TABLE {SCHEMA}.{n} {d}" for n, d in tables.items()),
            )
        self.start = self._now()
        self._register()

    def begin_again(self) -> None:
        """As another changefeed, from the start."""
        with self.sink() as connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM hedgerow.progress")
        self.uid = uuid4().hex
        self._register()

    def _register(self) -> None:
        with self.sink() as connection:
            ensure_schema(connection)
            raise_fence(connection, self.uid, 1, "n1")
            insert_progress(connection, self.uid, 1, self.keys, self.start)

    def _now(self) -> Position:
        with self.pair.source.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW BINARY LOG STATUS" if self.pair.flavour == "mysql" else "SHOW MASTER STATUS")
            row = cursor.fetchone()
            assert row is not None
            return Position(file=row[0], offset=int(row[1]), source_id=server_info(connection).source_id)

    @contextmanager
    def sink(self) -> Iterator[Any]:
        with connect(ServerUri.parse(self.pair.sink_uri), "sink") as connection:
            yield connection

    @contextmanager
    def lane(self, epoch: int = 1, port: int | None = None) -> Iterator[Lane]:
        uri = ServerUri.parse(self.pair.sink.root.at("127.0.0.1", port or self.pair.sink.port).uri)
        token = FencingToken(self.uid, epoch)
        lane = Lane(uri, self.pair.flavour, lambda: token, 0)
        try:
            yield lane
        finally:
            lane.stop()

    def read(self) -> tuple[bytes, list[SourceTransaction]]:
        """The format description, and every transaction since the start."""
        end = self._now()
        uri = ServerUri.parse(self.pair.source_uri)
        reader = Reader(uri, self.pair.flavour, self.start, server_id=4_000_000 + self.pair.source.port)
        reader.connect()
        maps: dict[bytes, bytes] = {}
        rows: list[tuple[str, bytes, bytes]] = []
        done: list[SourceTransaction] = []
        offset, deadline = 0, time.monotonic() + SECONDS
        try:
            while offset < end.offset:
                assert time.monotonic() < deadline, f"the source's binlog does not reach {end}"
                for event in map(bytes, reader.read(1.0)):
                    kind = event[e.TYPE_AT]
                    if kind == TABLE_MAP:
                        maps[event[e.TABLE_ID]] = event
                    elif kind in e.ROWS_KINDS:
                        table_map = maps[event[e.TABLE_ID]]
                        rows.append((table_name(table_map).key, table_map, event))
                    if kind in (TABLE_MAP, XID, QUERY) or kind in e.ROWS_KINDS:
                        (offset,) = struct.unpack_from("<I", event, 13)
                    if kind == XID:
                        done.append(SourceTransaction(tuple(rows), Position(end.file, end.file, offset, end.source_id)))
                        rows = []
            return bytes(reader.format_description), done
        finally:
            reader.close()

    def equal(self) -> bool:
        """Whether every table has the same rows, keyless ones too."""
        return all(self.rows(self.pair.source, key) == self.rows(self.pair.sink, key) for key in self.keys)

    def rows(self, server: Any, key: str) -> list[tuple[Any, ...]]:
        with server.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {key}")
            return sorted(cursor.fetchall(), key=repr)


def run(connection: Any, *statements: str) -> None:
    with connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def apply(
    lane: Lane,
    description: bytes,
    transactions: list[SourceTransaction],
    positions: Mapping[str, Position],
    group: int,
    tied: Collection[str] = (),
    shapes: Shapes | None = None,
) -> None:
    """Submit what each dispatcher has not, `group` source transactions in a batch, and wait until it is durable.
    `shapes` judges rows, as in a stream."""
    checks = () if shapes is None else (shapes.check, shapes.check_rows if shapes.searches else None)
    coalescer = Coalescer(lane.max_allowed_packet, tied, *checks)
    coalescer.describe(description)
    for transaction in transactions:
        for key, table_map, event in transaction.rows:
            if key in positions and transaction.position.offset > positions[key].offset:
                coalescer.add(key, table_map, event)
        coalescer.end_transaction(transaction.position)
        if coalescer.transactions >= group:
            lane.submit(coalescer.take())
    if not coalescer.empty:
        lane.submit(coalescer.take())
    assert lane.drain(SECONDS)
