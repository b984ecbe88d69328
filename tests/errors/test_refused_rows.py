"""A row that the sink refuses is named: table, kind, key, transaction, what the sink has; and the remedy works."""

from __future__ import annotations

import re

import pytest

from hedgerow.sandbox.compare import wait_until_equal
from tests.errors.replication import SECONDS, Replication, poll, run
from tests.errors.wayout import follow

pytestmark = pytest.mark.timeout(150)

GTID = r"transaction [-0-9a-f]+[-:][0-9]+, "


def silently(*statements: str) -> tuple[str, ...]:
    return ("SET sql_log_bin = 0", *statements)


def begin(replication: Replication) -> None:
    """Some rows on both sides, so that what fails is one of many in a batch."""
    replication.create()
    many = ", ".join(f"({n}, {n}, 'row {n}')" for n in range(1, 41))
    replication.run(
        replication.source, f"INSERT INTO keyed VALUES {many}", "INSERT INTO keyless VALUES (1, 'x'), (2, 'y')"
    )
    replication.assert_equal()


def transaction(replication: Replication, *statements: str) -> str:
    """Between other transactions; returns the binlog's file."""
    replication.run(replication.source, *(f"UPDATE keyed SET w = 'before' WHERE id = {n}" for n in range(21, 31)))
    replication.run(replication.source, "BEGIN", *statements, "COMMIT")
    replication.run(replication.source, *(f"UPDATE keyed SET w = 'after' WHERE id = {n}" for n in range(31, 41)))
    return str(run(replication.source, "SHOW BINARY LOGS")[-1][0])


def says(replication: Replication, file: str, message: str, code: str, what: str) -> None:
    assert code in message
    error = replication.get()["error"]  # it has failed: no dispatcher reports any more where it is
    assert error["dispatcher"]  # one of its lane
    assert error["position"] is not None  # of a dispatcher that has not moved since the beginning it is empty
    assert what in message, message
    assert re.search(rf"\({GTID}the event that ends at {file}:[0-9]+\)", message), message


def test_an_update_and_a_delete_of_a_row_that_is_missing(replication: Replication) -> None:
    begin(replication)
    schema = replication.schema
    replication.run(replication.sink, *silently("DELETE FROM keyed WHERE id IN (5, 7)"))
    file = transaction(
        replication, "UPDATE keyed SET v = v + 100 WHERE id BETWEEN 3 AND 6", "DELETE FROM keyed WHERE id = 7"
    )
    message = replication.wait_failed("SinkDiverged", "Refused")
    says(replication, file, message, "1032", f"the update of the row with id = 5 in {schema}.keyed")
    assert "the sink has no such row" in message
    assert "INSERT the row there as the source had it before that change, then resume" in message
    replication.run(replication.sink, *silently("INSERT INTO keyed VALUES (5, 5, 'row 5')"))
    replication.resume()
    message = replication.wait_failed("SinkDiverged", "with id = 7")
    says(replication, file, message, "1032", f"the delete of the row with id = 7 in {schema}.keyed")
    assert "its key is enough" in message
    replication.run(replication.sink, *silently("INSERT INTO keyed (id) VALUES (7)"))
    replication.resume()
    replication.assert_equal()


def test_leaving_the_row_out(replication: Replication) -> None:
    """The other way on, as the message prints it: that table's rows of that transaction are left out, and no others."""
    begin(replication)
    schema = replication.schema
    replication.run(replication.sink, *silently("DELETE FROM keyed WHERE id = 5"))
    transaction(
        replication,
        "UPDATE keyed SET v = 500 WHERE id IN (4, 5)",
        "UPDATE keyless SET w = 'z' WHERE v = 2",
        "INSERT INTO keyless VALUES (3, 'the same')",
    )
    message = replication.wait_failed("SinkDiverged", "with id = 5", "INSERT the row there", "then resume. Or leave it")
    (found,) = re.findall(GTID, message)
    gtid = found.removeprefix("transaction ").rstrip(", ")
    assert f"hedgerow changefeed skip {replication.name} --transaction {gtid} --table '{schema}.keyed'; then" in message
    assert follow(replication, message)["transaction"] == gtid
    replication.run(replication.source, "UPDATE keyed SET v = 7 WHERE id = 6", "INSERT INTO keyless VALUES (4, 'on')")
    comparison = wait_until_equal(
        replication.source.root, replication.sink.root, schema, seconds=SECONDS, tables=[f"{schema}.keyless"]
    )
    assert comparison.equal, str(comparison)
    replication.wait("normal")
    assert poll(lambda: replication.run(replication.sink, "SELECT v FROM keyed WHERE id = 6") == [(7,)], SECONDS)
    left_out = [(4, 4, "row 4")]  # and the row that was missing still is
    assert replication.run(replication.sink, "SELECT * FROM keyed WHERE id IN (4, 5)") == left_out
    everything_else = "SELECT * FROM keyed WHERE id NOT IN (4, 5) ORDER BY id"
    assert replication.run(replication.sink, everything_else) == replication.run(replication.source, everything_else)
    replication.run(replication.sink, *silently("REPLACE INTO keyed VALUES (4, 500, 'row 4'), (5, 500, 'row 5')"))
    replication.assert_equal()


