"""Holds back every row from a sink until somebody watches it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from bench.scenarios import SCHEMA
from hedgerow.sandbox.servers import Server


@contextlib.contextmanager
def gate(sink: Server, tables: tuple[str, ...]) -> Iterator[Callable[[], None]]:
    """Locks the tables; what is yielded unlocks them.

    Whoever applies waits for a metadata lock meanwhile. Hedgerow's lanes count that as an attempt after 5 s, so it is
    for the short time between the start of replication and the first look at the sink.
    """
    with sink.connect(database=SCHEMA) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLES " + ", ".join(f"{table} WRITE" for table in tables))

        def open_() -> None:
            cursor.execute("UNLOCK TABLES")

        yield open_
