"""Another source or sink for a changefeed that has begun: only while it is stopped, and only where its progress is."""

from __future__ import annotations

import pytest

from hedgerow.common.ledger.ownership import raise_fence
from hedgerow.common.ledger.progress import insert_progress
from hedgerow.common.ledger.schema import ensure_schema
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import admin_pb2 as apb
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.sandbox.servers import ServerPair
from tests.integration.coordinator.conftest import StartNode
from tests.integration.coordinator.nodes import START, creation, eventually, named
from tests.integration.coordinator.test_coordinator import failure


@pytest.fixture(scope="session")
def flavour() -> Flavour:
    """The SQL is common/ledger's, which is tested on each."""
    return "mariadb"


async def test_servers_change_only_while_stopped_and_only_to_a_sink_with_the_progress(
    start_node: StartNode, server_pair: ServerPair
) -> None:
    a = await start_node("a")
    uid = (await a.admin.CreateChangefeed(creation(), timeout=10)).spec.uid
    term = await eventually(lambda: a.coordinator.term)
    a.host.statuses[uid].checkpoint.CopyFrom(START.write())
    a.host.report(uid, mpb.MAINTAINING)
    await eventually(lambda: term.table.changefeeds["shop"].begun)
    for moved in (
        apb.UpdateChangefeedRequest(name="shop", source="mysql://u@elsewhere/"),
        apb.UpdateChangefeedRequest(name="shop", sink=server_pair.sink_uri),
    ):
        refused = await failure(a.admin.Update(moved, timeout=10))
        assert refused.code == "IllegalTransition"
        assert "Pause it" in str(refused)

    a.host.closes = False
    await failure(a.admin.Pause(named(), timeout=1.0))
    update = apb.UpdateChangefeedRequest(name="shop", sink=server_pair.sink_uri)
    assert "is still stopping" in str(await failure(a.admin.Update(update, timeout=10)))
    a.host.report(uid, mpb.CLOSED)
    await a.admin.Pause(named(), timeout=10)

    former = (await a.admin.Get(named(), timeout=5)).spec.sink
    for has_schema in (False, True):
        refused = await failure(a.admin.Update(update, timeout=10))
        assert refused.code == "BadInput"
        assert "has no progress of changefeed shop" in str(refused)
        assert "Create a new changefeed" in str(refused)
        assert (await a.admin.Get(named(), timeout=5)).spec.sink == former
        with server_pair.sink.connect() as connection:
            if has_schema:
                raise_fence(connection, uid, 1, "a")
                insert_progress(connection, uid, 1, ["*"], START)
            else:
                ensure_schema(connection)
    updated = await a.admin.Update(update, timeout=10)
    assert (updated.spec.sink, updated.status.state) == (server_pair.sink_uri, pb.STOPPED)


async def test_a_changefeed_that_never_began_may_get_another_sink(
    start_node: StartNode, server_pair: ServerPair
) -> None:
    a = await start_node("a")
    await a.admin.CreateChangefeed(creation(), timeout=10)
    await a.admin.Pause(named(), timeout=10)
    updated = await a.admin.Update(apb.UpdateChangefeedRequest(name="shop", sink=server_pair.sink_uri), timeout=10)
    assert updated.spec.sink == server_pair.sink_uri
