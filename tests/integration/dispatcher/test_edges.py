"""Two directions that do not loop, and a sink that hangs."""

from __future__ import annotations

import asyncio
import time

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.sandbox.accounts import SINK_USER
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.servers import ServerPair
from hedgerow.sandbox.workload import Workload
from tests.conftest import StartPair
from tests.integration.dispatcher.harness import Changefeed, in_thread, nodes
from tests.integration.dispatcher.maintained import maintained


def execute(pair: ServerPair, statement: str) -> None:
    with pair.source.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)


async def over_two_lanes(pair: ServerPair, *tables: str) -> Changefeed:
    """Over tables of one column, in the sink already."""
    await in_thread(execute, pair, "CREATE DATABASE shop")
    for table in tables:
        await in_thread(execute, pair, f"CREATE TABLE shop.{table} (id INT PRIMARY KEY)")
    changefeed = Changefeed(pair, "shop.*", lanes=2)
    await in_thread(changefeed.copy_tables)
    return changefeed


async def test_opposite_changefeeds_do_not_loop(server_pair: ServerPair) -> None:
    back = server_pair.reversed()
    await in_thread(execute, server_pair, "CREATE DATABASE shop")
    await in_thread(execute, server_pair, "CREATE TABLE shop.notes (side VARCHAR(5), n INT)")
    forth = Changefeed(server_pair, "shop.*")
    await in_thread(forth.copy_tables)
    other = Changefeed(back, "shop.*")
    other.tables = forth.tables
    await in_thread(lambda: other.prepare(other.keys, other.position()))
    async with nodes("a") as (node,):
        await forth.run(node)
        await other.run(node)
        for n in range(10):
            await in_thread(execute, server_pair, f"INSERT INTO shop.notes VALUES ('here', {n})")
            await in_thread(execute, back, f"INSERT INTO shop.notes VALUES ('there', {n})")
        found = await in_thread(wait_until_equal, server_pair.source.root, server_pair.sink.root, "shop", seconds=10)
        assert found.equal, str(found)
        await forth.wait(node, lambda found: found["shop.notes"].transactions == 10)
        await other.wait(node, lambda found: found["shop.notes"].transactions == 10)
        with server_pair.source.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM shop.notes")
            assert cursor.fetchone() == (20,)


async def test_ddl_of_opposite_changefeeds_does_not_loop(server_pair: ServerPair) -> None:
    """Each statement would fail the second time, and rows follow it in both directions."""
    back = server_pair.reversed()
    await in_thread(execute, server_pair, "CREATE DATABASE shop")
    await in_thread(execute, server_pair, "CREATE TABLE shop.notes (side VARCHAR(5), n INT)")
    forth = Changefeed(server_pair, "shop.*")
    await in_thread(forth.copy_tables)
    other = Changefeed(back, "shop.*")
    other.tables = forth.tables
    await in_thread(lambda: other.prepare(other.keys, other.position()))

    async def settle(*tables: str) -> None:
        """Both have the rows of both sides, and both have a dispatcher for each table and for no other."""
        deadline = time.monotonic() + 90  # dispatchers that join wait a few seconds for more
        for each in (forth, other):
            while set(await in_thread(each.progress)) != {"*", *tables}:
                assert time.monotonic() < deadline, await in_thread(each.progress)
                await asyncio.sleep(0.1)
        found = await in_thread(wait_until_equal, server_pair.source.root, server_pair.sink.root, "shop", seconds=90)
        assert found.equal, str(found)

    async with nodes("a") as (node,):
        await forth.run(node)
        await other.run(node)
        async with maintained(forth, [node]) as there, maintained(other, [node]) as here:
            for statement in (
                "ALTER TABLE shop.notes ADD x INT DEFAULT 1",
                "INSERT INTO shop.notes VALUES ('here', 1, 2)",
                "CREATE TABLE shop.more (side VARCHAR(5))",
                "DROP TABLE shop.notes",
                "CREATE TABLE shop.notes (side VARCHAR(5), n INT)",
                "INSERT INTO shop.notes VALUES ('here', 1), ('here', 1)",
            ):
                await in_thread(execute, server_pair, statement)
            await settle("shop.notes", "shop.more")
            await in_thread(execute, back, "INSERT INTO shop.notes VALUES ('there', 1), ('there', 1)")
            await in_thread(execute, back, "INSERT INTO shop.more VALUES ('there')")
            await in_thread(execute, back, "CREATE TABLE shop.third (side VARCHAR(5))")
            await in_thread(execute, back, "INSERT INTO shop.third VALUES ('there')")
            await in_thread(execute, back, "DROP TABLE shop.more")
            await settle("shop.notes", "shop.third")
            await in_thread(execute, server_pair, "INSERT INTO shop.third VALUES ('here')")
            await settle("shop.notes", "shop.third")
            for server in (server_pair.source, server_pair.sink):
                with server.connect() as connection, connection.cursor() as cursor:
                    cursor.execute("SELECT (SELECT COUNT(*) FROM shop.notes), (SELECT COUNT(*) FROM shop.third)")
                    assert cursor.fetchone() == (4, 2)
            # A CREATE of a table that nobody replicates yet needs no decision.
            assert len(there.written) == len(here.written) == 3
            for each in (forth, other):
                states = {status.state for status in (await each.heartbeat(node)).dispatchers}
                assert states == {pb.RUNNING}, states


