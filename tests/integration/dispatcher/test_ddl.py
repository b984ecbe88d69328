"""DDL through the stream: blocked, written once, passed; the product's maintainer decides."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from hedgerow.common.metrics import REJECTIONS
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.servers import ServerPair
from hedgerow.sandbox.workload import Workload
from tests.integration.dispatcher.harness import Changefeed, in_thread, nodes
from tests.integration.dispatcher.maintained import maintained


def execute(pair: ServerPair, *statements: str) -> None:
    with pair.source.connect() as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def refused_by_the_sink() -> float:
    samples = (sample for metric in REJECTIONS.labels("sink", "stale").collect() for sample in metric.samples)
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))


async def test_ddl_passes_in_order_under_load_over_two_nodes(server_pair: ServerPair) -> None:
    workload = Workload(server_pair.source.root, seed=21, rate=200)
    await in_thread(workload.create_tables)
    changefeed = Changefeed(server_pair, "shop.*")
    await in_thread(changefeed.copy_tables)
    async with nodes("a", "b") as both, maintained(changefeed, both) as maintainer:
        report = await maintainer.wait_running()
        home = {status.dispatcher: status.node for status in report.dispatchers}
        assert home["shop.audit"] != home["*"], "one of the DDL concerns both nodes"
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
        found = await in_thread(wait_until_equal, server_pair.source.root, server_pair.sink.root, "shop", seconds=60)
        assert found.equal, str(found)
        assert {table.table for table in found.tables} >= {"shop.renamed"}
        assert len(maintainer.written) == 4, "nobody waits for a CREATE TABLE: it is executed at once"


async def test_a_table_that_was_created_just_now_holds_the_ddl_after_it(server_pair: ServerPair) -> None:
    """Also where the decision came from who did not know of it yet: what is before the DDL is applied before it."""
    changefeed = Changefeed(server_pair, "shop.*")
    await in_thread(execute, server_pair, "CREATE DATABASE shop", "CREATE TABLE shop.a (id INT PRIMARY KEY)")
    await in_thread(changefeed.copy_tables)
    async with nodes("a") as (node,):
        await changefeed.run(node)
        await in_thread(
            execute,
            server_pair,
            "CREATE TABLE shop.extra (id INT PRIMARY KEY)",
            "INSERT INTO shop.extra VALUES (1)",
            "TRUNCATE TABLE shop.extra",
            "INSERT INTO shop.extra VALUES (2)",
        )
        statuses = await changefeed.wait(node, lambda found: found["*"].state == pb.BLOCKED)
        assert statuses.keys() == {"*", "shop.a"}
        before = refused_by_the_sink()
        await changefeed.barrier(node, statuses["*"].blocked, dispatch_pb2.WRITE, ["*"], flushed={})
        assert await in_thread(wait_until, lambda: refused_by_the_sink() > before, 20.0)
        assert (await changefeed.wait(node, lambda found: True))["*"].state == pb.BLOCKED
        async with maintained(changefeed, [node]):
            found = await in_thread(
                wait_until_equal, server_pair.source.root, server_pair.sink.root, "shop", seconds=30
            )
            assert found.equal, str(found)


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
        await changefeed.barrier(node, other, dispatch_pb2.WRITE, ["*"], flushed={"shop.audit": 1})
        await changefeed.barrier(node, other, dispatch_pb2.PASS, ["shop.audit"])
        await asyncio.sleep(0.3)  # nothing may happen: give it the time to go wrong
        still = await changefeed.wait(node, lambda found: True)
        assert still["*"].state == still["shop.audit"].state == pb.BLOCKED
        changefeed.epoch, changefeed.owner = 2, "successor"  # what a successor finds, it decides alike
        answer = await changefeed.bootstrap(node)
        assert {one.state for one in answer.dispatchers if one.dispatcher == "*"} == {pb.BLOCKED}
        async with maintained(changefeed, [node]) as maintainer:
            await maintainer.wait_running()
            await in_thread(workload.write, 50)
            found = await in_thread(
                wait_until_equal, server_pair.source.root, server_pair.sink.root, "shop", seconds=30
            )
            assert found.equal, str(found)


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
        async with nodes(f"n{number}") as (node,), maintained(changefeed, [node]) as maintainer:
            if number < 7:
                await maintainer.wait(lambda report: bool(report.dispatchers))
                await asyncio.sleep(choice.uniform(0.05, 0.4))  # anywhere in its work
                node.service.local_fence()
            else:
                found = await in_thread(
                    wait_until_equal, server_pair.source.root, server_pair.sink.root, "shop", seconds=30
                )
                assert found.equal, str(found)
    with server_pair.sink.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM shop.copy")
        assert cursor.fetchone() == (701,)
