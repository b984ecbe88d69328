"""A session for Hedgerow's own statements that is kept from one DDL statement to the next, where that comes soon.

To connect is a good part of what a CREATE TABLE costs. One that is idle for longer is not kept: what
lies between may have ended it, and a DDL statement is no place to find out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pymysql.connections import Connection
from pymysql.cursors import Cursor

KEEP_SECONDS = 3.0


class KeptSession:
    """For one thread at a time."""

    def __init__(self) -> None:
        self._connection: Connection[Cursor] | None = None
        self._until = 0.0  # on time.monotonic()

    def take(self, connect: Callable[[], Connection[Cursor]]) -> Connection[Cursor]:
        """The one that was kept, or a new one. The caller keeps it again, or closes it."""
        kept, self._connection = self._connection, None
        if kept is not None and kept.open and time.monotonic() < self._until:
            return kept
        _close(kept)
        return connect()

    def keep(self, connection: Connection[Cursor]) -> None:
        """It is in no transaction, and nothing went wrong."""
        self._connection, self._until = connection, time.monotonic() + KEEP_SECONDS

    def close(self) -> None:
        kept, self._connection = self._connection, None
        _close(kept)


def _close(connection: Connection[Any] | None) -> None:
    if connection is not None and connection.open:
        connection.close()
