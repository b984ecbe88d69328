"""XA transactions: applied when the source commits them, whatever happens between their two phases."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from hedgerow.common.ledger.ownership import remove_changefeed
from hedgerow.common.mysql.connect import Flavour, connect
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.servers import Server, ServerPair
from tests.conftest import StartPair
from tests.integration.dispatcher.harness import Changefeed, Node, in_thread, nodes


def execute(server: Server, *statements: str) -> tuple[tuple[Any, ...], ...]:
    """In one session; what the last one returns."""
    with server.connect() as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return tuple(cursor.fetchall())


def prepare(server: Server, xid: str, *statements: str) -> None:
    execute(server, f"XA START {xid}", *statements, f"XA END {xid}", f"XA PREPARE {xid}")


def create_tables(server: Server) -> None:
    execute(
        server,
        "CREATE DATABASE shop",
        "CREATE TABLE shop.a (id INT PRIMARY KEY, v VARCHAR(2000))",
        "CREATE TABLE shop.b (id INT, v INT)",
        "CREATE TABLE shop.c (id INT PRIMARY KEY)",
        "CREATE DATABASE other",
        "CREATE TABLE other.t (id INT PRIMARY KEY)",
    )


async def equal(pair: ServerPair) -> None:
    found = await in_thread(wait_until_equal, pair.source.root, pair.sink.root, "shop", seconds=30)
    assert found.equal, str(found)


async def reached(changefeed: Changefeed, node: Node, key: str, transactions: int) -> None:
    await changefeed.wait(node, lambda found: found[key].transactions >= transactions)


def stored(pair: ServerPair) -> set[tuple[Any, ...]]:
    return set(execute(pair.sink, "SELECT DISTINCT dispatcher, xid FROM hedgerow.xa"))


async def test_rows_appear_at_xa_commit_and_not_at_rollback(flavour: Flavour, start_pair: StartPair) -> None:
    server_pair = await in_thread(start_pair, flavour)  # what stays prepared by a failed test would block the others
    source = server_pair.source
    await in_thread(create_tables, source)
    changefeed = Changefeed(server_pair, "shop.*", lanes=2)
    await in_thread(changefeed.copy_tables)
    async with nodes("a") as (node,):
        await changefeed.run(node, lanes={"shop.b": 1})
        await in_thread(
            prepare, source, "'one'", "INSERT INTO shop.a VALUES (1, 'x')", "INSERT INTO shop.b VALUES (1, 1)"
        )
        await in_thread(prepare, source, "'two','branch',7", "INSERT INTO shop.b VALUES (2, 2)")
        await in_thread(prepare, source, "'other'", "INSERT INTO other.t VALUES (1)")
        await in_thread(execute, source, "XA COMMIT 'other'")
        await in_thread(execute, source, "INSERT INTO shop.a VALUES (3, 'y')")
        await reached(changefeed, node, "shop.a", 2)
        await reached(changefeed, node, "shop.b", 2)
        assert execute(server_pair.sink, "SELECT id FROM shop.a") == ((3,),)
        assert execute(server_pair.sink, "SELECT id FROM shop.b") == ()
        assert stored(server_pair) == {
            ("shop.a", "X'6f6e65',X'',1"),
            ("shop.b", "X'6f6e65',X'',1"),
            ("shop.b", "X'74776f',X'6272616e6368',7"),
        }
        await in_thread(execute, source, "XA ROLLBACK 'two','branch',7")
        await in_thread(execute, source, "INSERT INTO shop.b VALUES (9, 9)", "XA COMMIT 'one'")
        await equal(server_pair)
        await in_thread(execute, source, "XA START 'p'", "DELETE FROM shop.b", "XA END 'p'", "XA COMMIT 'p' ONE PHASE")
        await equal(server_pair)
        await reached(changefeed, node, "shop.b", 5)
        assert stored(server_pair) == set()


async def test_a_large_one_is_stored_and_applied_in_parts_over_a_move(flavour: Flavour, start_pair: StartPair) -> None:
    """Prepared on one node, decided on another with other lanes; and what a removal leaves."""
    server_pair = await in_thread(start_pair, flavour)
    await in_thread(create_tables, server_pair.source)
    changefeed = Changefeed(server_pair, "shop.*", batch_bytes=50_000, lanes=2)
    await in_thread(changefeed.copy_tables)
    inserts = [f"INSERT INTO shop.a VALUES ({n}, REPEAT('x', 1500))" for n in range(200)]
    async with nodes("a", "b") as (first, second):
        await changefeed.run(first)
        await in_thread(
            prepare, server_pair.source, "'big'", "INSERT INTO shop.b VALUES (1, 1)", *inserts, "DELETE FROM shop.b"
        )
        await reached(changefeed, first, "shop.a", 1)
        assert execute(server_pair.sink, "SELECT COUNT(*) > 3 FROM hedgerow.xa") == ((1,),)
        await changefeed.schedule(first, remove=["shop.a", "shop.b"])
        await changefeed.wait(first, lambda found: "shop.a" not in found)
        await changefeed.bootstrap(second)
        await changefeed.schedule(second, ["shop.a", "shop.b"], generation=2, lanes={"shop.a": 1})
        await changefeed.wait_running(second)
        await in_thread(execute, server_pair.source, "XA COMMIT 'big'")
        await equal(server_pair)
        await in_thread(prepare, server_pair.source, "'left'", "INSERT INTO shop.a VALUES (999, 'x')")
        await reached(changefeed, second, "shop.a", 2)
        await in_thread(execute, server_pair.source, "XA ROLLBACK 'left'")
        await changefeed.close(first)
        await changefeed.close(second)
    with connect(ServerUri.parse(server_pair.sink_uri), "sink") as connection:
        remove_changefeed(connection, changefeed.uid, 2, "n")
    assert stored(server_pair) == set()


async def test_random_xa_over_restarts_of_everything(flavour: Flavour, start_pair: StartPair) -> None:
    """The node dies and has a successor, and the source and the sink restart, between the phases."""
    pair = await in_thread(start_pair, flavour)
    source = pair.source
    await in_thread(create_tables, source)
    changefeed = Changefeed(pair, "shop.*", lanes=2)
    await in_thread(changefeed.copy_tables)
    choice = random.Random(5)
    prepared: list[str] = []
    ids = iter(range(10_000))

    def some() -> None:
        for _ in range(12):
            n = next(ids)
            kind = choice.randrange(4)
            if kind == 0 and len(prepared) < 6:
                xid = f"'x{choice.randrange(8)}'"  # used again after its decision
                if xid not in prepared:
                    prepared.append(xid)
                    prepare(
                        source, xid, f"INSERT INTO shop.a VALUES ({n}, 'xa')", f"INSERT INTO shop.b VALUES ({n}, 0)"
                    )
            elif kind == 1 and prepared:
                decision = choice.choice(["COMMIT", "COMMIT", "ROLLBACK"])
                execute(source, f"XA {decision} {prepared.pop(choice.randrange(len(prepared)))}")
            else:
                execute(source, f"INSERT INTO shop.a VALUES ({n}, 'plain')", f"INSERT INTO shop.c VALUES ({n})")

    for round in range(5):
        async with nodes(f"n{round}") as (node,):
            await changefeed.bootstrap(node)
            await changefeed.schedule(node, changefeed.keys, lanes={"shop.b": round % 2})
            await changefeed.wait_running(node)
            await in_thread(some)
            if round == 1:
                await in_thread(source.kill)
                await in_thread(source.start)
            if round == 2:
                await in_thread(pair.sink.kill)
                await in_thread(pair.sink.start)
            await in_thread(some)
            if round % 2:
                await asyncio.sleep(choice.random() * 0.05)  # anywhere in its work
                node.service.local_fence()
            elif round == 4:
                for xid in prepared:
                    await in_thread(execute, source, f"XA COMMIT {xid}")
                await changefeed.wait(node, lambda found: all(one.state == pb.RUNNING for one in found.values()))
                await equal(pair)
                assert stored(pair) == set()
        changefeed.epoch += 1
        await in_thread(changefeed.raise_fence)
