"""Rows that match the filter never go nowhere: what the list of tables misses stops the changefeed, and resumes."""

from __future__ import annotations

from typing import Any

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.accounts import SOURCE_USER
from hedgerow.sandbox.cluster import Cluster, CommandFailed
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.servers import Server
from tests.cluster.conftest import StartCluster, query

pytestmark = pytest.mark.timeout(300)


def run(server: Server, *statements: str) -> None:
    with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def place(server: Server) -> str:
    """Where its binlog ends, for --start."""
    shown = "SHOW BINARY LOG STATUS" if server.flavour == "mysql" else "SHOW MASTER STATUS"
    file, offset, *_ = query(server, shown)[0]
    return f"file:{file}:{offset}"


def is_equal(cluster: Cluster, schema: str) -> bool:
    comparison = wait_until_equal(cluster.pair.source.root, cluster.pair.sink.root, schema, seconds=30.0)
    assert comparison.equal, str(comparison)
    return True


def stopped(cluster: Cluster, name: str) -> str:
    """The error of a changefeed that has failed over a table that nobody replicates."""
    failed = cluster.wait_for(name, state="failed")
    error: dict[str, Any] = failed["error"]
    assert error["code"] == "TableUnreplicated", error
    return str(error["message"])


def test_tables_renamed_dropped_or_swapped_since_the_start_lose_nothing(
    flavour: Flavour, start_cluster: StartCluster
) -> None:
    cluster = start_cluster(flavour, nodes=2)
    source, sink = cluster.pair.source, cluster.pair.sink
    tables = ("a", "gone", "x", "y", "again")
    for server in (source, sink):
        run(
            server,
            "CREATE DATABASE shop",
            *(f"CREATE TABLE shop.{name} (id INT PRIMARY KEY, v VARCHAR(9))" for name in tables),
            "INSERT INTO shop.a VALUES (1, 'loaded')",
        )
    start = place(source)
    run(
        source,
        "INSERT INTO shop.a VALUES (2, 'as a')",
        "RENAME TABLE shop.a TO shop.b",
        "INSERT INTO shop.b VALUES (3, 'as b')",
        "INSERT INTO shop.gone VALUES (1, 'x')",
        "DROP TABLE shop.gone",
        "INSERT INTO shop.x VALUES (1, 'x')",
        "INSERT INTO shop.y VALUES (2, 'y')",
        "RENAME TABLE shop.x TO shop.z, shop.y TO shop.x, shop.z TO shop.y",
        "INSERT INTO shop.x VALUES (3, 'was y')",
        "INSERT INTO shop.again VALUES (1, 'first')",
        "DROP TABLE shop.again",
        "CREATE TABLE shop.again (id INT PRIMARY KEY, w INT)",
        "INSERT INTO shop.again VALUES (1, 7)",
    )
    cluster.create("shop", "--filter", "shop.*", start=start)
    assert is_equal(cluster, "shop")
    assert query(sink, "SELECT * FROM shop.b") == ((1, "loaded"), (2, "as a"), (3, "as b"))
    assert query(sink, "SELECT * FROM shop.y") == ((1, "x"),)
    assert cluster.get("shop")["state"] == "normal"


@pytest.mark.unreplicated
def test_tables_that_the_account_cannot_see_are_refused_until_it_can(
    flavour: Flavour, start_cluster: StartCluster
) -> None:
    """Of a table alone, or of nothing in a schema: preflight names each schema, and its GRANT is enough."""
    cluster = start_cluster(flavour, nodes=2)
    source, sink = cluster.pair.source, cluster.pair.sink
    for server in (source, sink):
        run(
            server,
            "CREATE DATABASE app",
            "CREATE TABLE app.t (id INT PRIMARY KEY)",
            "CREATE TABLE app.u (id INT PRIMARY KEY, v INT)",
            "INSERT INTO app.u VALUES (1, 1)",
            "CREATE DATABASE hidden",
            "CREATE TABLE hidden.u (id INT, v INT)",
            "INSERT INTO hidden.u VALUES (1, 1)",
        )
    user = f"'{SOURCE_USER}'@'127.0.0.1'"
    run(source, f"REVOKE SELECT ON *.* FROM {user}", f"GRANT SELECT ON app.t TO {user}")
    start = place(source)
    rules = ("--filter", "app.*", "--filter", "hidden.*")
    with pytest.raises(CommandFailed) as refused:
        cluster.create("app", *rules, start=start)
    for schema in ("app", "hidden"):
        grant = f"GRANT SELECT ON `{schema}`.* TO {user};"
        assert grant in refused.value.message
        run(source, grant)
    cluster.create("app", *rules, start=start)
    run(
        source,
        "INSERT INTO app.t VALUES (1)",
        "INSERT INTO app.u VALUES (2, 2)",
        "UPDATE app.u SET v = 9 WHERE id = 1",
        "INSERT INTO hidden.u VALUES (2, 2)",
        "UPDATE hidden.u SET v = 9 WHERE id = 1",
    )
    assert is_equal(cluster, "app")
    assert is_equal(cluster, "hidden")
    assert cluster.wait_for("app", state="normal", error=None)


