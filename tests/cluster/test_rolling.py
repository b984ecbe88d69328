"""A rolling update as a StatefulSet does it: every row arrives once. How long it takes is measured elsewhere (`make
rolling`)."""

from __future__ import annotations

import pytest

from bench.rolling import roll
from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.process import wait_until
from tests.cluster.conftest import StartCluster
from tests.cluster.test_shutdown import FEED, all_run, goes_on, hosts, log_of, replicated

pytestmark = pytest.mark.timeout(240)


def test_every_node_is_replaced_once_and_nothing_is_lost_or_doubled(
    start_cluster: StartCluster, flavour: Flavour
) -> None:
    cluster = start_cluster(flavour)
    with replicated(cluster):
        assert wait_until(lambda: len(hosts(cluster)) == 3, 30, 0.2)
        before = [node.process.pid for node in cluster.nodes]
        turns = roll(cluster.nodes, min_ready=0)
        assert [turn.node for turn in turns] == ["node3", "node2", "node1"]
        assert not set(before) & {node.process.pid for node in cluster.nodes}
        assert goes_on(cluster)
        cluster.wait_for(FEED, state="normal")
        assert wait_until(lambda: all_run(cluster, 7), 30, 0.2)
    for node in cluster.nodes:
        assert "stopping-at-once" not in log_of(node), "it was a hand-over"
        assert "session-lost" not in log_of(node)
