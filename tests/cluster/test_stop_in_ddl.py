"""Pause and remove return when the sink executes no DDL of the changefeed: nothing of it becomes visible afterwards."""

from __future__ import annotations

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.servers import Server
from tests.cluster.conftest import StartCluster, query
from tests.integration.dispatcher.sink.harness import run

pytestmark = pytest.mark.timeout(180)

_RUNNING = "SELECT id FROM information_schema.processlist WHERE info LIKE 'ALTER TABLE%%'"


def test_a_stopped_changefeed_executes_no_ddl(flavour: Flavour, start_cluster: StartCluster) -> None:
    cluster = start_cluster(flavour, 2)
    source, sink = cluster.pair.source, cluster.pair.sink
    for server in (source, sink):
        run(server.connect(), "CREATE DATABASE shop", "CREATE TABLE shop.t (id INT)")
    cluster.create("shop", "--filter", "shop.*", start="now")
    run(source.connect(), "INSERT INTO shop.t VALUES (1)")
    assert wait_until(lambda: query(sink, "SELECT id FROM shop.t") == ((1,),), 30.0)

    with sink.connect(autocommit=False) as holder, holder.cursor() as cursor:
        _an_alter_waits_in_the_sink(cluster, "c", cursor)
        assert cluster.command("changefeed", "pause", "shop")["state"] == "stopped"
        assert not query(sink, _RUNNING)
        holder.rollback()
    assert not _has(sink, "c")
    cluster.command("changefeed", "resume", "shop")
    assert wait_until(lambda: _has(sink, "c"), 30.0)

    with sink.connect(autocommit=False) as holder, holder.cursor() as cursor:
        _an_alter_waits_in_the_sink(cluster, "d", cursor)
        cluster.command("changefeed", "remove", "shop", "--yes")
        assert not query(sink, _RUNNING)
        holder.rollback()
    assert not _has(sink, "d")


def _an_alter_waits_in_the_sink(cluster: Cluster, column: str, holder: object) -> None:
    holder.execute("SELECT * FROM shop.t")  # type: ignore[attr-defined]
    run(cluster.pair.source.connect(), f"ALTER TABLE shop.t ADD {column} INT")
    assert wait_until(lambda: bool(query(cluster.pair.sink, _RUNNING)), 30.0)


def _has(sink: Server, column: str) -> bool:
    statement = "SELECT 1 FROM information_schema.columns WHERE table_name = 't' AND column_name = %s"
    return bool(query(sink, statement, column))
