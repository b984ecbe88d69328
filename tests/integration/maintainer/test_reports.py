"""A report that is gone before the coordinator saw it is made again when the coordinator asks again."""

from __future__ import annotations

import pytest

from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.maintainer import registry
from tests.integration.maintainer.conftest import Bench

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def _one_report_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "REPORTS_KEPT", 1)


async def end_another(bench: Bench) -> None:
    """Its report drops the one before."""
    other = bench.new_spec()
    bench.cluster.dispatch["n1"].closed = None  # the fake node knows one changefeed only
    await bench.remove(9, spec=other)
    await bench.phase(mpb.CLOSED, 9, uid=other.uid)
    status = await bench.stub.Status(mpb.StatusRequest(term=1), timeout=5)
    assert [report.stamp.uid for report in status.maintainers] == [other.uid]
    bench.cluster.dispatch["n1"].closed = None


async def test_a_confirmed_close_is_confirmed_again(bench: Bench) -> None:
    await bench.remove(1)
    await bench.phase(mpb.CLOSED, 1)
    await end_another(bench)
    assert not (await bench.remove(1)).HasField("rejection")
    await bench.phase(mpb.CLOSED, 1)


async def test_a_maintainer_that_has_ended_is_started_again(bench: Bench) -> None:
    source, bench.spec.source = bench.spec.source, "mysql://nobody@127.0.0.1:1"
    await bench.add(1)
    await bench.phase(mpb.ERRED, 1)
    await end_another(bench)
    bench.spec.source = source
    await bench.add(1)
    await bench.phase(mpb.MAINTAINING, 1)
