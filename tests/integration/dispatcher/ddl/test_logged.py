"""What the servers themselves log for DDL is classified, and what the filter lets through makes the sink alike."""

from __future__ import annotations

import re
from typing import Any

import pymysql
from pymysql.connections import Connection

from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.names import TableName
from hedgerow.dispatcher.ddl import Action, DdlKind, apply_filter, classify
from hedgerow.sandbox.servers import Server, ServerPair

SCRIPT = (
    "CREATE DATABASE shop",
    "CREATE DATABASE other",
    "CREATE TABLE shop.u (a INT, KEY k (a))",
    "INSERT INTO shop.u VALUES (1)",
    "CREATE TABLE shop.selected AS SELECT * FROM shop.u",
    "CREATE TEMPORARY TABLE shop.tt (a INT)",
    "INSERT INTO shop.tt VALUES (1)",
    "ALTER TABLE shop.tt ADD b INT",
    "CREATE TABLE shop.like_temporary LIKE shop.tt",
    "TRUNCATE shop.tt",
    "CREATE TABLE shop.like_u LIKE shop.u",
    "DROP TABLE shop.tt",
    "DROP TABLE IF EXISTS shop.none, shop.like_temporary",
    "CREATE TABLE IF NOT EXISTS shop.u (a INT)",
    "CREATE TABLE shop.p (id INT PRIMARY KEY)",
    "CREATE TABLE shop.c (id INT, FOREIGN KEY (id) REFERENCES shop.p (id) ON DELETE CASCADE)",
    "CREATE TABLE shop.parts (id INT NOT NULL) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10))",
    "CREATE TABLE shop.part (id INT NOT NULL)",
    "ALTER TABLE shop.parts EXCHANGE PARTITION p0 WITH TABLE shop.part",
    "CREATE TABLE other.hidden (a INT)",
    "ALTER TABLE other.hidden ADD b INT",
    "DROP TABLE other.hidden",
    "CREATE VIEW shop.v AS SELECT * FROM shop.u",
    "CREATE TRIGGER shop.tr BEFORE INSERT ON shop.u FOR EACH ROW SET NEW.a = NEW.a + 1",
    "CREATE PROCEDURE shop.p() BEGIN INSERT INTO shop.u VALUES (7); INSERT INTO shop.u VALUES (8); END",
    "CALL shop.p()",
    "CREATE EVENT shop.e ON SCHEDULE EVERY 1 DAY DO DELETE FROM shop.u",
    "ANALYZE TABLE shop.u",
    "FLUSH TABLES",
    "RENAME TABLE shop.u TO shop.tmp, shop.like_u TO shop.u, shop.tmp TO shop.like_u",
    "ALTER TABLE shop.like_u RENAME TO shop.moved",
    "TRUNCATE TABLE shop.moved",
    "CREATE INDEX i ON shop.p (id, id2)",
    "ALTER TABLE shop.p ADD id2 INT",
    "CREATE INDEX i ON shop.p (id2)",
    "DROP INDEX i ON shop.p",
    "CREATE USER someone",
    "GRANT SELECT ON shop.* TO someone",
    "DROP USER someone",
    "DROP DATABASE other",
)
MARIADB = (
    "CREATE SEQUENCE shop.s",
    "CREATE OR REPLACE TABLE shop.selected AS SELECT 1 AS a",
    "ALTER SEQUENCE shop.s MAXVALUE 9",
)
ER_GTID_UNSAFE_CREATE_SELECT = 1786
_USE = re.compile(r"use `(?P<schema>(?:[^`]|``)*)`; ")
_XID = re.compile(r" /\* xid=\d+ \*/$")


def logged(connection: Connection[Any], file: str) -> list[tuple[str, str]]:
    """(default schema, statement) of every query event of the file."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW BINLOG EVENTS IN %s", (file,))
        texts = [str(info) for _, _, kind, _, _, info in cursor.fetchall() if kind.startswith("Query")]
    found = []
    for text in texts:
        use = _USE.match(text)
        found.append((use["schema"] if use else "", _XID.sub("", text[use.end() if use else 0 :])))
    return found


def run(server: Server, statements: tuple[str, ...]) -> str:
    """Run them in one session; returns the binlog file that has them, and nothing before."""
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("FLUSH BINARY LOGS")
        cursor.execute("SHOW BINARY LOGS")
        file = str(cursor.fetchall()[-1][0])
        for statement in statements:
            try:
                cursor.execute(statement)
            except pymysql.MySQLError as error:
                if error.args[0] == ER_GTID_UNSAFE_CREATE_SELECT:  # before MySQL 8.0.21
                    cursor.execute("CREATE TABLE shop.selected (a INT)")
                    continue
                assert "id2)" in statement  # the one that is to fail, and not to be logged
    return file


def layout(server: Server) -> dict[str, str]:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'shop'")
        names = [name for (name,) in cursor.fetchall()]
        found = {}
        for name in names:
            cursor.execute(f"SHOW CREATE TABLE shop.{name}")
            found[name] = cursor.fetchall()[0][1]
    return found


def test_what_the_server_logs(server_pair: ServerPair) -> None:
    flavour = server_pair.flavour
    file = run(server_pair.source, SCRIPT + (MARIADB if flavour == "mariadb" else ()))
    chosen = TableFilter.parse(["shop.*"])
    begun, dropped = set[TableName](), set[TableName]()
    with server_pair.source.connect() as source, server_pair.sink.connect() as sink, sink.cursor() as cursor:
        statements = logged(source, file)
        for schema, statement in statements:
            found = classify(statement, schema, flavour)
            assert found.kind not in (DdlKind.UNKNOWN, DdlKind.DML, DdlKind.TEMPORARY), statement
            decision = apply_filter(found, chosen)
            assert decision.action is not Action.REFUSE, (statement, decision.reason)
            if decision.action is Action.EXECUTE:
                cursor.execute(found.statement)
                begun = begun.difference(found.drops).union(found.creates)
                dropped.update(found.drops)
        cursor.execute("SHOW EVENTS FROM shop")
        assert cursor.fetchall() == ()
    assert len(statements) > 25
    assert layout(server_pair.sink) == layout(server_pair.source)
    assert {name.table for name in begun} == layout(server_pair.source).keys() - {"v"}
    assert TableName("shop", "like_temporary") in dropped
