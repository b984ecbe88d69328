"""An owner that another one has overtaken does nothing to the sessions of its successor's dispatchers."""

from __future__ import annotations

from contextlib import closing

import pytest
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from hedgerow.common.epoch import Stamp
from hedgerow.common.errors import Fenced
from hedgerow.common.ledger.progress import claim_dispatchers
from hedgerow.common.mysql.connect import connect
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.maintainer.store import SinkStore
from tests.integration.maintainer.conftest import Bench

pytestmark = pytest.mark.timeout(60)


async def begun(bench: Bench) -> None:
    bench.create_tables("a")
    await bench.add(1)
    await bench.phase(mpb.MAINTAINING, 1)
    await bench.eventually(lambda: bench.cluster.where().keys() >= {"shop.a", "*"})


def working(bench: Bench, epoch: int) -> Connection[Cursor]:
    """A lane that has claimed shop.a at `epoch`."""
    connection = connect(ServerUri.parse(bench.pair.sink_uri), "sink")
    claim_dispatchers(connection, bench.spec.uid, epoch, {"shop.a": 2})
    return connection


async def test_a_late_takeover_ends_no_session_of_the_successor(bench: Bench) -> None:
    await begun(bench)
    bench.raise_fence(9)
    with closing(working(bench, 9)) as lane:
        await bench.add(2)
        assert (await bench.phase(mpb.SUPERSEDED, 2)).error.code == "Fenced"
        lane.ping(reconnect=False)


async def test_a_late_loss_of_a_node_ends_no_session_of_the_successor(bench: Bench) -> None:
    await begun(bench)
    stale = SinkStore(bench.spec, Stamp(bench.spec.uid, 1, "n1"))
    bench.raise_fence(9)
    with closing(working(bench, 9)) as lane:
        with pytest.raises(Fenced):
            await stale.end_sessions({("shop.a", 2)})
        lane.ping(reconnect=False)


async def test_an_owner_that_learns_it_is_fenced_when_a_node_is_lost_stops_itself(bench: Bench) -> None:
    await bench.cluster.join("n2")
    bench.create_tables("b", "c")
    await begun(bench)
    bench.raise_fence(9)
    assert "n2" in bench.cluster.where().values()
    bench.cluster.hide("n2")
    assert (await bench.phase(mpb.SUPERSEDED, 1)).error.code == "Fenced"
