"""What is written to the source before anybody applies it. Seeded: every run of a scenario writes the same.

Two kinds of marker rows, one of each in every table, tell how far a sink is, whoever applies: WARM after the first
tenth of the transactions, END after the last. What is measured lies between them, so that neither starting (connections,
election, preflight, the first small batches) nor what was read ahead meanwhile counts.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SCHEMA = "bench"
WARM, END = 1_999_999_999, 2_000_000_000  # primary keys of the marker rows
WARM_SHARE = 10  # one part of so many

Transaction = tuple[str, ...]  # its statements; a single one commits by itself
Generator = Callable[[random.Random, int], Iterator[Transaction]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`size` and `quick_size`: transactions, without the markers. `durable`: the sinks it is measured with."""

    name: str
    what: str
    tables: tuple[str, ...]
    columns: str
    transactions: Generator
    size: int
    quick_size: int
    durable: tuple[bool, ...] = (True,)

    def create(self) -> list[str]:
        """DDL for source and sink alike."""
        return [
            f"CREATE DATABASE `{SCHEMA}` CHARACTER SET utf8mb4",
            *(f"CREATE TABLE `{SCHEMA}`.`{table}` ({self.columns}) ENGINE = InnoDB" for table in self.tables),
        ]

    def write(self, size: int) -> Iterator[Transaction]:
        """The last `len(tables)` transactions of warm_size() are the WARM markers."""
        transactions = self.transactions(random.Random(self.name), size)
        yield from itertools.islice(transactions, size // WARM_SHARE)
        yield from self._markers(WARM)
        yield from transactions
        yield from self._markers(END)

    def warm_size(self, size: int) -> int:
        """How many transactions of write(size) come before what is measured."""
        return size // WARM_SHARE + len(self.tables)

    def _markers(self, key: int) -> list[Transaction]:
        return [(f"INSERT INTO {table} (id) VALUES ({key})",) for table in self.tables]


def markers_query(tables: tuple[str, ...]) -> str:
    """One row of two columns: how many tables have their WARM marker, and how many have their END marker."""
    return "SELECT " + ", ".join(
        " + ".join(f"(SELECT COUNT(*) FROM {table} WHERE id = {key})" for table in tables) for key in (WARM, END)
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


def _small(rng: random.Random, size: int) -> Iterator[Transaction]:
    keys = {table: _Keys() for table in _SMALL_TABLES}
    for _ in range(size):
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


def _bulk(rng: random.Random, size: int) -> Iterator[Transaction]:
    chunks = {table: _Keys() for table in _BULK_TABLES}  # of 100 rows each
    for _ in range(size):
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


_WIDE_ROWS = 10


def _wide(rng: random.Random, size: int) -> Iterator[Transaction]:
    keys = _Keys()
    for _ in range(size):
        if len(keys.alive) < 100 or rng.random() < 0.75:
            rows = (f"({keys.new()}, {_blob(rng)}, '{_document(rng)}')" for _ in range(_WIDE_ROWS))
            yield (f"INSERT INTO wide VALUES {', '.join(rows)}",)
        else:
            yield tuple(f"UPDATE wide SET data = {_blob(rng)} WHERE id = {keys.some(rng)}" for _ in range(_WIDE_ROWS))


def _blob(rng: random.Random) -> str:
    return f"X'{rng.randbytes(3072).hex()}'"


def _document(rng: random.Random) -> str:
    numbers = ", ".join(str(rng.randrange(10**9)) for _ in range(85))
    return f'{{"name": "{rng.random()}", "numbers": [{numbers}]}}'


_HOT_ROWS = 8


def _hot(rng: random.Random, size: int) -> Iterator[Transaction]:
    for key in range(1, _HOT_ROWS + 1):
        yield (f"INSERT INTO hot VALUES ({key}, 0, 0, '', NOW(6))",)
    for _ in range(size):
        key = rng.randint(1, _HOT_ROWS)
        yield (f"UPDATE hot SET amount = amount + 1, note = '{rng.random()}' WHERE id = {key}",)


_ROW = "id INT PRIMARY KEY, customer INT, amount DECIMAL(20, 2), note VARCHAR(40), changed DATETIME(6)"

SCENARIOS = (
    Scenario(
        "small",
        "one-row transactions, insert, update and delete mixed over 4 tables",
        _SMALL_TABLES,
        _ROW + ", KEY (customer)",
        _small,
        80_000,
        8_000,
    ),
    Scenario(
        "bulk",
        "transactions of 100 rows, insert, update and delete mixed over 2 tables",
        _BULK_TABLES,
        _ROW,
        _bulk,
        4_000,
        800,
        (True, False),
    ),
    Scenario(
        "wide",
        "rows of 4 KiB with BLOB and JSON in transactions of 10 rows, inserts and updates",
        ("wide",),
        "id INT PRIMARY KEY, data BLOB, document JSON",
        _wide,
        3_000,
        400,
    ),
    Scenario("hot", "one-row updates of 8 rows of one table", ("hot",), _ROW, _hot, 50_000, 5_000),
)
