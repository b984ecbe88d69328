"""The way past a transaction: what the message prints is entered as it is, and everything else stays exact."""

from __future__ import annotations

import re

import pytest

from hedgerow.sandbox.cluster import CommandFailed
from tests.errors.replication import SECONDS, Replication, poll, run
from tests.errors.wayout import follow

pytestmark = pytest.mark.timeout(180)


def by_hand(replication: Replication, *statements: str) -> None:
    replication.run(replication.sink, "SET sql_log_bin = 0", *statements)


def dispatchers(replication: Replication) -> set[str]:
    return {each["dispatcher"].partition(".")[2] for each in replication.get()["dispatchers"]}


def test_statement_across_the_filter(replication: Replication) -> None:
    """A table leaves the filter: its dispatcher ends, those of the others go on."""
    replication.create()
    replication.write(5)
    other = f"{replication.schema}_other"
    run(replication.source, f"CREATE DATABASE {other}")
    replication.run(replication.source, "CREATE TABLE third (a INT)", "INSERT INTO third VALUES (1)")
    replication.assert_equal()
    replication.run(
        replication.source,
        "INSERT INTO third VALUES (2)",
        f"RENAME TABLE third TO {other}.third",
        f"INSERT INTO {other}.third VALUES (3)",
    )
    replication.write(5)
    message = replication.wait_failed("UnsupportedEvent", "outside of it", "RENAME TABLE third")
    assert replication.run(replication.sink, "SELECT a FROM third ORDER BY a") == [(1,), (2,)]  # all before it
    by_hand(replication, "DROP TABLE third")
    assert "RENAME TABLE third" in follow(replication, message)["what"]
    replication.write(3)
    replication.assert_equal()
    assert dispatchers(replication) == {"", "keyed", "keyless"}


def test_statement_instead_of_rows(replication: Replication) -> None:
    replication.create()
    replication.write(5)
    replication.run(
        replication.source,
        "SET SESSION binlog_format = STATEMENT",
        "INSERT INTO keyed VALUES (1000, 1, 'by statement')",
    )
    replication.write(5)
    message = replication.wait_failed("UnsupportedEvent", "binlog_format", "INSERT INTO keyed VALUES (1000")
    by_hand(replication, "INSERT INTO keyed VALUES (1000, 1, 'by statement')")
    follow(replication, message)
    replication.run(replication.source, "UPDATE keyed SET v = 7 WHERE id = 1000")
    replication.write(3)
    replication.assert_equal()


def test_statement_instead_of_rows_outside_of_the_filter(replication: Replication) -> None:
    """MySQL tells which schemas a statement touches: one that touches none of ours stops nothing. MariaDB does not."""
    replication.create()
    other = f"{replication.schema}_other"
    run(
        replication.source,
        f"CREATE DATABASE {other}",
        f"CREATE TABLE {other}.t (a INT)",
        "SET SESSION binlog_format = STATEMENT",
        f"INSERT INTO {other}.t VALUES (1)",
    )
    replication.write(5)
    if replication.source.flavour == "mariadb":
        follow(replication, replication.wait_failed("UnsupportedEvent", f"INSERT INTO {other}.t"))
    replication.assert_equal()
    run(
        replication.source,
        f"CREATE TRIGGER {other}.tr BEFORE INSERT ON {other}.t FOR EACH ROW INSERT INTO {replication.schema}.keyless "
        "VALUES (NEW.a, 'tr')",
        "SET SESSION binlog_format = STATEMENT",
        f"INSERT INTO {other}.t VALUES (2)",
    )
    message = replication.wait_failed("UnsupportedEvent", f"INSERT INTO {other}.t")
    by_hand(replication, "INSERT INTO keyless VALUES (2, 'tr')")
    follow(replication, message)
    replication.write(2)
    replication.assert_equal()


def test_statement_that_makes_a_table_and_is_not_understood(replication: Replication) -> None:
    """Which table it made, the sink tells."""
    replication.create()
    replication.write(5)
    replication.run(
        replication.source, "SET SESSION binlog_format = STATEMENT", "CREATE TABLE made SELECT 1 AS a UNION SELECT 2"
    )
    replication.run(replication.source, "INSERT INTO made VALUES (3)")
    replication.write(5)
    message = replication.wait_failed("UnsupportedEvent", "CREATE TABLE")
    by_hand(replication, "CREATE TABLE made SELECT 1 AS a UNION SELECT 2")
    follow(replication, message)
    replication.run(replication.source, "DELETE FROM made WHERE a = 1")
    replication.write(3)
    replication.assert_equal()
    assert dispatchers(replication) == {"", "keyed", "keyless", "made"}


def test_statement_that_the_sink_refuses(replication: Replication) -> None:
    replication.create()
    replication.write(5)
    replication.assert_equal()
    by_hand(replication, "CREATE TABLE made (a INT)")
    replication.run(replication.source, "CREATE TABLE made (a INT)", "INSERT INTO made VALUES (1), (1)")
    replication.write(5)
    follow(replication, replication.wait_failed("DdlFailed", "1050", "CREATE TABLE made"))
    replication.run(replication.source, "INSERT INTO made VALUES (2)")
    replication.write(3)
    replication.assert_equal()
    assert dispatchers(replication) == {"", "keyed", "keyless", "made"}


