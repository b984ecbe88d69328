"""What a real node serves on /metrics: who owns what, and every rejection by layer and verdict."""

from __future__ import annotations

import json
import urllib.request
from contextlib import closing
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hedgerow.common.epoch import Stamp
from hedgerow.common.pb.v1 import dispatch_pb2, dispatch_pb2_grpc
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.sandbox.cluster import NodeProcess
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.workload import SCHEMA, Workload
from tests.cluster.conftest import StartCluster, query

pytestmark = pytest.mark.timeout(120)


def scrape(node: NodeProcess) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with urllib.request.urlopen(f"http://{node.metrics}/metrics", timeout=5) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def value(of: NodeProcess, name: str, **labels: str) -> float | None:
    return scrape(of).get((name, tuple(sorted(labels.items()))))


def rejections(node: NodeProcess, layer: str, verdict: str) -> float:
    return value(node, "hedgerow_rejections_total", layer=layer, verdict=verdict) or 0


def test_owners_and_rejections_are_counted_by_layer_and_verdict(start_cluster: StartCluster) -> None:
    cluster = start_cluster("mariadb", nodes=2)
    workload = Workload(cluster.pair.source.root, rate=50, seed=5)
    workload.create_tables()
    cluster.create("shop", "--filter", f"{SCHEMA}.*")
    cluster.wait_for("shop", state="normal")
    coordinator = cluster.coordinator()
    other = next(node for node in cluster.nodes if node is not coordinator)

    def owned() -> bool:
        shop = cluster.get("shop")
        shown = value(coordinator, "hedgerow_changefeed_epoch", changefeed="shop", node=shop["owner"])
        return bool(shop["epoch"] == shown)

    assert wait_until(owned, 10, 0.2)
    assert value(coordinator, "hedgerow_changefeed_state", changefeed="shop", state="normal") == 1
    assert not any(name == "hedgerow_changefeed_epoch" for name, _ in scrape(other)), "only the coordinator knows"

    # rpc: a former owner that speaks is told who is obeyed.
    shop = cluster.get("shop")
    before = rejections(other, "rpc", "stale")
    with closing(grpc.insecure_channel(other.address)) as channel:
        stub: Any = dispatch_pb2_grpc.DispatchStub(channel)
        stale = Stamp(shop["uid"], 0, "zombie").write()
        answer = stub.Schedule(dispatch_pb2.ScheduleRequest(stamp=stale), timeout=5)
    assert answer.rejection.verdict == pb.STALE
    assert answer.rejection.current.node == shop["owner"]
    assert rejections(other, "rpc", "stale") == before + 1

    # sink: another owner has raised the fence. This one stops, and the next epochs go above it.
    workload.start()
    query(cluster.pair.sink, "UPDATE hedgerow.fence SET epoch = epoch + 1, owner = 'another'")
    assert wait_until(lambda: sum(rejections(node, "sink", "stale") for node in cluster.nodes) > 0, 20, 0.2)
    assert wait_until(lambda: cluster.get("shop")["epoch"] >= shop["epoch"] + 2, 30, 0.2)
    cluster.wait_for("shop", state="normal")
    workload.stop()
    assert wait_until(owned, 10, 0.2)
    for node in cluster.nodes:
        logged = [json.loads(line) for line in node.process.log.read_text().splitlines() if line.startswith("{")]
        told = [line for line in logged if line.get("event") == "rejected"]
        counted = {labels: n for (name, labels), n in scrape(node).items() if name == "hedgerow_rejections_total"}
        assert sum(counted.values()) == sum(line["count"] for line in told), "each rejection is counted and logged"
