"""Clusters of real node processes, checked against the design's invariants when a test gives one back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

from common.mysql import Flavour
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.servers import Server


class StartCluster(Protocol):
    def __call__(self, flavour: Flavour, nodes: int = 3, **options: Any) -> Cluster: ...


@pytest.fixture
def start_cluster() -> Iterator[StartCluster]:
    """A factory of clusters; each is checked and closed after the test."""
    clusters: list[Cluster] = []

    def start(flavour: Flavour, nodes: int = 3, **options: Any) -> Cluster:
        cluster = Cluster(flavour, nodes, **options)
        clusters.append(cluster)
        cluster.start()
        return cluster

    yield start
    try:
        for cluster in clusters:
            check_invariants(cluster)
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
