"""When a stream looks at the columns of source and sink: at the first rows of each table, and now and then."""

from __future__ import annotations

from typing import Any

import pytest

from hedgerow.common.pb.v1 import model_pb2
from hedgerow.dispatcher.sink.columns import watch
from hedgerow.dispatcher.sink.columns.shapes import SinkTable
from hedgerow.dispatcher.sink.columns.tables import read_shapes
from hedgerow.sandbox.servers import Server, ServerPair
from tests.integration.dispatcher.harness import Changefeed, Node, nodes

pytestmark = pytest.mark.timeout(90)


def run(server: Server, *statements: str) -> None:
    with server.connect(autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def refused(statuses: dict[str, model_pb2.DispatcherStatus], says: str) -> bool:
    errors = {(one.error.code, one.state) for one in statuses.values() if says in one.error.message}
    return errors == {("SinkRefused", model_pb2.BROKEN)}


async def test_the_columns_of_many_tables_are_read_when_their_rows_come(
    server_pair: ServerPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_AT_ONCE", 1)
    names = ("a", "b", "c", "d")
    run(
        server_pair.source,
        "CREATE DATABASE shop",
        *(f"CREATE TABLE shop.{n} (id INT PRIMARY KEY, v INT)" for n in names),
    )
    feed = Changefeed(server_pair, "shop.*")
    feed.copy_tables()
    run(server_pair.sink, "ALTER TABLE shop.d MODIFY v INT NOT NULL")
    async with nodes("n1") as (node,):
        await feed.run(node)
        run(server_pair.source, *(f"INSERT INTO shop.{n} VALUES (1, NULL)" for n in ("c", "a", "d")))
        await feed.wait(node, lambda found: refused(found, "table shop.d in the sink cannot take"))
        await feed.close(node)


async def test_a_column_that_is_changed_in_the_sink_by_hand_is_noticed_without_a_ddl(
    server_pair: ServerPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_AGAIN_SECONDS", 0.5)
    run(server_pair.source, "CREATE DATABASE shop", "CREATE TABLE shop.a (id INT PRIMARY KEY, v INT)")
    feed = Changefeed(server_pair, "shop.*")
    feed.copy_tables()
    async with nodes("n1") as (node,):
        await feed.run(node)
        run(server_pair.source, "INSERT INTO shop.a VALUES (1, 1)")
        await feed.wait(node, lambda found: found["shop.a"].transactions >= 1)
        run(server_pair.sink, "ALTER TABLE shop.a MODIFY v INT UNSIGNED")
        await feed.wait(node, lambda found: refused(found, "column v is int"))
        await feed.close(node)


async def test_a_difference_that_the_stream_meets_late_is_told_when_it_is_at_the_end(server_pair: ServerPair) -> None:
    """The source has rows that were not read when the stream began, and no DDL explains the difference."""
    run(server_pair.source, "CREATE DATABASE shop", "CREATE TABLE shop.a (id INT PRIMARY KEY, v ENUM('x','y'))")
    feed = Changefeed(server_pair, "shop.*")
    feed.copy_tables()
    run(server_pair.sink, "ALTER TABLE shop.a MODIFY v ENUM('y','x')")
    run(server_pair.source, *(f"INSERT INTO shop.a VALUES ({n}, 'x')" for n in range(20)))
    async with nodes("n1") as (node,):
        await feed.bootstrap(node)
        await feed.schedule(node, feed.keys)
        await feed.wait(node, lambda found: refused(found, "column v is enum('y','x') instead of enum('x','y')"))
        await feed.close(node)


async def test_a_key_that_is_changed_in_the_sink_by_hand_is_noticed_without_a_ddl(
    server_pair: ServerPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MySQL finds the row by the columns that it is told; MariaDB would change the row with the key's default."""
    monkeypatch.setattr(watch, "LOOK_AGAIN_SECONDS", 0.5)
    keys = watch_keys(monkeypatch)
    run(
        server_pair.source,
        "CREATE DATABASE shop",
        "CREATE TABLE shop.a (id INT PRIMARY KEY, k INT NOT NULL DEFAULT 0, v INT)",
    )
    feed = Changefeed(server_pair, "shop.*")
    feed.copy_tables()
    async with nodes("n1") as (node,):
        await feed.run(node)
        run(server_pair.source, "INSERT INTO shop.a VALUES (1, 0, 1), (2, 2, 2)")
        await feed.wait(node, lambda found: found["shop.a"].transactions >= 1)
        run(server_pair.sink, "ALTER TABLE shop.a DROP PRIMARY KEY, ADD PRIMARY KEY (k)")
        await feed.wait(node, lambda found: keys[-1] == ["k"])
        await _change_row_2(feed, node)


async def test_a_table_that_is_made_in_the_sink_by_hand_is_judged(
    server_pair: ServerPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream has begun without it; nobody looks again before its rows come."""
    keys = watch_keys(monkeypatch)
    columns = "id INT NOT NULL, k INT NOT NULL DEFAULT 0, v INT"
    run(server_pair.source, "CREATE DATABASE shop", f"CREATE TABLE shop.a ({columns}, PRIMARY KEY (id))")
    feed = Changefeed(server_pair, "shop.*")
    feed.copy_tables()
    run(server_pair.sink, "DROP TABLE shop.a")
    async with nodes("n1") as (node,):
        await feed.run(node)
        await feed.wait(node, lambda found: keys == [[]] * len(keys) != [])
        run(
            server_pair.sink,
            f"CREATE TABLE shop.a ({columns}, PRIMARY KEY (k))",
            "INSERT INTO shop.a VALUES (1, 0, 1), (2, 2, 2)",
        )
        run(server_pair.source, "SET sql_log_bin = 0", "INSERT INTO shop.a VALUES (1, 0, 1), (2, 2, 2)")
        await _change_row_2(feed, node)


def watch_keys(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The key columns of shop.a in the sink, each time a stream has read them; none where it was not there."""
    found: list[list[str]] = []

    def read(*arguments: Any) -> dict[str, SinkTable | None]:
        tables = read_shapes(*arguments)
        table = tables.get("shop.a")
        found.append([column.name for column in table.columns if column.in_key] if table else [])
        return tables

    monkeypatch.setattr(watch, "read_shapes", read)
    return found


async def _change_row_2(feed: Changefeed, node: Node) -> None:
    pair = feed.pair
    run(pair.source, "SET binlog_row_image = 'MINIMAL'", "UPDATE shop.a SET v = 9 WHERE id = 2")
    if pair.flavour == "mariadb":
        await feed.wait(node, lambda found: refused(found, "MariaDB looks for them in the sink by its key (`k`)"))
    else:
        await feed.wait(node, lambda found: values(pair.sink) == [(1, 1), (2, 9)])
    assert values(pair.sink)[0] == (1, 1), "the row with the key's default is another one"
    await feed.close(node)


def values(server: Server) -> list[tuple[int, int]]:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, v FROM shop.a ORDER BY id")
        return list(cursor.fetchall())
