"""Holds back every row from a sink until whoever replicates stands before it, ready to write the first one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from pymysql.connections import Connection

from bench.contender import BenchError, Session
from bench.scenarios import SCHEMA
from hedgerow.sandbox.servers import Server

REACH_SECONDS = 180.0
POLL_SECONDS = 0.005
CHECK_SECONDS = 1.0
_WAITING = "Waiting for table metadata lock"  # both flavours' state of a thread in SHOW PROCESSLIST


class Gate:
    """The lock of a sink's tables. Readers pass, so that preparations that read the tables are not held up."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection

    def wait_reached(self, session: Session) -> None:
        """Until somebody wants to write. It is opened at once then: what is read ahead meanwhile is as good as nothing,
        and Hedgerow's lanes would count waiting for 5 s as an attempt. Raises BenchError."""
        deadline, next_check = time.monotonic() + REACH_SECONDS, time.monotonic() + CHECK_SECONDS
        while not self._reached():
            now = time.monotonic()
            if now > deadline:
                raise BenchError(f"nothing was about to be written to the sink within {REACH_SECONDS:g} s")
            if now > next_check:
                session.check()
                next_check = now + CHECK_SECONDS
            time.sleep(POLL_SECONDS)

    def open(self) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute("UNLOCK TABLES")

    def _reached(self) -> bool:
        with self._connection.cursor() as cursor:
            cursor.execute("SHOW PROCESSLIST")
            return any(row[6] == _WAITING for row in cursor.fetchall())


@contextlib.contextmanager
def gate(sink: Server, tables: tuple[str, ...]) -> Iterator[Gate]:
    """Closed to begin with."""
    with sink.connect(database=SCHEMA) as connection:
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLES " + ", ".join(f"{table} READ" for table in tables))
        yield Gate(connection)
