"""What the sink's schema `hedgerow` remembers of one changefeed, asked over a connection for each question."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from hedgerow.common.binlog.position import Position
from hedgerow.common.ledger.fence import find_fence
from hedgerow.common.ledger.progress import insert_progress, list_progress
from hedgerow.common.ledger.xa import list_prepared
from hedgerow.dispatcher.sink.api import Incarnation

Ask: TypeAlias = "Callable[[], AbstractContextManager[Connection[Cursor]]]"


class BinlogLedger:
    def __init__(self, uid: str, ask: Ask) -> None:
        self._uid = uid
        self._ask = ask

    def fence(self) -> int:
        with self._ask() as connection:
            return find_fence(connection, self._uid)

    def incarnations(self) -> dict[str, Incarnation]:
        with self._ask() as connection:
            return {row.dispatcher: (row.epoch, row.generation) for row in list_progress(connection, self._uid)}

    def prepared(self) -> dict[str, set[str]]:
        with self._ask() as connection:
            return list_prepared(connection, self._uid)

    def enlist(self, dispatcher: str, epoch: int, begins: Position) -> None:
        with self._ask() as connection:
            insert_progress(connection, self._uid, epoch, [dispatcher], begins)
