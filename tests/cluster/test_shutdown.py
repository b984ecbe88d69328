"""Nodes that are told to go, nodes that come, and an etcd that goes away: on real processes."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.pauses import measure
from bench.pulse import SCHEMA as PULSE
from bench.pulse import Pulse
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.sandbox.cluster import Cluster, NodeProcess
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.etcd import PASSWORD, USER, EtcdCluster
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.workload import SCHEMA, Workload
from tests.cluster.conftest import StartCluster, check_invariants, query

pytestmark = pytest.mark.timeout(180)

FEED = "shop"
# Longer than any test: nodes that are frozen meanwhile stay members, and so heirs that do not take over.
PATIENT_LEASE = 60


@contextmanager
def replicated(cluster: Cluster, *filters: str) -> Iterator[Workload]:
    """A workload through a changefeed; at the end source and sink are equal."""
    source, sink = cluster.pair.source.root, cluster.pair.sink.root
    workload = Workload(source, rate=80, seed=9)
    workload.create_tables()
    cluster.create(FEED, "--filter", f"{SCHEMA}.*", *(part for rule in filters for part in ("--filter", rule)))
    cluster.wait_for(FEED, state="normal")
    with workload:
        assert wait_until(lambda: newest_order(cluster) > 0, 30, 0.1)
        yield workload
    comparison = wait_until_equal(source, sink, SCHEMA, seconds=40)
    assert comparison.equal, str(comparison)


def newest_order(cluster: Cluster) -> int:
    tables = query(cluster.pair.sink, "SELECT 1 FROM information_schema.tables WHERE table_name = 'orders'")
    return int(query(cluster.pair.sink, f"SELECT COALESCE(MAX(id), 0) FROM {SCHEMA}.orders")[0][0]) if tables else 0


def goes_on(cluster: Cluster, seconds: float = 30) -> bool:
    """Whether something written from now on arrives."""
    arrived = newest_order(cluster)
    return wait_until(lambda: newest_order(cluster) > arrived + 10, seconds, 0.1)


def hosts(cluster: Cluster) -> Counter[str]:
    """name of a node -> dispatchers that run there"""
    running = [each for each in cluster.get(FEED)["dispatchers"] if each["state"] == "running"]
    return Counter(cluster.node_of(each["node"]).name for each in running)


def all_run(cluster: Cluster, count: int) -> bool:
    return hosts(cluster).total() == count


def move_to_coordinator(cluster: Cluster) -> NodeProcess:
    coordinator = cluster.coordinator()
    cluster.command("node", "move-maintainer", FEED, node_id(cluster, coordinator))
    cluster.wait_for(FEED, state="normal")
    assert cluster.owner(FEED) is coordinator
    return coordinator


def node_id(cluster: Cluster, node: NodeProcess) -> str:
    listed = next(n for n in cluster.nodes if n.process.running).client().call("ListNodes", pb.ListNodesRequest())
    ids: list[str] = [each.info.id for each in listed.nodes]
    return next(found for found in ids if found.startswith(f"{node.name}-"))


def tell_to_stop(node: NodeProcess) -> None:
    os.kill(node.process.pid, signal.SIGTERM)


def log_of(node: NodeProcess) -> str:
    return node.process.log.read_text(errors="replace")


def test_a_node_tells_where_its_threads_are(start_cluster: StartCluster) -> None:
    (node,) = start_cluster("mariadb", nodes=1).nodes
    os.kill(node.process.pid, signal.SIGUSR1)
    assert wait_until(lambda: "most recent call first" in node.process.log.read_text(), 5)
    assert node.answers()


def test_a_stop_hands_over_maintainer_dispatchers_and_coordinator_and_exits_0(start_cluster: StartCluster) -> None:
    cluster = start_cluster("mariadb")
    pulse = Pulse(cluster.pair.source.root, cluster.pair.sink.root, 6)
    pulse.create_tables()
    with replicated(cluster, f"{PULSE}.*"):
        assert wait_until(lambda: all_run(cluster, 13) and len(hosts(cluster)) == 3, 30, 0.2)
        going = move_to_coordinator(cluster)
        assert wait_until(lambda: hosts(cluster)[going.name] > 0 and all_run(cluster, 13), 30, 0.2)
        gone = node_id(cluster, going)
        epoch = cluster.get(FEED)["epoch"]
        pulse.start()
        assert pulse.wait(lambda sample: min(sample.applied) > 20, 20)
        begun = time.monotonic()
        tell_to_stop(going)
        assert going.process.wait(15) == 0
        assert goes_on(cluster)
        pulse.stop()
        found = measure(pulse.samples, begun, epoch)
        assert found.last is not None
        assert found.pause < 2.0, "a hand-over is no failover"
        feed = cluster.wait_for(FEED, state="normal")
        assert feed["ownership_changes"][-1]["reason"] == f"node {gone} is leaving"
        assert cluster.coordinator() is not going
        assert not hosts(cluster)[going.name]
        assert "node-suspected" not in log_of(cluster.coordinator())


def test_nobody_to_hand_over_to_and_no_patience(start_cluster: StartCluster) -> None:
    """A second SIGTERM, and the deadline, end a hand-over that does not come to an end; the last node just goes."""
    cluster = start_cluster("mariadb", nodes=2, settings={"lease_ttl": PATIENT_LEASE})
    with replicated(cluster):
        going = move_to_coordinator(cluster)
        (heir,) = [node for node in cluster.nodes if node is not going]
        heir.process.freeze()
        tell_to_stop(going)
        assert wait_until(lambda: '"draining"' in log_of(going), 10)
        with pytest.raises(Exception, match="did not end"):
            going.process.wait(1.5)
        tell_to_stop(going)
        assert going.process.wait(8) == 0
        assert "stopping-at-once" in log_of(going)

        heir.process.thaw()
        going = cluster.add_node(drain_deadline=2.0)
        going.start()
        cluster.command("node", "move-maintainer", FEED, node_id(cluster, going))
        assert goes_on(cluster)
        heir.process.freeze()
        tell_to_stop(going)
        begun = time.monotonic()
        assert going.process.wait(10) == 0
        assert time.monotonic() - begun >= 2.0

        heir.process.thaw()
        assert goes_on(cluster)
        tell_to_stop(heir)
        assert heir.process.wait(8) == 0
        heir.start()
        assert goes_on(cluster)


def test_a_node_that_joins_gets_its_share(start_cluster: StartCluster) -> None:
    cluster = start_cluster("mariadb", nodes=1)
    with replicated(cluster):
        assert wait_until(lambda: hosts(cluster) == {"node1": 7}, 30, 0.2)
        cluster.add_node().start()
        assert wait_until(lambda: all_run(cluster, 7) and set(hosts(cluster)) == {"node1", "node2"}, 30, 0.2)
        shares = hosts(cluster)
        assert max(shares.values()) - min(shares.values()) <= 2  # the schema dispatcher counts nothing
        assert goes_on(cluster)


def test_etcd_with_tls_and_a_password() -> None:
    cluster = Cluster("mariadb", nodes=0)
    try:
        cluster.etcd = EtcdCluster(cluster.directory / "secure", members=1, tls=True, auth=True)
        config = cluster.etcd.config
        password = cluster.directory / "etcd-password"
        password.write_text(PASSWORD + "\n")
        files = {"etcd_ca": config.ca_file, "etcd_cert": config.cert_file, "etcd_key": config.key_file}
        settings = {key: str(file) for key, file in files.items()}
        cluster.start()
        for _ in range(2):
            cluster.add_node(**settings, etcd_user=USER, etcd_password_file=str(password)).start()
        with replicated(cluster):
            cluster.owner(FEED).process.kill()
            assert goes_on(cluster)
        assert all(PASSWORD not in log_of(node) for node in cluster.nodes)
        check_invariants(cluster)
        assert not cluster.unreplicated(), "rows of a table that matches the filter had no dispatcher"
    finally:
        cluster.close()


def test_etcd_is_away_for_longer_than_the_lease(start_cluster: StartCluster) -> None:
    """Nodes fence themselves, so nothing is applied meanwhile; then they come back as new ones and go on."""
    cluster = start_cluster("mariadb", nodes=2, settings={"lease_ttl": 2})
    with replicated(cluster):
        before = {node_id(cluster, node) for node in cluster.nodes}
        cluster.etcd.kill(0)
        assert wait_until(lambda: all("session-lost" in log_of(node) for node in cluster.nodes), 15, 0.1)
        stood_at = newest_order(cluster)
        time.sleep(1.0)
        assert newest_order(cluster) == stood_at
        cluster.etcd.restart(0)
        for node in cluster.nodes:
            assert wait_until(node.answers, 30, 0.2)
        assert not before & {node_id(cluster, node) for node in cluster.nodes}
        assert goes_on(cluster)
        cluster.wait_for(FEED, state="normal")
        assert all(node.process.running for node in cluster.nodes)
