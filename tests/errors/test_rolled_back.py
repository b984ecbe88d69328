"""Transactions that are in the source's binlog, and do not hold: rolled back, or never ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import model_pb2
from hedgerow.sandbox.accounts import SOURCE_USER
from hedgerow.sandbox.servers import Server
from tests.errors.replication import Replication, run
from tests.errors.wayout import follow

pytestmark = pytest.mark.timeout(120)

# Parts of a source transaction are sent before its end is known.
IN_PARTS = model_pb2.ChangefeedOptions(batch_transactions=1, batch_bytes=4096)
LONG = ", ".join(f"({100 + n}, 1, REPEAT('undone', 300))" for n in range(4))
CASES = {
    "all": ["BEGIN", f"INSERT INTO keyed VALUES {LONG}", "CREATE TEMPORARY TABLE temp (i INT)", "ROLLBACK"],
    "rows": [
        "BEGIN",
        "UPDATE keyed SET v = 100",
        "DELETE FROM keyless",
        "CREATE TEMPORARY TABLE temp (i INT)",
        "ROLLBACK",
    ],
    "savepoint": [
        "BEGIN",
        "INSERT INTO keyed VALUES (1, 1, 'kept')",
        "SAVEPOINT `a b`",
        f"INSERT INTO keyed VALUES {LONG}",
        "INSERT INTO keyless VALUES (77, 'undone')",
        "CREATE TEMPORARY TABLE temp (i INT)",
        "ROLLBACK TO `A B`",
        "INSERT INTO keyed VALUES (3, 1, 'kept')",
        "COMMIT",
    ],
    "nested": [
        "BEGIN",
        "CREATE TEMPORARY TABLE temp (i INT)",
        "INSERT INTO keyed VALUES (1, 1, 'kept')",
        "SAVEPOINT a",
        "INSERT INTO keyed VALUES (2, 1, 'undone')",
        "SAVEPOINT b",
        "INSERT INTO keyed VALUES (3, 1, 'undone')",
        "CREATE TEMPORARY TABLE temp2 (i INT)",
        "ROLLBACK TO b",
        f"INSERT INTO keyed VALUES {LONG}",
        "CREATE TEMPORARY TABLE temp3 (i INT)",
        "ROLLBACK TO a",
        f"INSERT INTO keyed VALUES {LONG}",
        "CREATE TEMPORARY TABLE temp4 (i INT)",
        "ROLLBACK TO a",
        "INSERT INTO keyed VALUES (6, 1, 'kept')",
        "COMMIT",
    ],
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("parts", [False, True], ids=["whole", "parts"])
def test_beside_temporary(replication: Replication, case: str, parts: bool) -> None:
    replication.create(options=IN_PARTS if parts else None)
    replication.run(replication.source, "INSERT INTO keyed VALUES (50, 1, ''), (51, 1, '')")
    replication.run(replication.source, *CASES[case])
    replication.run(replication.source, "INSERT INTO keyless VALUES (1, 'after')")
    replication.assert_equal()


@pytest.mark.parametrize("end", ["ROLLBACK", "ROLLBACK TO s"], ids=["all", "savepoint"])
def test_kept_by_engine(replication: Replication, flavour: Flavour, end: str) -> None:
    if flavour != "mariadb":
        pytest.skip("MySQL refuses such a transaction where it has GTIDs (1785)")
    replication.create_tables(replication.source)
    replication.run(replication.source, "SET sql_log_bin = 0", "ALTER TABLE keyless ENGINE = MyISAM")
    replication.create()
    replication.run(
        replication.source,
        "BEGIN",
        "SAVEPOINT s",
        "INSERT INTO keyed VALUES (1, 1, 'undone')",
        "INSERT INTO keyless VALUES (1, 'kept')",
        end,
        "COMMIT",
    )
    replication.run(replication.source, "INSERT INTO keyed VALUES (2, 1, 'after')")
    replication.assert_equal()
    assert replication.run(replication.sink, "SELECT w FROM keyless") == [("kept",)]


def test_changed_since(replication: Replication, flavour: Flavour) -> None:
    if flavour != "mariadb":
        pytest.skip("MySQL logs nothing of such a transaction")
    replication.create()
    replication.pause()
    replication.run(replication.source, *CASES["all"], "SELECT SLEEP(2.1)", "ALTER TABLE keyed ENGINE = InnoDB")
    replication.resume()
    message = replication.wait_failed("UnsupportedEvent", f"{replication.schema}.keyed", "rolled back")
    follow(replication, message)
    replication.run(replication.source, "INSERT INTO keyed VALUES (900, 1, 'after')")
    replication.assert_equal()


@pytest.fixture
def own_source(replication: Replication, flavour: Flavour) -> Iterator[Server]:
    """A source that may crash."""
    with Server(flavour, "crashing") as server:
        replication.source = server
        replication.source_uri = server.account(SOURCE_USER).at("127.0.0.1", server.port).uri
        yield server
        replication.remove()


@pytest.mark.parametrize("parts", [False, True], ids=["whole", "parts"])
def test_cut_by_crash(replication: Replication, own_source: Server, parts: bool) -> None:
    """Its beginning is at the end of the file, and the source has rolled it back."""
    if own_source.flavour != "mariadb":
        pytest.skip("MySQL cuts the file, and counts what its engine has kept as purged")
    replication.create(options=IN_PARTS if parts else None)
    replication.write(3)
    replication.assert_equal()
    replication.pause()
    replication.write(1)
    replication.run(own_source, f"INSERT INTO keyed VALUES (900, 1, 'lost'), {LONG}")
    file = run(own_source, "SHOW MASTER STATUS")[0][0]
    events = run(own_source, f"SHOW BINLOG EVENTS IN '{file}'")
    end = max(int(row[1]) for row in events if row[2] == "Xid")
    own_source.kill()
    with (own_source.directory / "data" / file).open("r+b") as binlog:
        binlog.truncate(end)
    own_source.start()
    # The engine had committed it here; after a crash at that place it has not.
    replication.run(own_source, "SET sql_log_bin = 0", "DELETE FROM keyed WHERE id >= 100")
    replication.run(own_source, "INSERT INTO keyed VALUES (902, 1, 'after')")
    replication.resume()
    replication.run(own_source, "INSERT INTO keyed VALUES (903, 1, 'after')")
    replication.assert_equal()
