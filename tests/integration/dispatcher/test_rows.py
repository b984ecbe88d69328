"""Rows from a source to a sink through the Dispatch service, on real servers."""

from __future__ import annotations

from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.servers import ServerPair
from hedgerow.sandbox.workload import Workload
from tests.integration.dispatcher.harness import Changefeed, in_thread, nodes


async def test_rows_of_every_kind_of_table_arrive(server_pair: ServerPair) -> None:
    workload = Workload(server_pair.source.root, seed=1)
    await in_thread(workload.create_tables)
    changefeed = Changefeed(server_pair, "shop.*")
    await in_thread(changefeed.copy_tables)
    await in_thread(workload.write, 200)
    async with nodes("a") as (node,):
        await changefeed.run(node)
        await in_thread(workload.write, 300)
        found = await in_thread(wait_until_equal, server_pair.source.root, server_pair.sink.root, "shop", seconds=20)
        assert found.equal, str(found)
        assert node.service.dispatcher_count() == len(changefeed.keys)
        statuses = await changefeed.wait(node, lambda found: found["shop.customers"].transactions > 0)
        assert statuses["shop.customers"].rows_events > 0
        answer = await changefeed.close(node)
        assert not answer.HasField("rejection")
