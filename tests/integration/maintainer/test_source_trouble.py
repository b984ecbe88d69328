"""What the source refuses or does not answer is told as the source's, and does not hold what is replicated already."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from hedgerow.common.errors import HedgerowError, SinkRefused, SourceUnavailable
from hedgerow.common.mysql.connect import What
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.maintainer import store
from hedgerow.sandbox.proxy import FaultProxy
from tests.integration.maintainer.conftest import Bench

pytestmark = pytest.mark.timeout(60)


async def test_that_the_filter_could_not_be_checked_is_shown_until_it_could(
    bench: Bench, fault_proxy: Callable[[int], FaultProxy]
) -> None:
    bench.create_tables("a")
    proxy = fault_proxy(bench.pair.source.port)
    bench.spec.source = bench.spec.source.replace(str(bench.pair.source.port), proxy.address.rpartition(":")[2])
    await bench.add(1)
    await bench.phase(mpb.MAINTAINING, 1)
    proxy.cut()
    await bench.add(2)
    shown = await bench.report(lambda s: s.stamp.epoch == 2 and s.HasField("error"))
    assert (shown.phase, shown.error.code, shown.error.retriable) == (mpb.MAINTAINING, "SourceUnavailable", True)
    proxy.resume()
    await bench.report(lambda s: s.stamp.epoch == 2 and s.phase == mpb.MAINTAINING and not s.HasField("error"))


@pytest.mark.parametrize(
    ("what", "kind", "fix"),
    [
        ("source", SourceUnavailable, "GRANT SELECT ON *.* TO poor in the source"),
        ("sink", SinkRefused, "ON hedgerow.* TO poor in the sink"),
    ],
)
async def test_a_missing_grant_is_told_with_the_fix_of_its_server(
    bench: Bench, what: What, kind: type[HedgerowError], fix: str
) -> None:
    run, server = (bench.source, bench.pair.source) if what == "source" else (bench.sink, bench.pair.sink)
    run("CREATE USER poor@'%'")
    run("CREATE USER poor@localhost")

    def ask(connection: Connection[Cursor]) -> None:
        connection.query("SELECT * FROM mysql.user")

    try:
        with pytest.raises(kind) as caught:
            store._with(what, ServerUri.parse(f"mysql://poor@127.0.0.1:{server.port}/"), ask)
    finally:
        run("DROP USER poor@'%', poor@localhost")
    assert str(caught.value).startswith(f"{what} 127.0.0.1:{server.port} refuses a statement of poor (1142: ")
    assert fix in str(caught.value)
