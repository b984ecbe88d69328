"""Owners of one changefeed on real servers: takeover, fencing, late joiners, moves and closing."""

from __future__ import annotations

import asyncio

from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.servers import ServerPair
from hedgerow.sandbox.workload import Workload
from tests.integration.dispatcher.harness import Changefeed, in_thread, nodes


async def prepared(pair: ServerPair, seed: int, **options: int) -> tuple[Workload, Changefeed]:
    workload = Workload(pair.source.root, seed=seed, rate=300)
    await in_thread(workload.create_tables)
    changefeed = Changefeed(pair, "shop.*", **options)
    await in_thread(changefeed.copy_tables)
    return workload, changefeed


async def assert_equal(pair: ServerPair) -> None:
    found = await in_thread(wait_until_equal, pair.source.root, pair.sink.root, "shop", seconds=20)
    assert found.equal, str(found)


async def test_a_takeover_keeps_writing_at_the_new_epoch(server_pair: ServerPair) -> None:
    workload, changefeed = await prepared(server_pair, 2)
    async with nodes("a") as (node,):
        await changefeed.run(node)
        with workload:
            await asyncio.sleep(0.3)  # the takeover comes under load
            changefeed.epoch, changefeed.owner = 2, "successor"
            answer = await changefeed.bootstrap(node)
            await in_thread(changefeed.raise_fence)
            assert {one.state for one in answer.dispatchers} == {pb.RUNNING}
            assert {one.epoch for one in answer.dispatchers} == {2}
            await asyncio.sleep(0.3)
            statuses = await changefeed.wait(node, lambda found: len(found) == len(changefeed.keys))
            assert {one.state for one in statuses.values()} == {pb.RUNNING}
        await assert_equal(server_pair)
        rows = await in_thread(changefeed.progress)
        assert rows["shop.customers"].epoch == 2


async def test_the_older_of_two_owners_is_fenced_in_the_sink(server_pair: ServerPair) -> None:
    workload, changefeed = await prepared(server_pair, 3)
    async with nodes("old", "new") as (old, new):
        await changefeed.run(old)
        with workload:
            await asyncio.sleep(0.3)
            former_epoch, former_owner = changefeed.epoch, changefeed.owner
            changefeed.epoch, changefeed.owner = 2, "successor"
            await in_thread(changefeed.raise_fence)
            await changefeed.run(new)
            changefeed.epoch, changefeed.owner = former_epoch, former_owner
            statuses = await changefeed.wait(
                old, lambda found: all(one.state == pb.BROKEN for one in found.values()), seconds=20
            )
            assert {one.error.code for one in statuses.values()} == {"Fenced"}
            await asyncio.sleep(0.3)
        await assert_equal(server_pair)


async def test_a_dispatcher_that_joins_at_an_older_position_loses_nothing(server_pair: ServerPair) -> None:
    workload, changefeed = await prepared(server_pair, 4)
    late = ["shop.audit", "shop.orders", "shop.order_lines"]
    async with nodes("a") as (node,):
        await changefeed.bootstrap(node)
        await changefeed.schedule(node, [key for key in changefeed.keys if key not in late])
        await changefeed.wait_running(node)
        with workload:
            await asyncio.sleep(0.5)
            await changefeed.schedule(node, late)
            await asyncio.sleep(0.3)
        await assert_equal(server_pair)


async def test_a_dispatcher_that_leaves_is_where_its_stream_was(server_pair: ServerPair) -> None:
    """Also one that had no rows for long: else whoever takes it over reads again what the others have applied."""
    _, changefeed = await prepared(server_pair, 6)
    async with nodes("a") as (node,):
        await changefeed.run(node)
        with server_pair.source.connect(autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO shop.audit VALUES (NOW(), 'a', 1, 1)")
        await assert_equal(server_pair)
        await changefeed.schedule(node, remove=["shop.stock"])
        await changefeed.wait(node, lambda found: "shop.stock" not in found)
        rows = await in_thread(changefeed.progress)
        assert rows["shop.stock"].position.gtid_set == rows["shop.audit"].position.gtid_set


async def test_a_dispatcher_moves_between_nodes_under_load(server_pair: ServerPair) -> None:
    workload, changefeed = await prepared(server_pair, 5, lanes=3)
    async with nodes("a", "b") as (first, second):
        await changefeed.run(first, lanes={"shop.audit": 1, "shop.sessions": 2})
        await changefeed.bootstrap(second)
        with workload:
            for generation, (origin, target) in enumerate([(first, second), (second, first)], start=2):
                await changefeed.schedule(origin, remove=["shop.audit", "shop.stock"], generation=generation - 1)
                await changefeed.wait(origin, lambda found: "shop.audit" not in found and "shop.stock" not in found)
                await changefeed.schedule(target, ["shop.audit", "shop.stock"], generation=generation)
                await changefeed.wait_running(target)
        await assert_equal(server_pair)


async def test_another_filter_restarts_the_stream_and_an_equal_one_does_not(server_pair: ServerPair) -> None:
    workload, changefeed = await prepared(server_pair, 6)
    async with nodes("a") as (node,):
        await changefeed.run(node)
        changefeed.epoch = 2
        del changefeed.spec.filter[:]
        changefeed.spec.filter.extend(["shop.*", "other.*"])
        answer = await changefeed.bootstrap(node)
        assert not answer.HasField("rejection")
        await changefeed.wait(
            node, lambda found: all(one.state == pb.RUNNING and one.epoch == 2 for one in found.values())
        )
        await in_thread(workload.write, 50)
        await assert_equal(server_pair)


async def test_a_closed_changefeed_writes_nothing_and_rejects_what_comes_late(server_pair: ServerPair) -> None:
    workload, changefeed = await prepared(server_pair, 7)
    async with nodes("a") as (node,):
        await changefeed.run(node)
        assert not (await changefeed.close(node)).HasField("rejection")
        before = await in_thread(changefeed.progress)
        await in_thread(workload.write, 20)
        assert node.service.dispatcher_count() == 0
        assert await in_thread(changefeed.progress) == before
        for answer in (await changefeed.bootstrap(node), await changefeed.schedule(node, changefeed.keys)):
            assert answer.rejection.verdict == pb.STALE
            assert answer.rejection.closed == 1
        assert not (await changefeed.close(node)).HasField("rejection")


async def test_a_node_that_fences_itself_stops_all_lanes(server_pair: ServerPair) -> None:
    workload, changefeed = await prepared(server_pair, 8)
    async with nodes("a", "b") as (first, second):
        await changefeed.run(first)
        with workload:
            await asyncio.sleep(0.2)
            first.service.local_fence()
            changefeed.epoch, changefeed.owner = 2, "successor"
            await in_thread(changefeed.raise_fence)
            await changefeed.run(second)
        await assert_equal(server_pair)