def test_drop_that_is_left_out(replication: Replication) -> None:
    """Its dispatcher ends with it; a table of the same name that comes later is another one."""
    replication.create()
    replication.write(5)
    other = f"{replication.schema}_other"
    run(replication.source, f"CREATE DATABASE {other}", f"CREATE TABLE {other}.t (a INT)")
    replication.run(replication.source, f"DROP TABLE keyless, {other}.t", "CREATE TABLE keyless (v INT, w VARCHAR(20))")
    replication.write(5)
    message = replication.wait_failed("UnsupportedEvent", "outside of it", "DROP TABLE")
    by_hand(replication, "DROP TABLE keyless")
    follow(replication, message)
    replication.write(3)
    replication.assert_equal()


def test_rows_that_do_not_fit(replication: Replication) -> None:
    """The rows of one table are left out; those of the other in the same transaction are applied once."""
    replication.create()
    replication.write(5)
    replication.assert_equal()
    by_hand(replication, "DELETE FROM keyed WHERE id = 2")
    before = gtids(replication)
    replication.run(
        replication.source,
        "BEGIN",
        "INSERT INTO keyless VALUES (77, 'same')",
        "UPDATE keyed SET v = 70 WHERE id IN (2, 3)",
        "COMMIT",
    )
    (transaction,) = gtids(replication) - before
    replication.write(5)
    replication.wait_failed("SinkDiverged", "1032")
    by_hand(replication, "UPDATE keyed SET v = 70 WHERE id = 3", "INSERT INTO keyed SELECT 2, 70, 'row 2'")
    table = f"{replication.schema}.keyed"
    shown = replication.cluster.command(
        "changefeed", "skip", replication.name, "--transaction", transaction, "--table", table
    )
    assert shown["tables"] == [table]
    replication.cluster.command("changefeed", "resume", replication.name)
    replication.write(3)
    replication.assert_equal()


def gtids(replication: Replication) -> set[str]:
    """Of the last thousand transactions of the source."""
    if replication.source.flavour == "mariadb":
        ((text,),) = run(replication.source, "SELECT @@gtid_binlog_pos")
        domain, server, number = str(text).split(",")[0].split("-")
        return {f"{domain}-{server}-{n}" for n in range(max(1, int(number) - 1000), int(number) + 1)}
    ((text,),) = run(replication.source, "SELECT @@gtid_executed")
    uuid, *intervals = str(text).replace("\n", "").split(",")[0].split(":")
    return {
        f"{uuid}:{n}"
        for interval in intervals
        for n in range(int(interval.split("-")[0]), int(interval.split("-")[-1]) + 1)
    }


def test_values_that_each_server_makes(replication: Replication) -> None:
    """The way that the refusal of such an ALTER TABLE names, step by step."""
    replication.create()
    replication.write(5)
    expression = "UUID()" if replication.source.flavour == "mariadb" else "CONNECTION_ID()"
    alter = f"ALTER TABLE keyed ADD u VARCHAR(99) DEFAULT ({expression})"
    replication.run(replication.source, alter, "INSERT INTO keyed (id, u) VALUES (500, 'x')")
    message = replication.wait_failed("DdlFailed", "by hand, and skip it", "UPDATE")
    by_hand(replication, alter)
    follow(replication, message)
    replication.run(replication.source, "UPDATE keyed SET u = CONCAT('n', id)", "DELETE FROM keyless LIMIT 1")
    replication.assert_equal()


def test_only_what_is_there_is_left_out(replication: Replication) -> None:
    replication.create()
    command = replication.cluster.command
    mariadb = replication.source.flavour == "mariadb"
    gtid = "0-1-999999999" if mariadb else "11111111-2222-3333-4444-555555555555:7"
    with pytest.raises(CommandFailed, match="is running: only a transaction that it stops at can be left out"):
        command("changefeed", "skip", replication.name, "--transaction", gtid)
    replication.pause()
    for arguments, says in (
        (("--transaction", gtid), "has no transaction"),
        (("--transaction", "nonsense"), "is not the GTID of one transaction"),
        (("--transaction", f"{gtid},{gtid[:-1]}1"), "is not the GTID of one transaction"),
        (("--at", "binlog.000001"), "is not FILE:OFFSET"),
        (("--at", "binlog.999999:4"), "has no transaction with an event that ends at binlog.999999:4"),
        ((), "name the transaction"),
        (("--transaction", gtid, "--at", "binlog.000001:4"), "name the transaction"),
        (("--transaction", gtid, "--table", "elsewhere.t"), "is not SCHEMA.TABLE"),
    ):
        with pytest.raises(CommandFailed, match=re.escape(says)):
            command("changefeed", "skip", replication.name, *arguments)
    assert replication.get()["skips"] == []
    replication.write(1)
    before = gtids(replication)
    replication.run(replication.source, "INSERT INTO keyed VALUES (3000, 1, 'skipped')")
    (transaction,) = gtids(replication) - before
    ((file, offset, *_),) = run(replication.source, "SHOW MASTER STATUS" if mariadb else "SHOW BINARY LOG STATUS")
    shown = command("changefeed", "skip", replication.name, "--at", f"{file}:{offset}")
    assert shown["transaction"] == transaction
    replication.resume()
    replication.write(3)
    replication.run(replication.source, "DELETE FROM keyless LIMIT 1")
    assert poll(lambda: not lags(replication), SECONDS)
    by_hand(replication, "INSERT INTO keyed VALUES (3000, 1, 'skipped')")
    replication.assert_equal()
    replication.pause()
    with pytest.raises(CommandFailed, match="is already past transaction"):
        command("changefeed", "skip", replication.name, "--transaction", transaction)


def lags(replication: Replication) -> bool:
    source = run(replication.source, f"SELECT COUNT(*) FROM {replication.schema}.keyless")
    return source != run(replication.sink, f"SELECT COUNT(*) FROM {replication.schema}.keyless")