def test_a_row_that_is_there_already(replication: Replication) -> None:
    begin(replication)
    schema = replication.schema
    replication.run(replication.sink, *silently("INSERT INTO keyed VALUES (77, 7, 'mine')"))
    rows = ", ".join(f"({n}, 0, 'new')" for n in range(70, 80))
    file = transaction(replication, f"INSERT INTO keyed VALUES {rows}")
    message = replication.wait_failed("SinkDiverged", "Refused")
    says(replication, file, message, "1062", f"the insert of the row with id = 77 in {schema}.keyed")
    assert "the sink has (77, 7, mine)" in message
    assert "DELETE the row there that is in the way" in message
    # To make it equal does not help, as the message says.
    replication.run(replication.sink, *silently("UPDATE keyed SET v = 0, w = 'new' WHERE id = 77"))
    replication.resume()
    assert "the sink has (77, 0, new)" in replication.wait_failed("SinkDiverged", "(77, 0, new)")
    replication.run(replication.sink, *silently("DELETE FROM keyed WHERE id = 77"))
    replication.resume()
    replication.assert_equal()


def test_a_row_without_a_key(replication: Replication) -> None:
    begin(replication)
    replication.run(replication.sink, *silently("DELETE FROM keyless WHERE v = 2"))
    file = transaction(replication, "DELETE FROM keyless WHERE v = 2")
    message = replication.wait_failed("SinkDiverged", "Refused")
    says(
        replication, file, message, "1032", f"the delete of the row with v = 2, w = 'y' in {replication.schema}.keyless"
    )
    assert "all of its columns" in message
    replication.run(replication.sink, *silently("INSERT INTO keyless VALUES (2, 'y')"))
    replication.resume()
    replication.assert_equal()


def test_foreign_keys(replication: Replication) -> None:
    if replication.cluster.flavour == "mysql":
        pytest.skip("MySQL 9.6 logs what foreign keys do, so that its rows are applied without checking them")
    for server in (replication.source, replication.sink):
        replication.create_tables(server)
        replication.run(
            server,
            *silently(
                "CREATE TABLE parent (id INT PRIMARY KEY)",
                "CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id))",
            ),
        )
    replication.create_changefeed()
    replication.wait("normal")
    replication.run(replication.source, "INSERT INTO parent VALUES (1), (2)", "INSERT INTO child VALUES (1, 1)")
    replication.assert_equal()
    replication.run(replication.sink, *silently("DELETE FROM parent WHERE id = 2"))
    replication.run(replication.source, "INSERT INTO child VALUES (20, 2)")
    message = replication.wait_failed("SinkDiverged", "1452", "the insert of the row with id = 20", ".child")
    assert "INSERT there the row of the other table that the foreign key points to, then resume" in message
    replication.run(replication.sink, *silently("INSERT INTO parent VALUES (2)"))
    replication.resume()
    replication.assert_equal()
    replication.run(replication.sink, *silently("INSERT INTO child VALUES (99, 1)"))
    replication.run(replication.source, "DELETE FROM child WHERE p = 1", "DELETE FROM parent WHERE id = 1")
    message = replication.wait_failed("SinkDiverged", "1451", "the delete of the row with id = 1", ".parent")
    assert "DELETE there the rows of the other table that point to it, then resume" in message
    replication.run(replication.sink, *silently("DELETE FROM child WHERE id = 99"))
    replication.resume()
    replication.assert_equal()
