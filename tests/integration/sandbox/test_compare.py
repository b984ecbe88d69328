"""The comparison on real servers: every kind of difference is found, and no type's text form hides one."""

from __future__ import annotations

import threading

import pytest

from hedgerow.sandbox.compare import Comparison, compare, wait_until_equal
from hedgerow.sandbox.servers import Server, ServerPair
from hedgerow.sandbox.workload import SCHEMA, Workload

CREATE = (
    "CREATE DATABASE d",
    "CREATE TABLE d.keyed (id INT PRIMARY KEY, f FLOAT, l VARCHAR(9) CHARACTER SET latin1, b BLOB,"
    " e ENUM('', 'x'), at DATETIME)",
    "CREATE TABLE d.keyless (a INT, b VARCHAR(9))",
    "CREATE TABLE d.two (a INT, b VARCHAR(9), v INT, PRIMARY KEY (b, a))",
    "SET sql_mode = ''",
    "INSERT INTO d.keyed VALUES (1, 0.1, 'é', x'00ff', '', '0000-00-00'), (2, NULL, '', '', 'x', NULL),"
    " (3, 1, 'a', x'00', 'x', '2020-02-30')",
    "INSERT INTO d.keyless VALUES (1, 'a'), (1, 'a'), (NULL, 'NULL'), (NULL, NULL)",
    "INSERT INTO d.two VALUES (1, 'a', 1), (2, 'a', 1), (1, 'b', 1)",
)


def execute(server: Server, *statements: str) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def filled(server_pair: ServerPair) -> ServerPair:
    execute(server_pair.source, *CREATE)
    execute(server_pair.sink, *CREATE)
    return server_pair


def compared(pair: ServerPair) -> Comparison:
    return compare(pair.source.root, pair.sink.root, "d")


def test_equal_tables_are_equal(filled: ServerPair) -> None:
    comparison = compared(filled)
    assert comparison.equal, str(comparison)
    assert [(table.table, table.source_rows) for table in comparison.tables] == [
        ("d.keyed", 3),
        ("d.keyless", 4),
        ("d.two", 3),
    ]


@pytest.mark.parametrize(
    ("statement", "table", "counts"),
    [
        ("DELETE FROM d.keyed WHERE id = 2", "d.keyed", (1, 0, 0)),
        ("INSERT INTO d.keyed (id) VALUES (9)", "d.keyed", (0, 1, 0)),
        # Below what FLOAT's text form shows.
        ("UPDATE d.keyed SET f = 0.10000001 WHERE id = 1", "d.keyed", (0, 0, 1)),
        ("UPDATE d.keyed SET l = 'e' WHERE id = 1", "d.keyed", (0, 0, 1)),
        ("UPDATE d.keyed SET b = x'00fe' WHERE id = 1", "d.keyed", (0, 0, 1)),
        ("UPDATE d.keyed SET at = NULL WHERE id = 1", "d.keyed", (0, 0, 1)),
        # The invalid value 0 reads as '', as the label number 1 does.
        ("UPDATE IGNORE d.keyed SET e = 'no such label' WHERE id = 1", "d.keyed", (0, 0, 1)),
        ("INSERT INTO d.keyless VALUES (1, 'a')", "d.keyless", (0, 1, 0)),
        ("DELETE FROM d.keyless WHERE a = 1 LIMIT 1", "d.keyless", (1, 0, 0)),
        ("UPDATE d.keyless SET b = NULL WHERE b = 'NULL'", "d.keyless", (1, 1, 0)),
        ("UPDATE d.two SET v = 2 WHERE a = 2", "d.two", (0, 0, 1)),
        ("UPDATE d.two SET a = 3 WHERE a = 2", "d.two", (1, 1, 0)),
    ],
)
def test_a_difference_is_found(filled: ServerPair, statement: str, table: str, counts: tuple[int, int, int]) -> None:
    execute(filled.sink, "SET sql_mode = ''", statement)
    (found,) = compared(filled).unequal
    assert found.table == table
    assert (found.missing, found.extra, found.different) == counts
    assert found.examples


def test_a_table_that_is_not_there_and_one_of_other_columns_are_found(filled: ServerPair) -> None:
    execute(filled.sink, "DROP TABLE d.two", "ALTER TABLE d.keyless MODIFY a BIGINT")
    keyless, two = compared(filled).unequal
    assert "bigint" in keyless.structure
    assert two.structure == "there is no such table on the sink"


def test_it_waits_until_the_sink_has_caught_up(filled: ServerPair) -> None:
    execute(filled.source, "INSERT INTO d.keyless VALUES (7, 'late')")
    late = threading.Timer(0.5, execute, (filled.sink, "INSERT INTO d.keyless VALUES (7, 'late')"))
    late.start()
    comparison = wait_until_equal(filled.source.root, filled.sink.root, "d", seconds=20)
    late.join()
    assert comparison.equal, str(comparison)


def test_it_waits_no_longer_than_the_deadline(filled: ServerPair) -> None:
    execute(filled.source, "INSERT INTO d.keyless VALUES (7, 'never')")
    comparison = wait_until_equal(filled.source.root, filled.sink.root, "d", seconds=0.5)
    assert [table.missing for table in comparison.unequal] == [1]


def test_a_workload_on_one_side_only_is_not_equal(server_pair: ServerPair) -> None:
    for server in (server_pair.source, server_pair.sink):
        Workload(server.root).create_tables()
    assert compare(server_pair.source.root, server_pair.sink.root, SCHEMA).equal
    Workload(server_pair.source.root).write(50)
    assert not compare(server_pair.source.root, server_pair.sink.root, SCHEMA).equal
