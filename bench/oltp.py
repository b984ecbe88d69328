"""A mix like sysbench's oltp_read_write (oltp_common.lua), at a fixed rate, with the time of every commit.

It runs in a process of its own, so that the one that watches the sink is not held up by it. Every transaction also
inserts into `probe`, which tells in the sink that it is visible. Times are of CLOCK_MONOTONIC, which all processes of a
machine share.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from pymysql.cursors import Cursor

from bench.scenarios import SCHEMA
from hedgerow.sandbox.accounts import Access

WRITERS = 2
TABLES = ("sbtest1", "sbtest2", "sbtest3", "sbtest4")
ALL_TABLES = (*TABLES, "probe")
ROWS = 5_000  # of each table
_RANGE = 100
_BATCH = 500

CREATE = (
    f"CREATE DATABASE `{SCHEMA}` CHARACTER SET utf8mb4",
    *(
        f"CREATE TABLE `{SCHEMA}`.{table} (id INT PRIMARY KEY, k INT NOT NULL, c CHAR(120) NOT NULL,"
        " pad CHAR(60) NOT NULL, KEY (k)) ENGINE = InnoDB"
        for table in TABLES
    ),
    f"CREATE TABLE `{SCHEMA}`.probe (writer INT, number INT, PRIMARY KEY (writer, number)) ENGINE = InnoDB",
)


@dataclass(frozen=True, slots=True)
class Load:
    """`rate`: transactions per second of all writers together."""

    source: Access
    rate: float
    seconds: float
    seed: int


def load_rows(source: Access) -> None:
    rng = random.Random("oltp")
    with source.connect(database=SCHEMA) as connection, connection.cursor() as cursor:
        for table in TABLES:
            for first in range(1, ROWS + 1, _BATCH):
                rows = (f"({key}, {rng.randint(1, ROWS)}, {_texts(rng)})" for key in range(first, first + _BATCH))
                cursor.execute(f"INSERT INTO {table} VALUES {', '.join(rows)}")


class Writing:
    """A load that runs in its own process from start() to result()."""

    def __init__(self, load: Load) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        self._commits = self._pool.submit(run_load, load)

    @property
    def done(self) -> bool:
        return self._commits.done()

    def result(self) -> list[list[float]]:
        """For each writer, when its COMMITs were answered; the n-th is of probe number n + 1."""
        try:
            return self._commits.result()
        finally:
            self._pool.shutdown()


def run_load(load: Load) -> list[list[float]]:
    commits: list[list[float]] = [[] for _ in range(WRITERS)]
    failures: list[Exception] = []
    threads = [
        threading.Thread(target=_write, args=(load, writer, commits[writer], failures)) for writer in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return commits


def _write(load: Load, writer: int, commits: list[float], failures: list[Exception]) -> None:
    rng = random.Random(load.seed * WRITERS + writer)
    interval = WRITERS / load.rate
    try:
        with load.source.connect(database=SCHEMA, autocommit=False) as connection, connection.cursor() as cursor:
            began = time.monotonic()
            due = began + interval * writer / WRITERS
            while due < began + load.seconds:
                time.sleep(max(0.0, due - time.monotonic()))
                _transaction(cursor, rng, writer)
                cursor.execute("INSERT INTO probe VALUES (%s, %s)", (writer, len(commits) + 1))
                connection.commit()
                commits.append(time.monotonic())
                due += interval
    except Exception as error:
        failures.append(error)


def _transaction(cursor: Cursor, rng: random.Random, writer: int) -> None:
    """10 point selects, 4 ranges, 2 updates, a delete and an insert. Writers change rows of their own: no deadlocks."""
    table = rng.choice(TABLES)
    for _ in range(10):
        cursor.execute(f"SELECT c FROM {table} WHERE id = {rng.randint(1, ROWS)}")
    first = rng.randint(1, ROWS - _RANGE)
    where = f"WHERE id BETWEEN {first} AND {first + _RANGE - 1}"
    cursor.execute(f"SELECT c FROM {table} {where}")
    cursor.execute(f"SELECT SUM(k) FROM {table} {where}")
    cursor.execute(f"SELECT c FROM {table} {where} ORDER BY c")
    cursor.execute(f"SELECT DISTINCT c FROM {table} {where} ORDER BY c")
    cursor.execute(f"UPDATE {table} SET k = k + 1 WHERE id = {_own(rng, writer)}")
    cursor.execute(f"UPDATE {table} SET c = '{rng.random():0<119}' WHERE id = {_own(rng, writer)}")
    key = _own(rng, writer)
    cursor.execute(f"DELETE FROM {table} WHERE id = {key}")
    cursor.execute(f"INSERT INTO {table} VALUES ({key}, {rng.randint(1, ROWS)}, {_texts(rng)})")


def _own(rng: random.Random, writer: int) -> int:
    return rng.randrange(ROWS // WRITERS) * WRITERS + writer + 1


def _texts(rng: random.Random) -> str:
    return f"'{rng.random():0<119}', '{rng.random():0<59}'"


def latencies(commits: Sequence[Sequence[float]], seen: Sequence[Sequence[float]], warm_up: float = 0.0) -> list[float]:
    """In ascending order, without those of the first `warm_up` seconds. `seen` is like `commits`; a sink may be faster
    than the answer to the source's client."""
    began = min((of_writer[0] for of_writer in commits if of_writer), default=0.0)
    return sorted(
        max(0.0, arrival - commit)
        for of_writer, seen_of_writer in zip(commits, seen, strict=True)
        for commit, arrival in zip(of_writer, seen_of_writer, strict=True)
        if commit >= began + warm_up
    )
