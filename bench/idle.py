"""What a node costs that has nothing to do: before its first changefeed, and with one over many idle tables."""

from __future__ import annotations

import time

from bench.binlog import create_tables, gtids
from bench.measure import cpu_seconds, usage
from bench.ours import FEED
from bench.results import IdleRun
from bench.scenarios import SCHEMA
from bench.settings import sink_options, source_options
from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.cluster import Cluster

TABLES = 100
SETTLE_SECONDS = 5.0

_CREATE = (
    f"CREATE DATABASE `{SCHEMA}` CHARACTER SET utf8mb4",
    *(f"CREATE TABLE `{SCHEMA}`.idle{number} (id INT PRIMARY KEY) ENGINE = InnoDB" for number in range(TABLES)),
)


def idle_runs(flavour: Flavour, seconds: float) -> list[IdleRun]:
    """Raises SandboxError."""
    servers = (source_options(flavour), sink_options(flavour, durable=True))
    with Cluster(flavour, nodes=1, source_options=servers[0], sink_options=servers[1]) as cluster:
        create_tables(cluster.pair.source, _CREATE)
        create_tables(cluster.pair.sink, _CREATE, log=False)
        without = _observe(cluster, seconds, 0)
        cluster.create(FEED, "--filter", f"{SCHEMA}.*", start=f"gtid:{gtids(cluster.pair.source)}")
        cluster.wait_for(FEED, state="normal")
        running = _observe(cluster, seconds, TABLES)
        cluster.wait_for(FEED, seconds=1.0, state="normal")
        return [without, running]


def _observe(cluster: Cluster, seconds: float, tables: int) -> IdleRun:
    (node,) = cluster.nodes
    (etcd,) = cluster.etcd.members
    pids = (node.process.pid, etcd.pid, cluster.pair.source.pid, cluster.pair.sink.pid)
    time.sleep(SETTLE_SECONDS)
    before, began = [cpu_seconds(pid) for pid in pids], time.monotonic()
    time.sleep(seconds)
    after, took = [cpu_seconds(pid) for pid in pids], time.monotonic() - began
    of_node, of_etcd, of_source, of_sink = [(late - early) / took for early, late in zip(before, after, strict=True)]
    memory = usage(node.process.pid)
    return IdleRun(tables, took, of_node, of_etcd, of_source, of_sink, memory.resident, memory.peak_resident)
