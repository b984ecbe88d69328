"""Rows of which the source has logged only some columns, where the sink's key is another: never another row."""

from __future__ import annotations

import re

import pytest

from hedgerow.common.mysql.connect import Flavour
from tests.errors.replication import Replication, poll, show

pytestmark = pytest.mark.timeout(90)


def silently(*statements: str) -> tuple[str, ...]:
    return ("SET sql_log_bin = 0", *statements)


def assert_rows_equal(replication: Replication, table: str, columns: str = "*") -> None:
    """In these columns: the keys may go on differing."""
    query = f"SELECT {columns} FROM {table} ORDER BY 1"
    wanted = replication.run(replication.source, query)
    assert poll(lambda: replication.run(replication.sink, query) == wanted, 20.0), show(replication.get())
    replication.wait("normal")


@pytest.mark.parametrize("image", ["MINIMAL", "NOBLOB"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE keyed SET v = 7 WHERE id = 2", "its key (`t`)"),
        ("DELETE FROM keyed WHERE id = 2", "its key (`t`)"),
        ("UPDATE keyed SET id = 20, t = 'moved' WHERE id = 2", "its key (`t`)"),
    ],
    ids=["update", "delete", "key"],
)
def test_less_logged(replication: Replication, flavour: Flavour, image: str, change: str, says: str) -> None:
    """The source's global setting is FULL, so that preflight has nothing to say. Row 1 has the default of the sink's
    key, which MariaDB looks for."""
    for server in (replication.source, replication.sink):
        replication.create_tables(server)
        replication.run(server, *silently("ALTER TABLE keyed ADD t TINYTEXT NOT NULL"))
    replication.run(replication.sink, *silently("ALTER TABLE keyed DROP PRIMARY KEY, ADD PRIMARY KEY (t(9))"))
    replication.create_changefeed(start=replication.place())
    rows = "(1, 1, '', ''), (2, 2, '', 'two'), (3, 3, '', 'three')"
    replication.run(
        replication.source,
        f"INSERT INTO keyed VALUES {rows}",
        f"SET SESSION binlog_row_image = '{image}'",
        change,
    )
    if flavour == "mariadb":
        message = replication.wait_failed("SinkRefused", says, f"{replication.schema}.keyed", "binlog_row_image")
        found = replication.run(replication.sink, "SELECT id, v FROM keyed ORDER BY id")
        assert found in ((), [], [(1, 1), (2, 2), (3, 3)]), "nothing was changed in silence"
        statement = re.search(r"ALTER TABLE `\w+`\.`keyed` .*?ADD PRIMARY KEY \(`id`\)(?=; in the sink)", message)
        assert statement, message
        replication.run(replication.sink, *silently(statement[0]))
        replication.resume()
    assert_rows_equal(replication, "keyed")


def test_comes_later(replication: Replication, flavour: Flavour) -> None:
    """Its key is changed in the sink by hand, and noticed at the next DDL on it."""
    replication.create()
    replication.run(
        replication.source,
        "CREATE TABLE later (id INT PRIMARY KEY, c INT NOT NULL DEFAULT 0)",
        "INSERT INTO later VALUES (1, 0), (2, 2)",
    )
    replication.assert_equal()
    replication.run(replication.sink, *silently("ALTER TABLE later DROP PRIMARY KEY, ADD UNIQUE (c)"))
    replication.run(
        replication.source,
        "ALTER TABLE later ADD d INT",
        "SET SESSION binlog_row_image = 'MINIMAL'",
        "UPDATE later SET d = 9 WHERE id = 2",
    )
    if flavour == "mariadb":
        message = replication.wait_failed("SinkRefused", f"{replication.schema}.later", "only the columns `id`")
        assert replication.run(replication.sink, "SELECT * FROM later WHERE d IS NOT NULL") in ((), [])
        statement = re.search(r"ALTER TABLE `\w+`\.`later` .*?(?=; in the sink)", message)
        assert statement, message
        replication.run(replication.sink, *silently(statement[0]))
        replication.resume()
    assert_rows_equal(replication, "later")


def test_key_of_its_own(replication: Replication, flavour: Flavour) -> None:
    """MariaDB before 11.2 looks for its default, whatever the source logs."""
    for server in (replication.source, replication.sink):
        replication.create_tables(server)
    replication.run(replication.sink, *silently("ALTER TABLE keyless ADD x INT AUTO_INCREMENT PRIMARY KEY"))
    replication.create_changefeed(start=replication.place())
    replication.run(
        replication.source, "INSERT INTO keyless VALUES (1, 'a'), (2, 'b')", "UPDATE keyless SET w = 'c' WHERE v = 2"
    )
    if flavour == "mariadb":
        message = replication.wait_failed("SinkRefused", f"{replication.schema}.keyless", "before 11.2", "(`x`)")
        statement = re.search(r"ALTER TABLE `\w+`\.`keyless` .*?(?=; in the sink)", message)
        assert statement, message
        replication.run(replication.sink, *silently(statement[0]))
        replication.resume()
    assert_rows_equal(replication, "keyless", "v, w")
