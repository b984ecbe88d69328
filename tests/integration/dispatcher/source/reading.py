"""Reads a source as the stream does, until a condition holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from hedgerow.common.binlog.position import Position
from hedgerow.common.binlog.startpoint import resolve_start
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.dispatcher.source import transactions as t
from hedgerow.dispatcher.source.reader import Reader
from hedgerow.sandbox.servers import Server

SECONDS = 20.0
SERVER_ID = 4_000_000_001


def uri_of(server: Server, port: int | None = None) -> ServerUri:
    uri = ServerUri.parse(server.account("hedgerow_source").uri)
    return replace(uri, port=port) if port else uri


def resolved(server: Server, text: str) -> Position:
    return resolve_start(uri_of(server), server.flavour, text)


def run(server: Server, *statements: str) -> list[tuple[Any, ...]]:
    """Execute as root; the rows of the last statement."""
    with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


class Follower:
    """A reader with its tracker; counts what comes."""

    def __init__(self, uri: ServerUri, flavour: Flavour, start: Position, heartbeat_seconds: float = 1.0) -> None:
        self.reader = Reader(uri, flavour, start, server_id=SERVER_ID, heartbeat_seconds=heartbeat_seconds)
        self.reader.connect()
        self.tracker = t.Tracker(flavour, start, self.reader.source_id)
        self.reader.reached = self.tracker.position
        self.kinds: dict[int, int] = {}
        self.rows: list[str] = []
        self.ends: list[Position] = []

    def until(self, condition: Callable[[], bool]) -> None:
        """Read until the condition holds after an event; it must within SECONDS."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"not within {SECONDS} s; read {self.kinds}"
            for event in self.reader.read(0.2):
                self.take(event)

    def take(self, event: bytes) -> None:
        self.kinds[event[4]] = self.kinds.get(event[4], 0) + 1
        what = self.tracker.feed(event)
        if what == t.DDL:
            self.tracker.finish_statement()
        elif what == t.ROWS and self.tracker.table is not None:
            self.rows.append(f"{self.tracker.table.schema}.{self.tracker.table.table}")
        elif what == t.END:
            self.ends.append(self.tracker.position())

    def until_position(self, target: Position) -> None:
        """Read until the tracker is exactly at the place of `target`."""
        self.until(lambda: (self.tracker.file, self.tracker.offset) == (target.file, target.offset))


@contextmanager
def following(
    server: Server, start: Position | str, *, port: int | None = None, **options: float
) -> Iterator[Follower]:
    position = resolved(server, start) if isinstance(start, str) else start
    follower = Follower(uri_of(server, port), server.flavour, position, **options)
    try:
        yield follower
    finally:
        follower.reader.close()
