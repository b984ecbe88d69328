"""A host with a real sink, on a cluster of fake Dispatch nodes."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from pymysql.connections import Connection

from hedgerow.common.binlog.position import Position
from hedgerow.common.control.rpc import Peers, Server
from hedgerow.common.epoch import Stamp
from hedgerow.common.ledger.ownership import raise_fence
from hedgerow.common.ledger.progress import list_progress
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import maintainer_pb2_grpc
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.host import HostService
from hedgerow.maintainer.link import Timing
from hedgerow.sandbox.servers import ServerPair
from tests.integration.maintainer.fakes import FakeCluster

START = Position(gtid_set="0-1-10", file="binlog.000001", offset=10, source_id="1")
FAST = Timing(call=1.0, bootstrap=0.6, heartbeat=0.3, heartbeat_slack=0.5, repeat=1.0, close=0.6, publish=0.05)


@pytest.fixture(scope="session")
def flavour() -> Flavour:
    """The maintainer's SQL is the same for both; common/ledger is tested on each."""
    return "mariadb"


class Bench:
    """One changefeed, and the host of node n1 to give it to."""

    def __init__(self, pair: ServerPair, cluster: FakeCluster, host: HostService, stub: Any, drains: list[str]) -> None:
        self.pair = pair
        self.cluster = cluster
        self.host = host
        self.stub = stub
        self.drains = drains
        self.spec = self.new_spec()

    def new_spec(self, **changes: Any) -> pb.ChangefeedSpec:
        spec = pb.ChangefeedSpec(
            name="feed",
            uid=str(uuid.uuid4()),
            source=self.pair.source_uri,
            sink=self.pair.sink_uri,
            filter=["shop.*"],
            start_position=START.write(),
            flavour="mariadb",
            options=pb.ChangefeedOptions(lanes=2),
        )
        spec.MergeFrom(pb.ChangefeedSpec(**changes))
        return spec

    def stamp(self, epoch: int, *, node: str = "n1", term: int = 1, uid: str = "") -> pb.Stamp:
        return Stamp(uid or self.spec.uid, epoch, node, term).write()

    async def add(
        self,
        epoch: int,
        *,
        node: str = "n1",
        term: int = 1,
        spec: pb.ChangefeedSpec | None = None,
        begun: bool = False,
    ) -> mpb.AddMaintainerResponse:
        spec = spec or self.spec
        stamp = self.stamp(epoch, node=node, term=term, uid=spec.uid)
        response: mpb.AddMaintainerResponse = await self.stub.AddMaintainer(
            mpb.AddMaintainerRequest(stamp=stamp, spec=spec, begun=begun), timeout=10
        )
        return response

    async def remove(
        self, epoch: int, *, term: int = 1, forget: bool = False, spec: pb.ChangefeedSpec | None = None
    ) -> mpb.RemoveMaintainerResponse:
        spec = spec or self.spec
        response: mpb.RemoveMaintainerResponse = await self.stub.RemoveMaintainer(
            mpb.RemoveMaintainerRequest(stamp=self.stamp(epoch, term=term, uid=spec.uid), spec=spec, forget=forget),
            timeout=10,
        )
        return response

    async def report(
        self, until: Callable[[mpb.MaintainerStatus], bool], *, uid: str = "", term: int = 1
    ) -> mpb.MaintainerStatus:
        """Polls Status until the changefeed's report is as wanted."""
        seen = 0
        last: mpb.MaintainerStatus | None = None
        try:
            async with asyncio.timeout(10):
                while True:
                    request = mpb.StatusRequest(term=term, seen_version=seen, wait_ms=1000)
                    response = await self.stub.Status(request, timeout=5)
                    seen = response.version
                    for last in response.maintainers:
                        if last.stamp.uid == (uid or self.spec.uid) and until(last):
                            return last
        except TimeoutError:
            raise AssertionError(f"the report did not become as wanted; the last is {last}") from None

    async def phase(self, phase: mpb.MaintainerPhase, epoch: int, *, uid: str = "", term: int = 1) -> Any:
        return await self.report(lambda s: (s.phase, s.stamp.epoch) == (phase, epoch), uid=uid, term=term)

    async def eventually(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 (what it looks at is another process's, or a fake's)
                await asyncio.sleep(0.01)

    def sink(self, statement: str) -> list[tuple[Any, ...]]:
        return _run(self.pair.sink.connect(), statement)

    def source(self, statement: str) -> list[tuple[Any, ...]]:
        return _run(self.pair.source.connect(), statement)

    def create_tables(self, *names: str) -> None:
        for run in (self.source, self.sink):
            run("CREATE DATABASE IF NOT EXISTS shop")
            for name in names:
                run(f"CREATE TABLE shop.{name} (id INT PRIMARY KEY)")

    def fence(self) -> int:
        ((epoch,),) = self.sink(f"SELECT epoch FROM hedgerow.fence WHERE changefeed_uid = '{self.spec.uid}'")
        return int(epoch)

    def raise_fence(self, epoch: int) -> None:
        with self.pair.sink.connect() as connection:
            raise_fence(connection, self.spec.uid, epoch, "another")

    def progress(self) -> dict[str, Position]:
        with self.pair.sink.connect() as connection:
            return {row.dispatcher: row.position for row in list_progress(connection, self.spec.uid)}


def _run(connection: Connection[Any], statement: str) -> list[tuple[Any, ...]]:
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
        connection.commit()
        return list(cursor.fetchall())


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    found = FakeCluster()
    yield found
    await found.close()


@pytest.fixture
async def bench(server_pair: ServerPair, cluster: FakeCluster) -> AsyncIterator[Bench]:
    peers = Peers()
    server = Server()
    drains: list[str] = []

    async def drain() -> None:
        drains.append("n1")

    await cluster.join("n1")
    host = HostService(cluster, peers, "n1", drain, lambda: 7, timing=FAST)
    server.add("hedgerow.v1.MaintainerHost", maintainer_pb2_grpc.add_MaintainerHostServicer_to_server, host)
    port = await server.start("127.0.0.1:0")
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    yield Bench(server_pair, cluster, host, maintainer_pb2_grpc.MaintainerHostStub(channel), drains)
    await host.close()
    await channel.close()
    await server.stop(0)
    await peers.close()
