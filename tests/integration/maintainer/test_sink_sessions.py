"""Whose sessions in the sink an owner ends, and whose it leaves alone."""

from __future__ import annotations

import time
from contextlib import closing

import pymysql
import pytest
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from hedgerow.common.ledger.fence import check_fence
from hedgerow.common.ledger.progress import claim_dispatchers
from hedgerow.common.ledger.sessions import this_session
from hedgerow.common.mysql.connect import connect
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from tests.integration.maintainer.conftest import Bench
from tests.integration.maintainer.steps import started

pytestmark = pytest.mark.timeout(60)


def writer(bench: Bench, generation: int) -> Connection[Cursor]:
    """A lane's session, that has claimed shop.a and then stands still in the middle of a transaction."""
    connection = connect(ServerUri.parse(bench.pair.sink_uri), "sink")
    claim_dispatchers(connection, bench.spec.uid, 1, {"shop.a": generation})
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        check_fence(cursor, bench.spec.uid, 1)
    return connection


async def test_a_takeover_does_not_wait_for_a_frozen_writer_that_no_node_answers_for(bench: Bench) -> None:
    await started(bench, ["a"], [])
    with closing(writer(bench, generation=2)) as frozen:  # the node answers for generation 1
        before = time.monotonic()
        await bench.add(2)
        await bench.phase(mpb.MAINTAINING, 2)
        assert time.monotonic() - before < 0.8, "a lock wait lasts a second"
        with pytest.raises(pymysql.MySQLError):
            frozen.query("COMMIT")


async def test_a_takeover_leaves_the_sessions_of_nodes_that_answer_alone(bench: Bench) -> None:
    await started(bench, ["a"], [])
    with closing(writer(bench, generation=1)) as working:
        working.query("COMMIT")
        await bench.add(2)
        await bench.phase(mpb.MAINTAINING, 2)
        working.ping(reconnect=False)


async def test_the_sessions_of_a_node_that_is_lost_are_ended(bench: Bench) -> None:
    await bench.cluster.join("n2")
    await started(bench, ["a", "b"], [])
    (lost,) = [key for key, node in bench.cluster.where().items() if node == "n2" and key != "*"]
    with closing(connect(ServerUri.parse(bench.pair.sink_uri), "sink")) as frozen:
        claim_dispatchers(frozen, bench.spec.uid, 1, {lost: 1})
        frozen_id = this_session(frozen).id
        await bench.cluster.kill("n2")
        await bench.eventually(lambda: lost in bench.cluster.dispatch["n1"].statuses)
        query = f"SELECT 1 FROM information_schema.processlist WHERE id = {frozen_id}"
        await bench.eventually(lambda: not bench.sink(query))
