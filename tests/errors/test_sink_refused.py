"""What the sink refuses for good: the changefeed fails, says what to fix, and resume goes on from there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import model_pb2
from hedgerow.sandbox.accounts import GRANTS, SINK_USER
from hedgerow.sandbox.cluster import Cluster
from tests.errors.replication import Replication, poll, run

pytestmark = pytest.mark.timeout(90)


def silently(*statements: str) -> tuple[str, ...]:
    """Behind the back of replication in the other direction."""
    return ("SET sql_log_bin = 0", *statements)


@pytest.fixture
def full_metadata(cluster: Cluster) -> Iterator[None]:
    """Table maps tell everything, whatever the flavour's default."""
    ((usual,),) = run(cluster.pair.source, "SELECT @@GLOBAL.binlog_row_metadata")
    run(cluster.pair.source, "SET GLOBAL binlog_row_metadata = 'FULL'")
    yield
    run(cluster.pair.source, f"SET GLOBAL binlog_row_metadata = '{usual}'")


@pytest.mark.parametrize("table", ["keyed", "keyless"])
def test_row_missing(replication: Replication, table: str) -> None:
    replication.create()
    replication.run(replication.source, "INSERT INTO keyed VALUES (1, 1, '')", "INSERT INTO keyless VALUES (9, 'x')")
    replication.assert_equal()
    replication.run(replication.sink, *silently(f"DELETE FROM {table}"))
    replication.run(replication.source, f"UPDATE {table} SET v = v + 1", "INSERT INTO keyed VALUES (2, 2, '')")
    replication.wait_failed(
        "SinkDiverged", "1032", f"{replication.schema}.{table}", str(replication.sink.port), "resume"
    )
    row = "(1, 1, '')" if table == "keyed" else "(9, 'x')"
    replication.run(replication.sink, *silently(f"INSERT INTO {table} VALUES {row}"))
    replication.resume()
    replication.assert_equal()


def test_row_doubled(replication: Replication) -> None:
    replication.create()
    replication.run(replication.sink, *silently("INSERT INTO keyed VALUES (5, 5, 'mine')"))
    replication.write(6)
    replication.wait_failed("SinkDiverged", "1062", f"{replication.schema}.keyed", str(replication.sink.port), "resume")
    replication.run(replication.sink, *silently("DELETE FROM keyed WHERE w = 'mine'"))
    replication.resume()
    replication.assert_equal()


def test_table_missing(replication: Replication) -> None:
    replication.create()
    replication.write(5)
    replication.assert_equal()
    replication.run(replication.sink, *silently("RENAME TABLE keyed TO gone"))
    replication.write(5)
    replication.wait_failed("SinkRefused", "1146", f"{replication.schema}.keyed", "create it")
    replication.run(replication.sink, *silently("RENAME TABLE gone TO keyed"))
    replication.resume()
    replication.assert_equal()


@pytest.mark.parametrize(
    ("change", "says", "back"),
    [
        ("MODIFY v VARCHAR(40)", "varchar(40) instead of", "MODIFY v INT"),
        ("ADD n INT FIRST", "column 3 is v", "DROP n"),
        ("MODIFY w VARCHAR(200)", "error log", "MODIFY w VARCHAR(2000)"),
    ],
    ids=["type", "order", "length"],
)
def test_columns_differ(replication: Replication, change: str, says: str, back: str) -> None:
    """1677 reaches the server's log only; a client gets 1105 without a reason: lengths are left to the server.

    Table maps tell, or the catalogs do, whichever is read first: they word it differently.
    """
    replication.create_tables(replication.source)
    replication.create_tables(replication.sink)
    replication.run(replication.sink, *silently(f"ALTER TABLE keyed {change}"))
    replication.create_changefeed(start=replication.place())
    replication.write(5)
    replication.wait_failed("SinkRefused", says, "columns", f"{replication.schema}.keyed", "ALTER TABLE")
    replication.run(replication.sink, *silently(f"ALTER TABLE keyed {back}"))
    replication.resume()
    replication.assert_equal()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("ALTER TABLE keyed MODIFY v INT NOT NULL", "column v is NOT NULL instead of NULL"),
        ("ALTER TABLE keyed MODIFY v INT UNSIGNED", "column v is int"),
        ("ALTER TABLE keyed MODIFY w VARCHAR(8000) CHARACTER SET latin1", "column w has character set latin1"),
        ("ALTER TABLE keyed MODIFY e ENUM('b','a')", "column e is enum('b','a') instead of enum('a','b')"),
        ("ALTER TABLE keyed MODIFY s SET('y','x')", "column s is set('y','x') instead of set('x','y')"),
        ("ALTER TABLE keyed MODIFY d DATETIME(3)", "column d is datetime(3) instead of datetime"),
    ],
    ids=["null", "sign", "charset", "enum", "set", "fraction"],
)
def test_changed_in_silence(full_metadata: None, replication: Replication, change: str, says: str) -> None:
    """At a start at a position, where preflight only warns; the message's own statement is the way on."""
    extra = "MODIFY w VARCHAR(2000) CHARACTER SET utf8mb4, ADD e ENUM('a','b'), ADD s SET('x','y'), ADD d DATETIME"
    for server in (replication.source, replication.sink):
        replication.create_tables(server)
        replication.run(server, *silently(f"ALTER TABLE keyed {extra}"))
    replication.run(replication.sink, *silently(change))
    replication.create_changefeed(start=replication.place())
    insert = "INSERT INTO keyed VALUES (1, NULL, 'grüße', 'a', 'x', '2024-01-01 10:00:00')"
    replication.run(replication.source, insert, "UPDATE keyed SET v = -1")
    message = replication.wait_failed("SinkRefused", says, f"{replication.schema}.keyed")
    assert not replication.run(replication.sink, "SELECT * FROM keyed"), "nothing was changed in silence"
    statement = re.search(r"ALTER TABLE `\w+`\.`keyed` MODIFY COLUMN .*?(?=; in the sink)", message)
    assert statement, message
    replication.run(replication.sink, *silently(statement[0]))
    replication.resume()
    replication.assert_equal()


