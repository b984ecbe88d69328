"""What is written to the source before anybody applies it. Seeded: every run of a scenario writes the same, for as long
as it likes.

Where a binlog ends a mark is inserted into every table. When all tables of a sink have it, all before it is visible,
whoever applies and however he groups transactions.
"""

from __future__ import annotations

import base64
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SCHEMA = "bench"
MARK = 2_000_000_000  # the primary key of the k-th mark is MARK + k, above every other key

Transaction = tuple[str, ...]  # its statements; a single one commits by itself
Generator = Callable[[random.Random], Iterator[Transaction]]  # without an end


@dataclass(frozen=True, slots=True)
class Scenario:
    """`first`: the transactions that are written before anything is known of the contenders' speed, and all that
    `--quick` measures. `durable`: the sinks it is measured with."""

    name: str
    what: str
    tables: tuple[str, ...]
    columns: str
    generate: Generator
    first: int
    durable: tuple[bool, ...] = (True,)

    def create(self) -> list[str]:
        """DDL for source and sink alike."""
        return [
            f"CREATE DATABASE `{SCHEMA}` CHARACTER SET utf8mb4",
            *(f"CREATE TABLE `{SCHEMA}`.`{table}` ({self.columns}) ENGINE = InnoDB" for table in self.tables),
        ]

    def transactions(self) -> Iterator[Transaction]:
        return self.generate(random.Random(self.name))

    def mark(self, number: int) -> list[Transaction]:
        return [(f"INSERT INTO {table} (id) VALUES ({MARK + number})",) for table in self.tables]

    def marked(self, number: int) -> str:
        """A query: whether all tables have this mark."""
        return "SELECT " + " AND ".join(
            f"EXISTS (SELECT 1 FROM {table} WHERE id = {MARK + number})" for table in self.tables
        )


class _Keys:
    """The keys that exist in one table, to update and delete what is there."""

    def __init__(self) -> None:
        self.next = 1
        self.alive: list[int] = []

    def new(self) -> int:
        self.next += 1
        self.alive.append(self.next - 1)
        return self.next - 1

    def some(self, rng: random.Random) -> int:
        return self.alive[rng.randrange(len(self.alive))]

    def take(self, rng: random.Random) -> int:
        at = rng.randrange(len(self.alive))
        self.alive[at], self.alive[-1] = self.alive[-1], self.alive[at]
        return self.alive.pop()


_SMALL_TABLES = ("small1", "small2", "small3", "small4")


def _small(rng: random.Random) -> Iterator[Transaction]:
    keys = {table: _Keys() for table in _SMALL_TABLES}
    while True:
        table = rng.choice(_SMALL_TABLES)
        chance = rng.random() if len(keys[table].alive) > 100 else 0.0
        if chance < 0.5:
            values = f"{keys[table].new()}, {rng.randrange(1_000_000)}, {rng.uniform(0, 1e6):.2f}, '{rng.random()}'"
            yield (f"INSERT INTO {table} VALUES ({values}, NOW(6))",)
        elif chance < 0.85:
            key = keys[table].some(rng)
            yield (f"UPDATE {table} SET amount = amount + 1, note = '{rng.random()}' WHERE id = {key}",)
        else:
            yield (f"DELETE FROM {table} WHERE id = {keys[table].take(rng)}",)


_BULK_TABLES = ("bulk1", "bulk2")
_BULK_ROWS = 100


def _bulk(rng: random.Random) -> Iterator[Transaction]:
    chunks = {table: _Keys() for table in _BULK_TABLES}  # of 100 rows each
    while True:
        table = rng.choice(_BULK_TABLES)
        chance = rng.random() if len(chunks[table].alive) > 10 else 0.0
        if chance < 0.7:
            first = chunks[table].new() * _BULK_ROWS
            rows = (
                f"({key}, {rng.randrange(1_000_000)}, {rng.uniform(0, 1e6):.2f}, '{rng.random()}', NOW(6))"
                for key in range(first, first + _BULK_ROWS)
            )
            yield (f"INSERT INTO {table} VALUES {', '.join(rows)}",)
        elif chance < 0.9:
            yield (f"UPDATE {table} SET amount = amount + 1 WHERE {_range(chunks[table].some(rng))}",)
        else:
            yield (f"DELETE FROM {table} WHERE {_range(chunks[table].take(rng))}",)


def _range(chunk: int) -> str:
    return f"id BETWEEN {chunk * _BULK_ROWS} AND {chunk * _BULK_ROWS + _BULK_ROWS - 1}"


_WIDE_TABLES = ("wide1", "wide2", "wide3", "wide4")
_WIDE_ROWS = 10


def _wide(tables: tuple[str, ...]) -> Generator:
    def transactions(rng: random.Random) -> Iterator[Transaction]:
        keys = {table: _Keys() for table in tables}
        while True:
            table = rng.choice(tables)
            if len(keys[table].alive) < 100 or rng.random() < 0.75:
                rows = (f"({keys[table].new()}, {_blob(rng)}, '{_document(rng)}')" for _ in range(_WIDE_ROWS))
                yield (f"INSERT INTO {table} VALUES {', '.join(rows)}",)
            else:
                changed = (keys[table].some(rng) for _ in range(_WIDE_ROWS))
                yield tuple(f"UPDATE {table} SET data = {_blob(rng)} WHERE id = {key}" for key in changed)

    return transactions


def _blob(rng: random.Random) -> str:
    return f"'{base64.b64encode(rng.randbytes(2304)).decode()}'"


def _document(rng: random.Random) -> str:
    numbers = ", ".join(str(rng.randrange(10**9)) for _ in range(85))
    return f'{{"name": "{rng.random()}", "numbers": [{numbers}]}}'


_HOT_ROWS = 8


def _hot(rng: random.Random) -> Iterator[Transaction]:
    for number in itertools.count():
        if number < _HOT_ROWS:
            yield (f"INSERT INTO hot VALUES ({number + 1}, 0, 0, '', NOW(6))",)
            continue
        key = rng.randint(1, _HOT_ROWS)
        yield (f"UPDATE hot SET amount = amount + 1, note = '{rng.random()}' WHERE id = {key}",)


_ROW = "id INT PRIMARY KEY, customer INT, amount DECIMAL(20, 2), note VARCHAR(40), changed DATETIME(6)"
_WIDE_ROW = "id INT PRIMARY KEY, data BLOB, document JSON"

SCENARIOS = (
    Scenario(
        "small",
        "one-row transactions, insert, update and delete mixed over 4 tables",
        _SMALL_TABLES,
        _ROW + ", KEY (customer)",
        _small,
        4_000,
    ),
    Scenario(
        "bulk",
        "transactions of 100 rows, insert, update and delete mixed over 2 tables",
        _BULK_TABLES,
        _ROW,
        _bulk,
        600,
        (True, False),
    ),
    Scenario(
        "wide",
        "rows of 4 KiB with BLOB and JSON in transactions of 10 rows, inserts and updates over 4 tables",
        _WIDE_TABLES,
        _WIDE_ROW,
        _wide(_WIDE_TABLES),
        400,
    ),
    Scenario(
        "one-table",
        "the same in a single table",
        _WIDE_TABLES[:1],
        _WIDE_ROW,
        _wide(_WIDE_TABLES[:1]),
        400,
    ),
    Scenario("hot", "one-row updates of 8 rows of one table", ("hot",), _ROW, _hot, 2_000),
)
