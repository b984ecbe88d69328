"""DDL through the stream: blocked, written once, passed; the test decides as a maintainer does."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from hedgerow.common.binlog.position import Position, has_reached
from hedgerow.common.mysql.names import TableName
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.servers import ServerPair
from hedgerow.sandbox.workload import Workload
from tests.integration.dispatcher.harness import Changefeed, Node, in_thread, nodes


class Maintains:
    """Decides over every DDL by the rules of the barrier, and places what a DDL creates on the first node."""

    def __init__(self, changefeed: Changefeed, members: list[Node]) -> None:
        self.changefeed = changefeed
        self.members = members
        self.written: list[str] = []

    async def run(self) -> None:
        while True:
            found = [(node, status) for node in self.members for status in await self._statuses(node)]
            schema = next(status for _, status in found if status.dispatcher == "*")
            for node, status in found:
                if status.state != pb.BLOCKED:
                    continue
                ddl = status.blocked
                if status.dispatcher == "*":
                    touched = self._touched(found, ddl)
                    if all(one.state == pb.BLOCKED or self._has_reached(one, ddl) for one in touched):
                        await self.changefeed.barrier(node, ddl, dispatch_pb2.WRITE, ["*"])
                        self.written.append(ddl.statement)
                elif self._has_reached(schema, ddl):
                    await self.changefeed.barrier(node, ddl, dispatch_pb2.PASS, [status.dispatcher])
            await self._place(found)
            await asyncio.sleep(0.03)

    async def _statuses(self, node: Node) -> list[pb.DispatcherStatus]:
        return list((await self.changefeed.heartbeat(node)).dispatchers)

    def _touched(self, found: list[tuple[Node, pb.DispatcherStatus]], ddl: pb.Ddl) -> list[pb.DispatcherStatus]:
        names = {TableName.read(name).key for name in ddl.touches}
        return [one for _, one in found if one.dispatcher in names]

    def _has_reached(self, status: pb.DispatcherStatus, ddl: pb.Ddl) -> bool:
        return has_reached(
            Position.read(status.position),
            gtid=ddl.gtid,
            file=ddl.position.file,
            offset=ddl.position.offset,
            source_id=ddl.position.source_id,
            flavour=self.changefeed.pair.flavour,
        )

    async def _place(self, found: list[tuple[Node, pb.DispatcherStatus]]) -> None:
        rows = await in_thread(self.changefeed.progress)
        here = {status.dispatcher for _, status in found}
        for node, status in found:
            if status.dispatcher not in rows:
                await self.changefeed.schedule(node, remove=[status.dispatcher])
        new = rows.keys() - here
        if new:
            await self.changefeed.schedule(self.members[0], new)


@contextlib.asynccontextmanager
async def maintained(changefeed: Changefeed, members: list[Node]) -> AsyncIterator[Maintains]:
    maintains = Maintains(changefeed, members)
    task = asyncio.create_task(maintains.run())
    try:
        yield maintains
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def execute(pair: ServerPair, *statements: str) -> None:
    with pair.source.connect() as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


async def test_ddl_passes_in_order_under_load_over_two_nodes(server_pair: ServerPair) -> None:
    workload = Workload(server_pair.source.root, seed=21, rate=200)
    await in_thread(workload.create_tables)
    changefeed = Changefeed(server_pair, "shop.*")
    await in_thread(changefeed.copy_tables)
    async with nodes("a", "b") as (first, second):
        away = ["shop.audit", "shop.stock"]
        await changefeed.bootstrap(first)
        await changefeed.bootstrap(second)
        await changefeed.schedule(first, [key for key in changefeed.keys if key not in away])
        await changefeed.schedule(second, away)
        await changefeed.wait_running(first)
        await changefeed.wait_running(second)
        async with maintained(changefeed, [first, second]) as maintains:
            with workload:
                await asyncio.sleep(0.2)
                await in_thread(
                    execute,
                    server_pair,
                    "ALTER TABLE shop.audit COMMENT = 'kept for a year'",
                    "CREATE TABLE shop.extra (id INT PRIMARY KEY, name VARCHAR(20))",
                    "INSERT INTO shop.extra VALUES (1, 'one')",
                    "CREATE TABLE shop.gone (id INT)",
                    "INSERT INTO shop.gone VALUES (1)",
                    "TRUNCATE TABLE shop.extra",
                    "INSERT INTO shop.extra VALUES (2, 'two'), (3, 'three')",
                    "DROP TABLE shop.gone",
                    "RENAME TABLE shop.extra TO shop.renamed",
                    "INSERT INTO shop.renamed VALUES (4, 'four')",
                )
            found = await in_thread(
                wait_until_equal, server_pair.source.root, server_pair.sink.root, "shop", seconds=30
            )
            assert found.equal, found
            assert {table.table for table in found.tables} >= {"shop.renamed"}
            assert len(set(maintains.written)) == 4, "nobody waits for a CREATE TABLE: it is executed at once"


async def test_a_decision_about_another_ddl_is_ignored(server_pair: ServerPair) -> None:
    workload = Workload(server_pair.source.root, seed=22)
    await in_thread(workload.create_tables)
    changefeed = Changefeed(server_pair, "shop.*")
    await in_thread(changefeed.copy_tables)
    async with nodes("a") as (node,):
        await changefeed.run(node)
        await in_thread(execute, server_pair, "ALTER TABLE shop.audit COMMENT = 'kept for a year'")
        statuses = await changefeed.wait(node, lambda found: found["shop.audit"].state == pb.BLOCKED)
        assert statuses["*"].state == pb.BLOCKED
        assert statuses["shop.stock"].state == pb.RUNNING
        ddl = statuses["*"].blocked
        other = pb.Ddl()
        other.CopyFrom(ddl)
        other.gtid = ddl.gtid[:-1] + str((int(ddl.gtid[-1]) + 1) % 10)
        await changefeed.barrier(node, other, dispatch_pb2.WRITE, ["*"])
        await changefeed.barrier(node, other, dispatch_pb2.PASS, ["shop.audit"])
        still = await changefeed.wait(node, lambda found: True)
        assert still["*"].state == still["shop.audit"].state == pb.BLOCKED
        changefeed.epoch, changefeed.owner = 2, "successor"  # what a successor finds, it decides alike
        answer = await changefeed.bootstrap(node)
        assert {one.state for one in answer.dispatchers if one.dispatcher == "*"} == {pb.BLOCKED}
        await in_thread(changefeed.raise_fence)
        async with maintained(changefeed, [node]):
            await changefeed.wait_running(node)
            await in_thread(workload.write, 50)
            found = await in_thread(
                wait_until_equal, server_pair.source.root, server_pair.sink.root, "shop", seconds=20
            )
            assert found.equal, found


async def test_a_blocked_stream_can_be_closed(server_pair: ServerPair) -> None:
    workload = Workload(server_pair.source.root, seed=23)
    await in_thread(workload.create_tables)
    changefeed = Changefeed(server_pair, "shop.*")
    await in_thread(changefeed.copy_tables)
    async with nodes("a") as (node,):
        await changefeed.run(node)
        await in_thread(execute, server_pair, "DROP TABLE shop.audit")
        await changefeed.wait(node, lambda found: found["*"].state == pb.BLOCKED)
        async with asyncio.timeout(5):
            assert not (await changefeed.close(node)).HasField("rejection")


@pytest.mark.parametrize("by_gtid", [True, False])
async def test_create_table_select_over_takeovers(server_pair: ServerPair, by_gtid: bool) -> None:
    """One transaction of DDL and rows: the table is created once and its rows arrive once, whoever dies meanwhile."""
    await in_thread(
        execute,
        server_pair,
        "CREATE DATABASE shop",
        "CREATE TABLE shop.a (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(100))",
        "CREATE TABLE shop.kept (v INT)",
    )
    changefeed = Changefeed(server_pair, "shop.*")
    changefeed.tables = await in_thread(changefeed._copy)
    start = changefeed.position()
    await in_thread(changefeed.prepare, changefeed.keys, start if by_gtid else replace(start, gtid_set=""))
    insert = "INSERT INTO shop.a (v) SELECT 'x' FROM information_schema.columns LIMIT 700"
    await in_thread(
        execute,
        server_pair,
        insert,
        "INSERT INTO shop.kept VALUES (1)",
        "CREATE TABLE shop.copy SELECT id, v FROM shop.a",
        "INSERT INTO shop.copy VALUES (0, 'later')",
        "CREATE TABLE shop.keyed (id INT PRIMARY KEY) SELECT id FROM shop.a",
        "CREATE TABLE shop.empty SELECT id FROM shop.a WHERE id < 0",
        "INSERT INTO shop.kept VALUES (2)",
        "UPDATE shop.copy SET v = 'y' WHERE id < 10",
    )
    if server_pair.flavour == "mariadb":
        await in_thread(execute, server_pair, "CREATE OR REPLACE TABLE shop.kept SELECT id, v FROM shop.copy")
    choice = random.Random(9)
    for number in range(8):
        async with nodes(f"n{number}") as (node,):
            rows = await in_thread(changefeed.progress)
            await changefeed.bootstrap(node)
            await changefeed.schedule(node, rows)
            async with maintained(changefeed, [node]):
                if number < 7:
                    await asyncio.sleep(choice.uniform(0.05, 0.4))  # anywhere in its work
                    node.service.local_fence()
                else:
                    found = await in_thread(
                        wait_until_equal, server_pair.source.root, server_pair.sink.root, "shop", seconds=20
                    )
                    assert found.equal, found
        changefeed.epoch += 1
        await in_thread(changefeed.raise_fence)
    with server_pair.sink.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM shop.copy")
        assert cursor.fetchone() == (701,)
