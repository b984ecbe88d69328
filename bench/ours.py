"""Hedgerow as a user runs it: one `hedgerow node`, an etcd, a changefeed created through the command line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from bench.binlog import Place
from bench.contender import BenchError
from bench.measure import Usage, tree_usage
from bench.scenarios import SCHEMA
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.process import SandboxError
from hedgerow.sandbox.servers import Server, ServerPair

FEED = "bench"


@dataclass(frozen=True, slots=True)
class Hedgerow:
    """`options` go to `hedgerow changefeed create`; none is what a user gets by default."""

    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return " ".join(("hedgerow", *self.options))

    @property
    def native(self) -> bool:
        return False

    @property
    def live(self) -> bool:
        return True

    @contextlib.contextmanager
    def replicate(
        self, source: Server, sink: Server, begin: Place, fetch_to: str | None = None
    ) -> Iterator[HedgerowSession]:
        with Cluster(source.flavour, nodes=1, pair=ServerPair(source, sink)) as cluster:
            cluster.create(FEED, "--filter", f"{SCHEMA}.*", *self.options, start=f"gtid:{begin.gtids}")
            yield HedgerowSession(cluster)


class HedgerowSession:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        (self._node,) = cluster.nodes

    def check(self) -> None:
        """A warning is a failure too: an error that is being retried does not belong into a measurement."""
        try:
            feed = self.cluster.get(FEED)
        except (SandboxError, StopIteration) as error:
            raise BenchError(f"the node does not answer: {error}\n{self._node.process.log_tail()}") from error
        if feed["state"] != "normal" or feed.get("error"):
            raise BenchError(f"the changefeed is {feed['state']}: {feed.get('error')}\n{self._node.process.log_tail()}")

    def usage(self) -> Usage | None:
        return tree_usage(self._node.process.pid)