@pytest.mark.parametrize(
    ("extra", "change", "says"),
    [
        ("ADD x INT", "MODIFY x INT UNSIGNED", "column x is int"),
        (
            "ADD x VARCHAR(20) CHARACTER SET utf8mb4",
            "MODIFY x VARCHAR(80) CHARACTER SET latin1",
            "character set latin1",
        ),
        ("ADD x ENUM('a','B')", "MODIFY x ENUM('a','b')", "column x is enum('a','b') instead of enum('a','B')"),
        ("ADD x SET('x','y')", "MODIFY x SET('y','x')", "column x is set('y','x') instead of set('x','y')"),
        ("ADD x INT, ADD y INT", "CHANGE x y INT, CHANGE y x INT", "is y instead of x"),
        ("ADD x INT", "DROP x, ADD x INT AS (v + 1) VIRTUAL", "column x is generated in the sink"),
        ("ADD x FLOAT", "MODIFY x FLOAT(7,1)", "column x is float(7,1) instead of float"),
    ],
    ids=["sign", "charset", "enum", "set", "order", "generated", "rounded"],
)
def test_unlike_catalogs(replication: Replication, extra: str, change: str, says: str) -> None:
    """What table maps do not tell by default: found before any row, where the stream is at the end of the binlog."""
    for server in (replication.source, replication.sink):
        replication.create_tables(server)
        replication.run(server, *silently(f"ALTER TABLE keyed {extra}"))
    replication.run(replication.sink, *silently(f"ALTER TABLE keyed {change}"))
    replication.create_changefeed(start=replication.place())
    assert poll(lambda: [each["state"] for each in replication.get()["dispatchers"]] == ["running"] * 3, 20.0)
    replication.run(replication.source, "INSERT INTO keyed (id, v) VALUES (7, 1)")
    replication.wait_failed("SinkRefused", says, f"{replication.schema}.keyed", "ALTER TABLE")
    assert not replication.run(replication.sink, "SELECT * FROM keyed"), "nothing was changed in silence"
    replication.run(replication.sink, *silently("DROP TABLE keyed"))
    replication.create_tables(replication.sink)
    replication.run(replication.sink, *silently(f"ALTER TABLE keyed {extra}"))
    replication.resume()
    replication.run(replication.source, "INSERT INTO keyed (id, v) VALUES (1, 1)")
    replication.assert_equal()


def test_ddl_to_come_is_no_difference(replication: Replication) -> None:
    """The source's catalog is ahead of the sink's by statements that the stream has not read."""
    for server in (replication.source, replication.sink):
        replication.create_tables(server)
        replication.run(server, *silently("ALTER TABLE keyed ADD x INT, ADD e ENUM('a','b')"))
    start = replication.place()
    replication.run(
        replication.source,
        "INSERT INTO keyed VALUES (1, 1, 'first', -1, 'a')",
        "ALTER TABLE keyed MODIFY e ENUM('b','a'), MODIFY w VARCHAR(2000) CHARACTER SET utf16",
        "INSERT INTO keyed VALUES (2, 1, 'second', 1, 'b')",
        "UPDATE keyed SET x = 7",
        "ALTER TABLE keyed MODIFY x INT UNSIGNED, RENAME COLUMN v TO renamed",
        "INSERT INTO keyed VALUES (3, 1, 'third', 4000000000, 'a')",
    )
    replication.create_changefeed(start=start)
    replication.assert_equal()


def test_a_sink_column_changed_by_hand(full_metadata: None, replication: Replication) -> None:
    replication.create()
    replication.write(3)
    replication.assert_equal()
    replication.run(replication.sink, *silently("ALTER TABLE keyed MODIFY v INT UNSIGNED"))
    replication.run(replication.source, "ALTER TABLE keyed ADD x INT")
    replication.run(replication.source, "INSERT INTO keyed VALUES (100, -1, '', 1)")
    replication.wait_failed("SinkRefused", "column v is int", "unsigned instead of int", f"{replication.schema}.keyed")
    replication.run(replication.sink, *silently("ALTER TABLE keyed MODIFY v INT"))
    replication.resume()
    replication.assert_equal()


