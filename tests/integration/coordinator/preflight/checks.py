"""Preflight of a pair of servers with three tables, and what it has found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hedgerow.common.errors import PreflightFailed, Problem
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.coordinator.preflight import Resolved, preflight
from hedgerow.sandbox.servers import Server, ServerPair

TABLES = (
    "CREATE DATABASE shop",
    "CREATE TABLE shop.parent (id INT PRIMARY KEY, name VARCHAR(20) CHARACTER SET utf8mb4) ENGINE=InnoDB",
    "CREATE TABLE shop.child (id INT PRIMARY KEY, parent INT, CONSTRAINT tie FOREIGN KEY (parent) "
    "REFERENCES shop.parent (id) ON DELETE CASCADE) ENGINE=InnoDB",
    "CREATE TABLE shop.wide (a INT, b BIGINT UNSIGNED, c DECIMAL(10,2), d VARCHAR(9) CHARACTER SET latin1, "
    "e INT GENERATED ALWAYS AS (a + 1) STORED) ENGINE=InnoDB",
)


def run(server: Server, *statements: str) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def load(pair: ServerPair) -> None:
    run(pair.source, *TABLES)
    run(pair.sink, *TABLES)


def check(pair: ServerPair, *rules: str, start: str = "now", source: str = "", sink: str = "") -> Resolved:
    uris = ServerUri.parse(source or pair.source_uri), ServerUri.parse(sink or pair.sink_uri)
    return preflight(*uris, TableFilter.parse(rules or ("shop.*",)), start, timeout=3)


def problems(pair: ServerPair, *rules: str, start: str = "now", source: str = "", sink: str = "") -> list[Problem]:
    with pytest.raises(PreflightFailed) as caught:
        check(pair, *rules, start=start, source=source, sink=sink)
    return list(caught.value.problems)


def only(found: list[Problem]) -> Problem:
    assert len(found) == 1, "\n".join(map(str, found))
    return found[0]


@contextmanager
def setting(server: Server, name: str, value: str) -> Iterator[None]:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT @@GLOBAL.{name}")
        ((before,),) = cursor.fetchall()
        cursor.execute(f"SET GLOBAL {name} = %s", (value,))
        try:
            yield
        finally:
            cursor.execute(f"SET GLOBAL {name} = %s", (before,))


def fix(server: Server, problem: Problem) -> None:
    run(server, problem.fix.split(";")[0])
