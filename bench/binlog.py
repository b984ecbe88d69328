"""Writing a scenario to a source, and where in its binlog that begins and ends."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pymysql.cursors import Cursor

from bench.scenarios import SCHEMA, Scenario, Transaction
from hedgerow.sandbox.servers import Server


@dataclass(frozen=True, slots=True)
class Written:
    """`begin` and `end` are GTID sets in the server's notation; `file`:`offset` is the same place as `begin`.

    `marks`: how many transactions, and rows changed by them, there are up to every mark, beginning with none.
    """

    scenario: Scenario
    begin: str
    end: str
    file: str
    offset: int
    marks: tuple[tuple[int, int], ...]
    bytes: int
    seconds: float

    @property
    def transactions(self) -> int:
        return self.marks[-1][0]

    @property
    def rows(self) -> int:
        return self.marks[-1][1]


def write(source: Server, scenario: Scenario, size: int) -> Written:
    """Creates the tables, then writes the scenario into binlog files of its own."""
    create_tables(source, scenario.create())
    with source.connect() as connection, connection.cursor() as cursor:
        cursor.execute("FLUSH BINARY LOGS")
    begin = gtids(source)
    file, offset = _end_of_binlog(source)
    began = time.monotonic()
    total = [0, *itertools.accumulate(_execute(source, scenario, size))]
    seconds = time.monotonic() - began
    return Written(
        scenario,
        begin,
        gtids(source),
        file,
        offset,
        tuple((count, total[count]) for count in scenario.mark_sizes(size)),
        _bytes_from(source, file, offset),
        seconds,
    )


def create_tables(server: Server, statements: Sequence[str], *, log: bool = True) -> None:
    """`log`: whether they are to be in the server's binlog."""
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_log_bin = %s", (int(log),))
        for statement in statements:
            cursor.execute(statement)


def gtids(server: Server) -> str:
    """The GTID set of all that is in the server's binlog."""
    variable = {"mariadb": "@@gtid_binlog_pos", "mysql": "@@gtid_executed"}[server.flavour]
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {variable}")
        row = cursor.fetchone()
        assert row is not None
        return str(row[0]).replace("\n", "")


def _execute(source: Server, scenario: Scenario, size: int) -> list[int]:
    """The rows that each transaction changed."""
    with source.connect(database=SCHEMA) as connection, connection.cursor() as cursor:
        return [execute_transaction(cursor, statements) for statements in scenario.write(size)]


def execute_transaction(cursor: Cursor, statements: Transaction) -> int:
    """In autocommit mode; the rows it changed."""
    if len(statements) == 1:
        return cursor.execute(statements[0])
    cursor.execute("BEGIN")
    rows = sum(cursor.execute(statement) for statement in statements)
    cursor.execute("COMMIT")
    return rows


def _end_of_binlog(source: Server) -> tuple[str, int]:
    return _binlogs(source)[-1]


def _bytes_from(source: Server, file: str, offset: int) -> int:
    return sum(size for name, size in _binlogs(source) if name >= file) - offset


def _binlogs(source: Server) -> list[tuple[str, int]]:
    """Names and sizes, the newest last. SHOW MASTER STATUS would be shorter, but newer servers call it differently."""
    with source.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW BINARY LOGS")
        return [(row[0], row[1]) for row in cursor.fetchall()]