def test_a_column_missing_at_the_end(replication: Replication) -> None:
    """Both servers would drop its values without an error. Looked at when a stream begins, and after DDL."""
    replication.create()
    replication.pause()
    replication.run(replication.sink, *silently("ALTER TABLE keyed DROP w"))
    replication.write(5)
    replication.resume()
    replication.wait_failed("SinkRefused", "columns", f"{replication.schema}.keyed", "ALTER TABLE")
    replication.run(replication.sink, *silently("ALTER TABLE keyed ADD w VARCHAR(2000)"))
    replication.resume()
    replication.assert_equal()


def test_revoked_binlog_grant(replication: Replication, flavour: Flavour) -> None:
    replication.sink_uri = replication.account(replication.sink, "revoked", *GRANTS[flavour][SINK_USER]).uri
    replication.create()
    replication.write(5)
    replication.assert_equal()
    privilege = "BINLOG REPLAY" if flavour == "mariadb" else "REPLICATION_APPLIER"
    run(replication.sink, *silently(f"REVOKE {privilege} ON *.* FROM 'revoked'@'127.0.0.1'"))
    replication.kill_sessions("revoked")
    replication.write(5)
    replication.wait_failed("SinkRefused", "1227", f"GRANT {privilege}", "revoked")
    run(replication.sink, *silently(f"GRANT {privilege} ON *.* TO 'revoked'@'127.0.0.1'"))
    replication.resume()
    replication.assert_equal()


@pytest.mark.parametrize(("level", "number"), [("UPDATE", "1142"), ("ALL", "1044")])
def test_revoked_table_grants(replication: Replication, flavour: Flavour, level: str, number: str) -> None:
    """Of an account that may write to the schemas that it needs, and to no others."""
    schema = replication.schema
    everywhere = "BINLOG REPLAY, PROCESS" if flavour == "mariadb" else "PROCESS, BINLOG_ADMIN, SESSION_VARIABLES_ADMIN"
    grants = (f"{everywhere} ON *.*", "ALL ON hedgerow.*", f"ALL ON `{schema}`.*")
    replication.sink_uri = replication.account(replication.sink, "narrow", *grants).uri
    replication.create()
    replication.write(5)
    replication.assert_equal()
    run(replication.sink, *silently(f"REVOKE {level} ON hedgerow.* FROM 'narrow'@'127.0.0.1'"))
    replication.write(5)
    replication.wait_failed("SinkRefused", "GRANT", "narrow", "hedgerow")
    run(replication.sink, *silently("GRANT ALL ON hedgerow.* TO 'narrow'@'127.0.0.1'"))
    replication.resume()
    replication.assert_equal()


def test_packet_limit(replication: Replication) -> None:
    replication.create()
    ((usual,),) = run(replication.sink, "SELECT @@GLOBAL.max_allowed_packet")
    run(replication.sink, "SET GLOBAL max_allowed_packet = 65536")
    try:
        replication.kill_sessions()
        rows = ", ".join(f"({n}, {n}, REPEAT('r', 1900))" for n in range(100, 400))
        replication.write(5)
        replication.run(replication.source, f"INSERT INTO keyed VALUES {rows}")
        replication.write(5)
        replication.assert_equal()
        replication.run(
            replication.source,
            "SET sql_log_bin = 0",
            "ALTER TABLE keyless MODIFY w MEDIUMTEXT",
            "SET sql_log_bin = 1",
        )
        replication.run(replication.sink, *silently("ALTER TABLE keyless MODIFY w MEDIUMTEXT"))
        replication.run(replication.source, "INSERT INTO keyless VALUES (1, REPEAT('r', 100000))")
        replication.write(5)
        replication.wait_failed(
            "SinkRefused", f"{replication.schema}.keyless", "65536", "max_allowed_packet", "SET GLOBAL"
        )
    finally:
        run(replication.sink, f"SET GLOBAL max_allowed_packet = {usual}")
    replication.resume()
    replication.assert_equal()


def test_transaction_too_large(replication: Replication) -> None:
    """Of one source transaction, and of many in one sink transaction."""
    replication.create()
    ((usual,),) = run(replication.sink, "SELECT @@GLOBAL.max_binlog_cache_size")
    run(replication.sink, "SET GLOBAL max_binlog_cache_size = 65536")
    says = ("SinkRefused", "1197", "max_binlog_cache_size", f"{replication.schema}.keyed", "--batch-bytes")
    try:
        replication.pause()
        replication.write(20)
        rows = [f"INSERT INTO keyed VALUES ({n}, {n}, REPEAT('r', 1900))" for n in range(1000, 1100)]
        replication.run(replication.source, *rows)
        replication.resume()
        replication.wait_failed(*says)
        replication.update(model_pb2.ChangefeedOptions(batch_bytes=20_000))
        replication.resume()
        replication.assert_equal()
        replication.run(replication.source, "UPDATE keyed SET w = REPEAT('s', 1900) WHERE id >= 1000")
        replication.wait_failed(*says)
    finally:
        run(replication.sink, f"SET GLOBAL max_binlog_cache_size = {usual}")
    replication.resume()
    replication.assert_equal()
