"""A pulse through the changefeed: one row in each of some tables, counted up at the source, watched at the sink.

`Pulse` owns two threads with a connection each. The writer counts all tables up in one transaction every 5 ms; the
watcher asks the sink every 5 ms, in one query and so in one read view, how far each table is and at which epoch its
dispatcher wrote.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from bench.pauses import Sample
from hedgerow.sandbox.accounts import Access

SCHEMA = "pulse"
PERIOD = 0.005  # seconds


class Pulse:
    def __init__(self, source: Access, sink: Access, tables: int) -> None:
        self.tables = [f"t{number}" for number in range(tables)]
        self._source = source
        self._sink = sink
        self._samples: list[Sample] = []
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._threads = [
            threading.Thread(target=self._guard, args=(work,), daemon=True) for work in (self._write, self._watch)
        ]

    @property
    def keys(self) -> list[str]:
        """Of the tables' dispatchers."""
        return [f"{SCHEMA}.{table}" for table in self.tables]

    def create_tables(self) -> None:
        with self._source.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {SCHEMA}")
            for table in self.tables:
                cursor.execute(f"CREATE TABLE {SCHEMA}.{table} (id INT PRIMARY KEY, n BIGINT NOT NULL)")
                cursor.execute(f"INSERT INTO {SCHEMA}.{table} VALUES (1, 0)")

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Raises what ended a thread before."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.check()

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    def forget(self) -> None:
        """Samples so far are not needed any more."""
        self._samples = []

    @property
    def samples(self) -> list[Sample]:
        return list(self._samples)

    def wait(self, condition: Callable[[Sample], bool], seconds: float) -> bool:
        """Until the latest sample is as wanted; False when the deadline passed first."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check()
            if self._samples and condition(self._samples[-1]):
                return True
            time.sleep(0.02)
        return False

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self._error = self._error or error
            self._stop.set()

    def _write(self) -> None:
        tables = ", ".join(f"{SCHEMA}.{table}" for table in self.tables)
        changes = ", ".join(f"{table}.n = {table}.n + 1" for table in self.tables)
        with self._source.connect() as connection, connection.cursor() as cursor:
            while not self._stop.wait(PERIOD):
                cursor.execute(f"UPDATE {tables} SET {changes}")

    def _watch(self) -> None:
        counts = ", ".join(f"(SELECT n FROM {SCHEMA}.{table})" for table in self.tables)
        keys = ", ".join(f"'{key}'" for key in self.keys)
        epochs = f"(SELECT GROUP_CONCAT(epoch ORDER BY dispatcher) FROM hedgerow.progress WHERE dispatcher IN ({keys}))"
        with self._sink.connect() as connection, connection.cursor() as cursor:
            while not self._stop.wait(PERIOD):
                cursor.execute(f"SELECT {counts}, {epochs}")
                row = cursor.fetchone()
                at = time.monotonic()
                assert row is not None
                *applied, epochs_seen = row
                if None not in row:
                    seen = tuple(int(epoch) for epoch in epochs_seen.split(","))
                    self._samples.append(Sample(at, tuple(applied), seen))
