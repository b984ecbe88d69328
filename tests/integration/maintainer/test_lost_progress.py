"""A sink that has lost what it knew of a changefeed is a failure that says so, and never a fresh start."""

from __future__ import annotations

import pytest

from hedgerow.common.epoch import Stamp
from hedgerow.common.errors import SinkRefused
from hedgerow.common.ledger import ddl as sinkjournal
from hedgerow.common.ledger.sessions import this_session, transaction
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.maintainer.store import SinkStore
from tests.integration.maintainer.conftest import START, Bench

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("loss", ["DROP SCHEMA hedgerow", "DELETE FROM hedgerow.progress"])
async def test_a_changefeed_that_has_begun_does_not_begin_again_on_a_sink_without_its_progress(
    bench: Bench, loss: str
) -> None:
    bench.create_tables("a")
    await bench.add(1)
    report = await bench.phase(mpb.MAINTAINING, 1)
    assert report.HasField("checkpoint"), "the coordinator tells from it that the changefeed has begun"
    await bench.add(2, begun=True)
    await bench.phase(mpb.MAINTAINING, 2)
    bench.sink(loss)
    await bench.add(3, begun=True)
    status = await bench.phase(mpb.ERRED, 3)
    assert (status.error.code, status.error.retriable) == ("SinkRefused", False)
    for told in (
        f"changefeed feed (uid {bench.spec.uid})",
        "schema hedgerow of sink 127.0.0.1:",
        "Nothing was applied",
    ):
        assert told in status.error.message
    assert bench.progress() == {}
    assert bench.fence() == 3, "whoever wrote before is fenced all the same"


async def test_a_close_before_the_beginning_has_no_checkpoint_and_leaves_the_beginning_possible(bench: Bench) -> None:
    bench.create_tables("a")
    await bench.remove(1)
    closed = await bench.phase(mpb.CLOSED, 1)
    assert not closed.HasField("checkpoint")
    await bench.add(2)
    await bench.phase(mpb.MAINTAINING, 2)
    assert bench.progress() == {"shop.a": START, "*": START}


async def test_a_table_whose_row_was_deleted_is_named_and_does_not_begin_at_a_later_position(bench: Bench) -> None:
    bench.create_tables("a", "b")
    await bench.add(1)
    await bench.phase(mpb.MAINTAINING, 1)
    bench.sink("DELETE FROM hedgerow.progress WHERE dispatcher = 'shop.a'")
    bench.spec.former_filters.add(rules=["shop.*", "!shop.b"])  # b could be new, a is not
    await bench.add(2, begun=True)
    status = await bench.phase(mpb.ERRED, 2)
    assert (status.error.code, status.error.retriable) == ("SinkRefused", False)
    assert "no progress rows of shop.a, which changefeed feed" in status.error.message
    assert bench.progress() == {"shop.b": START, "*": START}


async def test_a_table_of_a_ddl_that_is_under_way_has_lost_nothing(bench: Bench) -> None:
    bench.create_tables("a")
    await bench.add(1)
    await bench.phase(mpb.MAINTAINING, 1)
    with bench.pair.sink.connect() as connection, transaction(connection) as cursor:
        session = this_session(connection)
        sinkjournal.write_started(cursor, bench.spec.uid, "0-1-11", "CREATE TABLE shop.c (id INT)", "", 1, session)
    bench.create_tables("c")  # executed, and its row comes with its end
    store = SinkStore(bench.spec, Stamp(bench.spec.uid, 1, "n1"))
    await store.check_rows()
    assert bench.progress() == {"shop.a": START, "*": START}
    bench.sink("DELETE FROM hedgerow.ddl")
    with pytest.raises(SinkRefused, match=r"no progress rows of shop\.c,"):
        await store.check_rows()
