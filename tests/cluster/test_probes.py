"""What an orchestrator is told of a node, and that it is no reason to restart one: on real processes."""

from __future__ import annotations

import os
import signal

import pytest

from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.probes import LIVENESS, READINESS
from hedgerow.sandbox.cluster import Cluster, NodeProcess
from hedgerow.sandbox.process import wait_until
from tests.cluster.conftest import StartCluster
from tests.cluster.test_shutdown import (
    FEED,
    PATIENT_LEASE,
    goes_on,
    log_of,
    move_to_coordinator,
    node_id,
    replicated,
    tell_to_stop,
)

pytestmark = pytest.mark.timeout(180)

SERVING, NOT_SERVING = "SERVING", "NOT_SERVING"


def says(node: NodeProcess, *, live: str, ready: str, seconds: float = 20) -> bool:
    return wait_until(lambda: (node.probe(LIVENESS), node.probe(READINESS)) == (live, ready), seconds, 0.1)


def test_a_node_that_has_joined_is_live_and_ready_and_says_nothing_else(start_cluster: StartCluster) -> None:
    (node,) = start_cluster("mariadb", nodes=1).nodes
    assert (node.probe(LIVENESS), node.probe(READINESS)) == (SERVING, SERVING)
    for unknown in ("", "ready", "hedgerow.v1.Admin"):
        assert node.probe(unknown) == "NOT_FOUND"


def test_a_node_that_hangs_is_not_live(start_cluster: StartCluster) -> None:
    (node,) = start_cluster("mariadb", nodes=1).nodes
    node.process.freeze()
    assert node.probe(LIVENESS) == "DEADLINE_EXCEEDED"
    node.process.thaw()
    assert says(node, live=SERVING, ready=SERVING)


def test_an_etcd_that_is_away_makes_nodes_unready_and_restarts_none(start_cluster: StartCluster) -> None:
    cluster = start_cluster("mariadb", nodes=2, settings={"lease_ttl": 2})
    with replicated(cluster):
        processes = [node.process.pid for node in cluster.nodes]
        cluster.etcd.kill(0)
        for node in cluster.nodes:
            assert says(node, live=SERVING, ready=NOT_SERVING)
        for node in cluster.nodes:  # through the whole of taking down and trying to join, more than once
            assert wait_until(lambda node=node: log_of(node).count('"not-joined"') >= 2, 30, 0.1)  # type: ignore[misc]
            assert (node.probe(LIVENESS), node.probe(READINESS)) == (SERVING, NOT_SERVING)
        cluster.etcd.restart(0)
        for node in cluster.nodes:
            assert says(node, live=SERVING, ready=SERVING)
        assert goes_on(cluster)
        assert processes == [node.process.pid for node in cluster.nodes]
        assert all(node.process.running for node in cluster.nodes)


def test_servers_that_are_away_change_neither(start_cluster: StartCluster) -> None:
    cluster = start_cluster("mariadb", nodes=1)
    (node,) = cluster.nodes
    with replicated(cluster):
        cluster.pair.sink.freeze()
        try:
            cluster.wait_for(FEED, state="warning", seconds=60)
            assert (node.probe(LIVENESS), node.probe(READINESS)) == (SERVING, SERVING)
        finally:
            cluster.pair.sink.thaw()
        cluster.wait_for(FEED, state="normal")


def test_a_node_that_is_drained_is_not_ready_and_its_peers_reach_it(start_cluster: StartCluster) -> None:
    cluster = start_cluster("mariadb", nodes=2)
    with replicated(cluster):
        drained = cluster.owner(FEED)
        (other,) = [node for node in cluster.nodes if node is not drained]
        gone = node_id(cluster, drained)
        other.command("node", "drain", gone)
        assert says(drained, live=SERVING, ready=NOT_SERVING)
        assert wait_until(lambda: cluster.owner(FEED) is other, 20, 0.1)
        listed = {
            node.info.id: node.reachable for node in other.client().call("ListNodes", pb.ListNodesRequest()).nodes
        }
        assert listed[gone]
        assert drained.answers(), "it still serves users"
        assert other.probe(READINESS) == SERVING
        assert goes_on(cluster)


def test_a_node_that_hands_over_is_not_ready_while_it_does(start_cluster: StartCluster) -> None:
    cluster = start_cluster("mariadb", nodes=2, settings={"lease_ttl": PATIENT_LEASE})
    with replicated(cluster):
        going = move_to_coordinator(cluster)
        (heir,) = [node for node in cluster.nodes if node is not going]
        heir.process.freeze()  # so that the hand-over does not end
        tell_to_stop(going)
        assert says(going, live=SERVING, ready=NOT_SERVING, seconds=10)
        assert going.process.running
        heir.process.thaw()
        assert going.process.wait(20) == 0
        assert going.probe(LIVENESS) == "UNAVAILABLE"
        assert goes_on(cluster)


def test_a_start_waits_for_etcd_as_long_as_it_was_told_to() -> None:
    cluster = Cluster("mariadb", nodes=0)
    try:
        patient = cluster.add_node(etcd_patience=60.0)
        patient.process.start()
        assert says(patient, live=SERVING, ready=NOT_SERVING)
        assert wait_until(lambda: '"not-joined"' in log_of(patient), 20, 0.1)
        cluster.etcd.start()
        assert says(patient, live=SERVING, ready=SERVING)
        os.kill(patient.process.pid, signal.SIGTERM)
        assert patient.process.wait(10) == 0
        cluster.etcd.kill(0)

        briefly = cluster.add_node(etcd_patience=0.5)
        briefly.process.start()
        assert briefly.process.wait(30) == 6
        assert log_of(briefly).count('"not-joined"') <= 1
    finally:
        cluster.close()


def test_a_stop_ends_a_start_that_waits() -> None:
    cluster = Cluster("mariadb", nodes=0)
    try:
        node = cluster.add_node(etcd_patience=600.0)
        node.process.start()
        assert says(node, live=SERVING, ready=NOT_SERVING)
        os.kill(node.process.pid, signal.SIGTERM)
        assert node.process.wait(15) == 0
    finally:
        cluster.close()
