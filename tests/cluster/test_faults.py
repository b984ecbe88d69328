"""Kill anything under load, and compare the two databases."""

from __future__ import annotations

from collections.abc import Callable

import pymysql
import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.workload import SCHEMA, Workload
from tests.cluster.conftest import StartCluster, query

pytestmark = pytest.mark.timeout(240)


def _kill_owner(cluster: Cluster) -> None:
    cluster.owner("shop").process.kill()


def _kill_coordinator(cluster: Cluster) -> None:
    cluster.coordinator().process.kill()


def _kill_neither(cluster: Cluster) -> None:
    """A node that only hosts dispatchers, where owner and coordinator leave one."""
    spared = {cluster.owner("shop").name, cluster.coordinator().name}
    next(node for node in cluster.nodes if node.name not in spared).process.kill()


def _kill_etcd_leader(cluster: Cluster) -> None:
    cluster.etcd.kill(cluster.etcd.leader())


def _restart_source(cluster: Cluster) -> None:
    cluster.pair.source.restart()


def _crash_source(cluster: Cluster) -> None:
    cluster.pair.source.kill()
    cluster.pair.source.start()


def _restart_sink(cluster: Cluster) -> None:
    cluster.pair.sink.restart()


def _crash_sink(cluster: Cluster) -> None:
    cluster.pair.sink.kill()
    cluster.pair.sink.start()


FAULTS = (_kill_owner, _kill_coordinator, _kill_neither, _kill_etcd_leader, _restart_source, _restart_sink, _crash_sink)


def test_whatever_is_killed_nothing_is_lost_or_doubled(flavour: Flavour, start_cluster: StartCluster) -> None:
    """One after the other on one cluster, so that each meets what the one before has left."""
    cluster = start_cluster(flavour, etcd_members=3)
    workload = Workload(cluster.pair.source.root, rate=150, seed=3)
    workload.create_tables()
    cluster.create("shop", "--filter", f"{SCHEMA}.*")
    cluster.wait_for("shop", state="normal")
    workload.start()
    assert wait_until(lambda: _orders(cluster) > 0, 30.0, 0.1)
    for fault in FAULTS:
        _continues_after(cluster, fault)
    workload.stop()
    comparison = wait_until_equal(cluster.pair.source.root, cluster.pair.sink.root, SCHEMA, seconds=40)
    assert comparison.equal, str(comparison)
    assert workload.transactions > 500


def _continues_after(cluster: Cluster, fault: Callable[[Cluster], None]) -> None:
    fault(cluster)
    applied = _orders(cluster)
    assert wait_until(lambda: _orders(cluster) > applied + 20, 60.0, 0.2), f"{fault.__name__}: it has stopped"
    cluster.wait_for("shop", seconds=30, state="normal")
    for node in cluster.nodes:
        if not node.process.running:
            node.start()
    for number, member in enumerate(cluster.etcd.members):
        if not member.running:
            cluster.etcd.restart(number)


def _orders(cluster: Cluster) -> int:
    """The latest order that has arrived: it only grows. 0 while the table is not there yet."""
    try:
        return int(query(cluster.pair.sink, f"SELECT COALESCE(MAX(id), 0) FROM {SCHEMA}.orders")[0][0])
    except (pymysql.err.ProgrammingError, pymysql.err.OperationalError) as error:
        if error.args[0] not in (1049, 1146):  # no such database, no such table
            raise
        return 0
