"""Clusters of real node processes, checked against the design's invariants when a test gives one back."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.process import SandboxError
from hedgerow.sandbox.servers import Server

_clusters = pytest.StashKey[list[Cluster]]()
_EVIDENCE = 40_000  # characters of a node's log


class StartCluster(Protocol):
    def __call__(self, flavour: Flavour, nodes: int = 3, **options: Any) -> Cluster: ...


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails tells what its clusters were doing."""
    report = yield
    if report.when == "call" and report.failed:
        report.sections += [("what the cluster was doing", evidence(each)) for each in item.stash.get(_clusters, [])]
    return report


def evidence(cluster: Cluster) -> str:
    """Its changefeeds, and of each node the end of its log with a stack of every thread."""
    for node in cluster.nodes:
        if node.process.running:
            os.kill(node.process.pid, signal.SIGUSR1)
    try:
        feeds = json.dumps(cluster.command("changefeed", "list"), indent=1)
    except (SandboxError, StopIteration) as error:
        feeds = f"no node answers: {error}"
    logs = (f"--- {node.name}\n{node.process.log.read_text()[-_EVIDENCE:]}" for node in cluster.nodes)
    return "\n".join((feeds, *logs))


@pytest.fixture
def start_cluster(request: pytest.FixtureRequest) -> Iterator[StartCluster]:
    """A factory of clusters; each is checked and closed after the test."""
    clusters: list[Cluster] = request.node.stash.setdefault(_clusters, [])

    def start(flavour: Flavour, nodes: int = 3, **options: Any) -> Cluster:
        cluster = Cluster(flavour, nodes, **options)
        clusters.append(cluster)
        cluster.start()
        return cluster

    yield start
    try:
        for cluster in clusters:
            check_invariants(cluster)
            if not request.node.get_closest_marker("unreplicated"):
                assert not cluster.unreplicated(), "rows of a table that matches the filter had no dispatcher"
    finally:
        for cluster in clusters:
            cluster.close()


def check_invariants(cluster: Cluster) -> None:
    """Invariants 1, 4 and 5 as etcd and the sink show them: fence and progress never run ahead of etcd's epoch, and
    every dispatcher of a running changefeed belongs to one node."""
    epochs = {feed["uid"]: feed["epoch"] for feed in cluster.command("changefeed", "list")}
    for uid, fence in query(cluster.pair.sink, "SELECT changefeed_uid, epoch FROM hedgerow.fence"):
        assert uid not in epochs or fence <= epochs[uid], (uid, fence, epochs)
    progress = query(cluster.pair.sink, "SELECT changefeed_uid, dispatcher, epoch FROM hedgerow.progress")
    for uid, dispatcher, epoch in progress:
        assert uid in epochs, f"progress of {dispatcher} was left behind by changefeed {uid}"
        assert epoch <= epochs[uid], (uid, dispatcher, epoch, epochs)


def query(server: Server, statement: str, *arguments: Any) -> tuple[tuple[Any, ...], ...]:
    """Empty where the schema is not there yet."""
    with server.connect() as connection, connection.cursor() as cursor:
        if "hedgerow." in statement:
            cursor.execute("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'hedgerow'")
            if cursor.fetchone() == (0,):
                return ()
        cursor.execute(statement, arguments)
        return tuple(cursor.fetchall())


@pytest.fixture
def ask() -> Callable[..., tuple[tuple[Any, ...], ...]]:
    return query
