"""Three nodes under load, whole and settled before each interruption: what bench/failover.py interrupts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from bench.pauses import Interruption, measure
from bench.pulse import SCHEMA, Pulse
from hedgerow.common.errors import HedgerowError
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.common.pb.v1 import model_pb2
from hedgerow.sandbox.cluster import Cluster, NodeProcess
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.process import SandboxError, wait_until
from hedgerow.sandbox.workload import SCHEMA as SHOP
from hedgerow.sandbox.workload import Workload

FEED = "failover"
TABLES = 6
LOAD = 100  # transactions per second, beside the pulse
QUIET_SECONDS = 1.0  # of undisturbed samples before each run
SETTLE_SECONDS = 60.0
RECOVER_SECONDS = 30.0


class UnderLoad:
    """One cluster under load."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.workload = Workload(cluster.pair.source.root, rate=LOAD, seed=11)
        self.pulse = Pulse(cluster.pair.source.root, cluster.pair.sink.root, TABLES)

    def begin(self) -> None:
        self.workload.create_tables()
        self.pulse.create_tables()
        self.cluster.create(FEED, "--filter", f"{SHOP}.*", "--filter", f"{SCHEMA}.*")
        self.cluster.wait_for(FEED, state="normal")
        if not wait_until(lambda: self._count_tables() == TABLES, SETTLE_SECONDS, 0.2):
            raise SandboxError("the tables did not arrive at the sink")
        self.workload.start()
        self.pulse.start()

    def end(self) -> None:
        """Raises SandboxError where source and sink differ."""
        self.workload.stop()
        self.pulse.stop()
        for schema in (SHOP, SCHEMA):
            source, sink = self.cluster.pair.source.root, self.cluster.pair.sink.root
            comparison = wait_until_equal(source, sink, schema, seconds=40)
            if not comparison.equal:
                raise SandboxError(f"source and sink differ: {comparison}")

    def _count_tables(self) -> int:
        with self.cluster.pair.sink.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = %s", (SCHEMA,))
            row = cursor.fetchone()
            assert row is not None
            return int(row[0])

    # What the runs ask for.

    def call(self, method: str, request: Any) -> Any:
        """Through a node that answers."""
        return self.living.client().call(method, request)

    @property
    def living(self) -> NodeProcess:
        return next(node for node in self.cluster.nodes if node.process.running)

    def feed(self) -> pb.Changefeed:
        found: pb.Changefeed = self.call("Get", pb.ChangefeedRequest(name=FEED))
        return found

    def members(self) -> list[pb.Node]:
        return list(self.call("ListNodes", pb.ListNodesRequest()).nodes)

    def running(self, feed: pb.Changefeed | None = None) -> list[model_pb2.DispatcherStatus]:
        """Dispatchers that replicate at the epoch on record."""
        feed = feed or self.feed()
        epoch = feed.ownership.epoch
        return [d for d in feed.live.dispatchers if d.state == model_pb2.RUNNING and d.epoch == epoch]

    def wait(self, condition: Callable[[], bool]) -> None:
        if not wait_until(condition, RECOVER_SECONDS, 0.2):
            raise SandboxError(f"what was asked for did not happen: {self.feed()}")

    def settle(self) -> None:
        """Every node runs, is ALIVE, and hosts some of the pulse; everything runs at the epoch on record."""
        for node in self.cluster.nodes:
            if not node.process.running:
                node.start()
        deadline = time.monotonic() + SETTLE_SECONDS
        whole_since: float | None = None
        state = ""
        while whole_since is None or time.monotonic() - whole_since < QUIET_SECONDS:
            if time.monotonic() > deadline:
                raise SandboxError(f"the cluster did not settle: {state}")
            time.sleep(0.2)
            try:
                state = self._what_is_missing()
            except HedgerowError as error:
                state = str(error)
            whole_since = None if state else whole_since or time.monotonic()
        self.pulse.check()
        self.pulse.forget()
        time.sleep(QUIET_SECONDS)

    def _what_is_missing(self) -> str:
        """Empty where the cluster is whole."""
        members, feed = self.members(), self.feed()
        ids = {node.info.id for node in members if node.reachable and node.info.liveness == model_pb2.ALIVE}
        running = self.running(feed)
        if not len(members) == len(ids) == len(self.cluster.nodes):
            return f"of {len(members)} members {len(ids)} are reachable and ALIVE"
        if feed.status.state != model_pb2.NORMAL or not len(running) == len(feed.live.dispatchers) > TABLES:
            state = model_pb2.ChangefeedState.Name(feed.status.state)
            return (
                f"{state}, {len(running)} of {len(feed.live.dispatchers)} dispatchers run: {feed.status.error.message}"
            )
        homes = Counter(dict.fromkeys(ids, 0))
        homes.update(d.node for d in running if d.dispatcher in self.pulse.keys)
        (emptiest, least), (fullest, _) = homes.most_common()[-1], homes.most_common()[0]
        if least == 0:
            moved = next(d.dispatcher for d in running if d.dispatcher in self.pulse.keys and d.node == fullest)
            self.call("MoveDispatcher", pb.MoveDispatcherRequest(name=FEED, dispatcher=moved, node=emptiest))
            return f"node {emptiest} hosts none of the pulse"
        return ""

    def arrange(self, *, owner_coordinates: bool) -> NodeProcess:
        """Puts the changefeed where the scenario wants it, and returns its owner."""
        self.settle()
        coordinator = next(node.info.id for node in self.members() if node.coordinator)
        if (self.feed().ownership.node == coordinator) != owner_coordinates:
            others = [node.info.id for node in self.members() if node.info.id != coordinator]
            target = coordinator if owner_coordinates else others[0]
            self.call("MoveMaintainer", pb.MoveMaintainerRequest(name=FEED, node=target))
            self.settle()
        return self.cluster.node_of(self.feed().ownership.node)

    def observe(self, begun: float, epoch: int, *, owner_changes: bool) -> Interruption:
        """Waits until every table is applied again, by the successor where there is one."""
        deadline = begun + RECOVER_SECONDS
        while True:
            time.sleep(0.25)
            self.pulse.check()
            try:
                found = measure(self.pulse.samples, begun, epoch)
            except ValueError:
                found = None
            if found is not None and (found.last is not None or not owner_changes):
                time.sleep(QUIET_SECONDS)
                return measure(self.pulse.samples, begun, epoch)
            if time.monotonic() > deadline:
                raise SandboxError(f"not everything was applied again within {RECOVER_SECONDS:g} s")
