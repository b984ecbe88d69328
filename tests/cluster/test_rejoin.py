"""A node whose etcd session was lost comes back as a new one, and its former life does not linger."""

from __future__ import annotations

import time
from pathlib import Path

from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.sandbox.cluster import NodeProcess
from hedgerow.sandbox.etcd import EtcdCluster
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.proxy import FaultProxy

LEASE = 5
LOST = 0.83 * LEASE  # after the last keepalive: the node has stopped, and etcd does not know yet


def test_keepalives_that_were_held_back_do_not_prolong_the_former_life(tmp_path: Path) -> None:
    with EtcdCluster(tmp_path / "etcd", members=1) as etcd, FaultProxy(int(etcd.endpoints[0].split(":")[1])) as proxy:
        node = NodeProcess("n", tmp_path, [proxy.address], {"lease_ttl": LEASE})
        node.start()
        try:

            def members() -> list[str]:
                return sorted(each.info.id for each in node.client().call("ListNodes", pb.ListNodesRequest()).nodes)

            (former,) = members()
            proxy.stall()
            time.sleep(LOST)
            proxy.resume()
            assert wait_until(lambda: node.answers() and members() != [former], 20, 0.05)
            rejoined = time.monotonic()
            assert wait_until(lambda: former not in members(), 10, 0.05)
            assert time.monotonic() - rejoined < 1.0, "the lease of the former life ran on"
            assert len(members()) == 1
        finally:
            node.process.terminate()
