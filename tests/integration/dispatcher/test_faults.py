"""Servers that restart under load, large transactions, row images and compression."""

from __future__ import annotations

import asyncio

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.servers import Option
from hedgerow.sandbox.workload import Workload
from tests.conftest import StartPair
from tests.integration.dispatcher.harness import Changefeed, in_thread, nodes

COMPRESSION: dict[str, dict[str, Option]] = {
    "mariadb": {"log_bin_compress": True, "log_bin_compress_min_len": 10},
    "mysql": {"binlog_transaction_compression": True},
}


async def test_restarts_of_source_and_sink_under_load(flavour: Flavour, start_pair: StartPair) -> None:
    pair = await in_thread(start_pair, flavour)
    workload = Workload(pair.source.root, seed=11, rate=300)
    await in_thread(workload.create_tables)
    changefeed = Changefeed(pair, "shop.*")
    await in_thread(changefeed.copy_tables)
    async with nodes("a") as (node,):
        await changefeed.run(node)
        with workload:
            await asyncio.sleep(0.3)
            await in_thread(pair.source.kill)
            await changefeed.wait(node, lambda found: found["*"].state == pb.RETRYING)
            await in_thread(pair.source.start)
            await changefeed.wait_running(node)
            await in_thread(pair.sink.kill)
            await changefeed.wait(node, lambda found: found["*"].state == pb.RETRYING)
            await in_thread(pair.sink.start)
            await changefeed.wait_running(node)
        found = await in_thread(wait_until_equal, pair.source.root, pair.sink.root, "shop", seconds=30)
        assert found.equal, str(found)


@pytest.mark.parametrize("compressed", [False, True])
async def test_minimal_row_images_and_compressed_binlogs(
    flavour: Flavour, start_pair: StartPair, compressed: bool
) -> None:
    options: dict[str, Option] = {"binlog_row_image": "MINIMAL", **(COMPRESSION[flavour] if compressed else {})}
    pair = await in_thread(start_pair, flavour, options)
    workload = Workload(pair.source.root, seed=12)
    await in_thread(workload.create_tables)
    changefeed = Changefeed(pair, "shop.*")
    await in_thread(changefeed.copy_tables)
    async with nodes("a") as (node,):
        await changefeed.run(node)
        await in_thread(workload.write, 400)
        found = await in_thread(wait_until_equal, pair.source.root, pair.sink.root, "shop", seconds=20)
        assert found.equal, str(found)


async def test_a_transaction_larger_than_a_batch_is_atomic(flavour: Flavour, start_pair: StartPair) -> None:
    pair = await in_thread(start_pair, flavour)
    with pair.source.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE shop")
        cursor.execute("CREATE TABLE shop.large (id INT PRIMARY KEY, text VARCHAR(2000))")
        cursor.execute("CREATE TABLE shop.small (id INT PRIMARY KEY)")
    changefeed = Changefeed(pair, "shop.*", batch_bytes=100_000, lanes=2)
    await in_thread(changefeed.copy_tables)
    async with nodes("a") as (node,):
        await changefeed.run(node, lanes={"shop.small": 1})
        with pair.source.connect(autocommit=False) as connection, connection.cursor() as cursor:
            for step in range(30):
                cursor.executemany(
                    "INSERT INTO shop.large VALUES (%s, %s)", [(step * 50 + row, "x" * 1000) for row in range(50)]
                )
            cursor.execute("INSERT INTO shop.small VALUES (1)")
            connection.commit()
            cursor.execute("INSERT INTO shop.small VALUES (2)")
            connection.commit()
        found = await in_thread(wait_until_equal, pair.source.root, pair.sink.root, "shop", seconds=20)
        assert found.equal, str(found)
        statuses = await changefeed.wait(node, lambda found: found["shop.large"].transactions == 1)
        assert statuses["shop.large"].rows_events >= 15
