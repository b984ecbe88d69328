"""A scenario in the binlog of a source: written in pieces, and read from its beginning however long it has become."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pymysql.constants import CLIENT
from pymysql.cursors import Cursor

from bench.scenarios import SCHEMA, Scenario, Transaction
from hedgerow.sandbox.servers import Server

_BATCH = 100  # transactions that are sent at once: each still commits by itself


@dataclass(frozen=True, slots=True)
class Place:
    """Where replication begins: a GTID set in the server's notation, and the same place by file and offset."""

    gtids: str
    file: str
    offset: int


@dataclass(frozen=True, slots=True)
class Written:
    """What there is of a scenario between `begin` and the GTID set `end`. It ends with the mark of this number."""

    scenario: Scenario
    begin: Place
    end: str
    mark: int
    transactions: int
    rows: int
    bytes: int


class Binlog:
    """Creates the tables; what is written comes into binlog files of its own."""

    def __init__(self, source: Server, scenario: Scenario) -> None:
        create_tables(source, scenario.create())
        with source.connect() as connection, connection.cursor() as cursor:
            cursor.execute("FLUSH BINARY LOGS")
        self._source = source
        self._scenario = scenario
        self._begin = place(source)
        self._generated = scenario.transactions()
        self._mark = self._transactions = self._rows = 0

    def extend(self, transactions: int) -> Written:
        """Writes as many as are missing of so many, and the next mark, which counts too."""
        missing = max(0, transactions - self._transactions - len(self._scenario.tables))
        self._mark += 1
        pieces = itertools.chain(itertools.islice(self._generated, missing), self._scenario.mark(self._mark))
        options = {"database": SCHEMA, "client_flag": CLIENT.MULTI_STATEMENTS}
        with self._source.connect(**options) as connection, connection.cursor() as cursor:
            for batch in _batches(pieces):
                self._rows += _execute(cursor, batch)
                self._transactions += len(batch)
        end, size = gtids(self._source), _bytes_from(self._source, self._begin)
        return Written(self._scenario, self._begin, end, self._mark, self._transactions, self._rows, size)


def create_tables(server: Server, statements: Sequence[str], *, log: bool = True) -> None:
    """`log`: whether they are to be in the server's binlog."""
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_log_bin = %s", (int(log),))
        for statement in statements:
            cursor.execute(statement)


def place(source: Server) -> Place:
    """The end of a binlog that nobody writes to at the moment."""
    return Place(gtids(source), *_binlogs(source)[-1])


def gtids(server: Server) -> str:
    """The GTID set of all that is in the server's binlog."""
    variable = {"mariadb": "@@gtid_binlog_pos", "mysql": "@@gtid_executed"}[server.flavour]
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {variable}")
        row = cursor.fetchone()
        assert row is not None
        return str(row[0]).replace("\n", "")


def execute_transaction(cursor: Cursor, statements: Transaction) -> int:
    """In autocommit mode; the rows it changed."""
    return sum(cursor.execute(statement) for statement in _whole(statements))


def _batches(transactions: Iterable[Transaction]) -> Iterator[list[Transaction]]:
    left = iter(transactions)
    while batch := list(itertools.islice(left, _BATCH)):
        yield batch


def _execute(cursor: Cursor, batch: Sequence[Transaction]) -> int:
    """One way there and back; the rows they changed."""
    rows = cursor.execute("; ".join(statement for transaction in batch for statement in _whole(transaction)))
    while cursor.nextset():
        rows += cursor.rowcount
    return rows


def _whole(statements: Transaction) -> Transaction:
    return statements if len(statements) == 1 else ("BEGIN", *statements, "COMMIT")


def _bytes_from(source: Server, begin: Place) -> int:
    return sum(size for name, size in _binlogs(source) if name >= begin.file) - begin.offset


def _binlogs(source: Server) -> list[tuple[str, int]]:
    """Names and sizes, the newest last. SHOW MASTER STATUS would be shorter, but newer servers call it differently."""
    with source.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW BINARY LOGS")
        return [(row[0], row[1]) for row in cursor.fetchall()]