@pytest.mark.unreplicated
def test_a_table_that_the_sink_lacks_is_loaded_or_left_out(flavour: Flavour, start_cluster: StartCluster) -> None:
    cluster = start_cluster(flavour, nodes=1)
    source, sink = cluster.pair.source, cluster.pair.sink
    run(
        source,
        "CREATE DATABASE app",
        *(f"CREATE TABLE app.{name} (id INT PRIMARY KEY)" for name in ("kept", "loaded", "left_out")),
        "INSERT INTO app.loaded VALUES (1)",
    )
    run(sink, "CREATE DATABASE app", "CREATE TABLE app.kept (id INT PRIMARY KEY)")
    start = place(source)
    run(source, "INSERT INTO app.loaded VALUES (2)", "DROP TABLE app.loaded", "INSERT INTO app.kept VALUES (1)")
    run(source, "INSERT INTO app.left_out VALUES (1)", "DROP TABLE app.left_out", "INSERT INTO app.kept VALUES (2)")
    cluster.create("app", "--filter", "app.*", start=start)
    message = stopped(cluster, "app")
    assert "table app.loaded matches" in message
    assert "The sink has no such table. Create it there, with the rows that it had" in message
    run(sink, "CREATE TABLE app.loaded (id INT PRIMARY KEY)", "INSERT INTO app.loaded VALUES (1)")
    cluster.command("changefeed", "resume", "app")
    assert wait_until(lambda: "app.left_out" in str(cluster.get("app")["error"]), 30.0, 0.2)
    assert "table app.left_out matches" in stopped(cluster, "app")
    assert query(sink, "SHOW TABLES FROM app") == (("kept",),), "loaded was replicated, up to its DROP"
    cluster.command("changefeed", "update", "app", "--filter", "app.*", "--filter", "!app.left_out")
    cluster.command("changefeed", "resume", "app")
    assert is_equal(cluster, "app")
    assert cluster.wait_for("app", state="normal", error=None)


def test_an_update_of_the_filter_says_which_tables_begin_where(flavour: Flavour, start_cluster: StartCluster) -> None:
    cluster = start_cluster(flavour, nodes=1)
    source, sink = cluster.pair.source, cluster.pair.sink
    for server in (source, sink):
        run(server, "CREATE DATABASE app", *(f"CREATE TABLE app.{name} (v INT)" for name in ("kept", "back")))
    cluster.create("app", "--filter", "app.*", "--filter", "!app.back", start=place(source))
    run(source, "INSERT INTO app.back VALUES (1)", "INSERT INTO app.kept VALUES (1)")
    assert wait_until(lambda: query(sink, "SELECT * FROM app.kept") == ((1,),), 30.0, 0.1)
    cluster.command("changefeed", "pause", "app")
    ((file, offset),) = query(sink, "SELECT binlog_file, binlog_pos FROM hedgerow.progress WHERE dispatcher = '*'")
    updated = cluster.command("changefeed", "update", "app", "--filter", "app.*")
    (warning,) = updated["warnings"]
    assert warning["found"].startswith("app.back now matches the filter and starts at the changefeed's position (")
    assert f"{file}:{offset}" in warning["found"]
    assert "load the table" in warning["fix"]
    run(sink, "INSERT INTO app.back VALUES (1)")
    cluster.command("changefeed", "resume", "app")
    run(source, "INSERT INTO app.back VALUES (2)")
    assert is_equal(cluster, "app")
