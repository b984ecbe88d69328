"""DDL that follows closely on the creation of its table, on two nodes: rows in between are applied before it."""

from __future__ import annotations

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.process import wait_until
from tests.cluster.conftest import StartCluster, query

pytestmark = pytest.mark.timeout(240)

TABLES = 12
STATEMENTS = (
    "CREATE TABLE shop.t{n} (id INT PRIMARY KEY, v INT)",
    "INSERT INTO shop.t{n} VALUES (1, 1), (2, 2), (3, 3)",
    "TRUNCATE TABLE shop.t{n}",
    "CREATE TABLE shop.r{n} (id INT PRIMARY KEY, v INT)",
    "INSERT INTO shop.r{n} VALUES (1, 1), (2, 2), (3, 3)",
    "RENAME TABLE shop.r{n} TO shop.s{n}",
    "INSERT INTO shop.s{n} VALUES (4, 4)",
    "CREATE TABLE shop.r{n} (id INT PRIMARY KEY, w INT)",
    "INSERT INTO shop.r{n} VALUES (1, 1)",
    "RENAME TABLE shop.r{n} TO shop.x{n}, shop.s{n} TO shop.r{n}, shop.x{n} TO shop.s{n}",
    "INSERT INTO shop.r{n} VALUES (5, 5)",
    "DROP TABLE shop.s{n}",
    "CREATE TABLE shop.s{n} (id INT PRIMARY KEY, z INT)",
    "INSERT INTO shop.s{n} VALUES (6, 6)",
    "ALTER TABLE shop.s{n} ADD y INT DEFAULT 7",
)


@pytest.mark.parametrize("way", ["live", "catch-up"])
def test_rows_between_two_ddl_are_applied_between_them(flavour: Flavour, start_cluster: StartCluster, way: str) -> None:
    cluster = start_cluster(flavour, 2)
    source, sink = cluster.pair.source, cluster.pair.sink
    query(source, "CREATE DATABASE shop")
    if way == "live":
        cluster.create("shop")
        cluster.wait_for("shop", state="normal", role="run")
        assert wait_until(lambda: query(sink, "SHOW DATABASES LIKE 'shop'") != (), 30.0, 0.2)
    for number in range(TABLES):
        for statement in STATEMENTS:
            query(source, statement.format(n=number))
    if way == "catch-up":
        cluster.create("shop")
    comparison = wait_until_equal(source.root, sink.root, "shop", seconds=120)
    assert comparison.equal, str(comparison)
