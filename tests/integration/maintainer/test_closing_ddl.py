"""A stop is confirmed when the sink executes no DDL of the changefeed, and says what it waits for until then."""

from __future__ import annotations

import pytest

from hedgerow.common.ledger.ddllock import lock_name
from hedgerow.common.ledger.sessions import this_session
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from tests.integration.maintainer.conftest import Bench

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("forget", [False, True])
async def test_a_stop_waits_for_the_ddl_lock(bench: Bench, forget: bool) -> None:
    bench.create_tables("a")
    await bench.add(1)
    await bench.phase(mpb.MAINTAINING, 1)
    await bench.eventually(lambda: bench.cluster.where().keys() >= {"shop.a", "*"})
    with bench.pair.sink.connect() as executor, executor.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(%s, 1)", (lock_name(bench.spec.uid),))
        assert (await bench.remove(2, forget=forget)).rejection.closed == 0
        waiting = await bench.report(lambda s: s.phase == mpb.CLOSING and s.HasField("error"))
        assert waiting.error.code == "SinkUnavailable"
        assert "still executes a DDL statement" in waiting.error.message
        assert f"session {this_session(executor).id}" in waiting.error.message
        assert bench.fence() == 2
        assert bench.progress()  # nothing is deleted before the stop
    await bench.phase(mpb.CLOSED, 2)
    assert bool(bench.progress()) != forget
