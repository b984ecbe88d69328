"""A sink that has lost what it knew of a changefeed is a failure that says so, and never a fresh start."""

from __future__ import annotations

import pytest

from common.pb.v1 import maintainer_pb2 as mpb
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