async def test_a_close_ends_within_its_deadline_while_the_sink_hangs(flavour: Flavour, start_pair: StartPair) -> None:
    pair = await in_thread(start_pair, flavour)
    workload = Workload(pair.source.root, seed=31)
    await in_thread(workload.create_tables)
    changefeed = Changefeed(pair, "shop.*")
    await in_thread(changefeed.copy_tables)
    async with nodes("a") as (node,):
        await changefeed.run(node)
        pair.sink.freeze()
        try:
            await in_thread(workload.write, 50)
            await asyncio.sleep(0.5)  # a batch is on its way
            begun = time.monotonic()
            assert not (await changefeed.close(node)).HasField("rejection")
            assert time.monotonic() - begun < 8
        finally:
            pair.sink.thaw()


async def test_a_sink_that_does_not_answer_is_warned_of(
    flavour: Flavour, start_pair: StartPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hedgerow.dispatcher.stream.stall.SILENT_SECONDS", 1.0)
    pair = await in_thread(start_pair, flavour)
    changefeed = await over_two_lanes(pair, "busy", "quiet")
    async with nodes("a") as (node,):
        await changefeed.run(node, lanes={"shop.busy": 1})
        pair.sink.freeze()
        try:
            await in_thread(execute, pair, "INSERT INTO shop.busy VALUES (1)")
            statuses = await changefeed.wait(node, lambda found: found["shop.busy"].state == pb.RETRYING)
        finally:
            pair.sink.thaw()
        assert statuses["shop.busy"].error.code == "SinkUnavailable"
        assert "at one batch for more than 1 s" in statuses["shop.busy"].error.message
        assert statuses["shop.quiet"].state == pb.RUNNING
        statuses = await changefeed.wait(node, lambda found: found["shop.busy"].state == pb.RUNNING)
        assert not statuses["shop.busy"].HasField("error")
        found = await in_thread(wait_until_equal, pair.source.root, pair.sink.root, "shop", seconds=10)
        assert found.equal, str(found)


async def test_a_diverged_sink_breaks_only_the_lane_that_met_it(server_pair: ServerPair) -> None:
    changefeed = await over_two_lanes(server_pair, "good", "bad")
    async with nodes("a") as (node,):
        await changefeed.run(node, lanes={"shop.bad": 1})
        await in_thread(execute, server_pair.reversed(), "INSERT INTO shop.bad VALUES (1)")
        await in_thread(execute, server_pair, "INSERT INTO shop.bad VALUES (1)")
        statuses = await changefeed.wait(node, lambda found: found["shop.bad"].state == pb.BROKEN)
        assert statuses["shop.bad"].error.code == "SinkDiverged"
        await in_thread(execute, server_pair, "INSERT INTO shop.good VALUES (1)")
        statuses = await changefeed.wait(node, lambda found: found["shop.good"].transactions == 1)
        assert statuses["shop.good"].state == pb.RUNNING


@pytest.mark.parametrize("statement", ["INSERT INTO shop.a VALUES (1, 1)", "ALTER TABLE shop.a ADD w INT"])
async def test_a_local_fence_cuts_rows_and_ddl_at_once(server_pair: ServerPair, statement: str) -> None:
    """What is executed waits for a lock in the sink; its connection ends at once, and nothing more is applied."""
    await in_thread(execute, server_pair, "CREATE DATABASE shop")
    await in_thread(execute, server_pair, "CREATE TABLE shop.a (id INT PRIMARY KEY, v INT)")
    changefeed = Changefeed(server_pair, "shop.*")
    await in_thread(changefeed.copy_tables)

    def sessions(condition: str = "TRUE") -> int:
        with server_pair.sink.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT id FROM information_schema.processlist WHERE user = '{SINK_USER}' AND {condition}")
            return len(cursor.fetchall())

    async with nodes("a") as (node,):
        await changefeed.run(node)
        with server_pair.sink.connect() as other:
            other.query("BEGIN")
            other.query("SELECT * FROM shop.a LOCK IN SHARE MODE")
            await in_thread(execute, server_pair, statement)
            begun = time.monotonic()
            if statement.startswith("ALTER"):
                statuses = await changefeed.wait(node, lambda found: found["*"].state == pb.BLOCKED)
                await changefeed.barrier(node, statuses["*"].blocked, dispatch_pb2.WRITE, ["*"], flushed={"shop.a": 1})
            while not await in_thread(sessions, "command = 'Query'"):
                assert time.monotonic() - begun < 10
                await asyncio.sleep(0.02)
            begun = time.monotonic()
            node.service.local_fence()
            assert time.monotonic() - begun < 0.1
            await node.service.close()
            assert time.monotonic() - begun < 2
            other.rollback()
        while await in_thread(sessions):
            assert time.monotonic() - begun < 10, "a session of the node is still in the sink"
            await asyncio.sleep(0.02)
        with server_pair.sink.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT * FROM shop.a")
            assert cursor.fetchall() == ()
    async with nodes("b") as (node,), maintained(changefeed, [node]):
        found = await in_thread(wait_until_equal, server_pair.source.root, server_pair.sink.root, "shop", seconds=30)
        assert found.equal, str(found)
