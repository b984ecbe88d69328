"""Statements in odd forms reach the sink, and the rows after them; none of them stops the changefeed."""

from __future__ import annotations

import pytest

from tests.errors.replication import Replication, run

pytestmark = pytest.mark.timeout(120)

BOTH = (
    "CREATE TABLE \u3000 (x INT)",
    "INSERT INTO \u3000 VALUES (1), (2)",
    "CREATE TABLE $odd (import INT, discard INT)",
    "ALTER TABLE $odd ADD exchange INT, ADD modify INT",
    "INSERT INTO $odd VALUES (1, 2, 3, 4)",
    "CREATE TABLE parted (a INT) PARTITION BY HASH (a) SELECT 1 AS a UNION SELECT 2",
    "INSERT INTO parted VALUES (3)",
    "CREATE TABLE t1 (a INT)",
    "INSERT INTO t1 VALUES (1)",
    "CREATE TRIGGER tr1 BEFORE INSERT ON t1 FOR EACH ROW SET @a = 1",
    "DROP TRIGGER tr1",
    "CREATE VIEW v1 AS SELECT 1 AS a",
    "RENAME TABLE v1 TO v2, t1 TO t2",
    "INSERT INTO t2 VALUES (2)",
    "DROP VIEW v2",
    "CREATE TABLE v2 (a INT)",
    "INSERT INTO v2 VALUES (2)",
    "CREATE FUNCTION f1() RETURNS INT DETERMINISTIC RETURN 1",
    "DROP FUNCTION f1",
)
MARIADB = (
    "SET STATEMENT lock_wait_timeout=5, max_statement_time=0.001 FOR CREATE TABLE set1 (x INT)",
    "INSERT INTO set1 VALUES (1), (2)",
    "SET STATEMENT foreign_key_checks=0, sort_buffer_size=100000 FOR RENAME TABLE set1 TO set2",
    "INSERT INTO set2 VALUES (3)",
    "DROP TABLE IF EXISTS none, set2",
)
MYSQL = (
    'CREATE SPATIAL REFERENCE SYSTEM 990002 NAME \'x\' DEFINITION \'GEOGCS["x",DATUM["x",SPHEROID["x",6378137,298.2]],'
    'PRIMEM["G",0],UNIT["degree",0.017453292519943278],AXIS["Lon",EAST],AXIS["Lat",NORTH]]\'',
    "DROP SPATIAL REFERENCE SYSTEM 990002",
    "CREATE TABLE rows1 TABLE t2",
    "INSERT INTO rows1 VALUES (9)",
)


def test_they_are_understood(replication: Replication) -> None:
    replication.create()
    replication.run(replication.source, *BOTH, *(MARIADB if replication.source.flavour == "mariadb" else MYSQL))
    replication.write(3)
    replication.assert_equal()


def test_drop_of_what_the_sink_does_not_have(replication: Replication) -> None:
    """Its CREATE was left out, or somebody has dropped it there: after the statement both sides are alike."""
    replication.create()
    source = replication.source
    other = f"{replication.schema}_left_out"
    run(source, f"CREATE DATABASE {other}", f"CREATE TABLE {other}.t (a INT)")
    run(source, f"USE {other}", f"CREATE TRIGGER {replication.schema}.x BEFORE INSERT ON keyed FOR EACH ROW SET @a = 1")
    replication.write(1)
    replication.assert_equal()
    replication.run(replication.sink, "SET sql_log_bin = 0", "DROP TRIGGER x")
    replication.run(source, "DROP TRIGGER x", "CREATE PROCEDURE p() SELECT 1", "CREATE VIEW v AS SELECT 1 AS a")
    replication.write(1)
    replication.assert_equal()
    replication.run(replication.sink, "SET sql_log_bin = 0", "DROP PROCEDURE p", "DROP VIEW v")
    replication.run(source, "DROP PROCEDURE p", "DROP VIEW v", "DROP TABLE keyless", "CREATE TABLE keyless (v INT)")
    replication.run(source, "ALTER TABLE keyless ADD w VARCHAR(20)", f"DROP DATABASE {other}")
    replication.write(1)
    replication.assert_equal()
