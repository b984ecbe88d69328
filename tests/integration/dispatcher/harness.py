"""A maintainer's hand on in-process nodes: prepares the sink, calls Dispatch over gRPC, waits for statuses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from hedgerow.common.binlog.position import Position
from hedgerow.common.control import rpc
from hedgerow.common.ledger.ownership import raise_fence
from hedgerow.common.ledger.progress import ProgressRow, insert_progress, list_progress
from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER, ensure_schema
from hedgerow.common.mysql.catalog import user_tables
from hedgerow.common.mysql.connect import connect, server_info
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.names import TableName
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.common.pb.v1 import dispatch_pb2 as pb
from hedgerow.common.pb.v1 import dispatch_pb2_grpc, model_pb2
from hedgerow.dispatcher.control.service import DispatchService
from hedgerow.sandbox.servers import ServerPair

SECONDS = 20.0


class Service(DispatchService):
    """Remembers what it was told at barriers."""

    def __init__(self, node_id: str) -> None:
        super().__init__(node_id)
        self.barriers: list[pb.BarrierRequest] = []

    async def Barrier(self, request: pb.BarrierRequest, context: Any) -> pb.BarrierResponse:
        self.barriers.append(request)
        return await super().Barrier(request, context)


class Node:
    """One in-process node with its own service and port."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.service = Service(name)
        self._server = rpc.Server()
        self._peers = rpc.Peers()

    async def start(self) -> None:
        self._server.add("hedgerow.v1.Dispatch", dispatch_pb2_grpc.add_DispatchServicer_to_server, self.service)
        port = await self._server.start("127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        self.stub = dispatch_pb2_grpc.DispatchStub(self._peers.channel(self.address, "node1"))

    async def stop(self) -> None:
        await self.service.close()
        await self._peers.close()
        await self._server.stop(0)


@asynccontextmanager
async def nodes(*names: str) -> AsyncIterator[list[Node]]:
    started = [Node(name) for name in names]
    for node in started:
        await node.start()
    try:
        yield started
    finally:
        for node in started:
            await node.stop()


class Changefeed:
    """One changefeed of a pair, with its sink prepared as a maintainer does: schema, fence, progress at `start`."""

    def __init__(
        self,
        pair: ServerPair,
        *filters: str,
        **options: int,
    ) -> None:
        self.pair = pair
        self.uid = uuid4().hex
        self.epoch = 1
        self.owner = "maintainer"
        self.spec = model_pb2.ChangefeedSpec(
            name="shop",
            uid=self.uid,
            source=pair.source_uri,
            sink=pair.sink_uri,
            filter=filters,
            flavour=pair.flavour,
            options=model_pb2.ChangefeedOptions(**options),  # type: ignore[arg-type]
        )
        self.tables: tuple[TableName, ...] = ()

    @property
    def keys(self) -> list[str]:
        return [SCHEMA_DISPATCHER, *(table.key for table in self.tables)]

    def position(self) -> Position:
        """Where the source is now."""
        with self.pair.source.connect() as connection, connection.cursor() as cursor:
            source_id = server_info(connection).source_id
            cursor.execute("SHOW BINARY LOG STATUS" if self.pair.flavour == "mysql" else "SHOW MASTER STATUS")
            row = cursor.fetchone()
            assert row is not None
            gtids = row[4].replace("\n", "") if self.pair.flavour == "mysql" else None
            if gtids is None:
                cursor.execute("SELECT @@GLOBAL.gtid_binlog_pos")
                (gtids,) = cursor.fetchone() or ("",)
            return Position(gtids, row[0], int(row[1]), source_id, time.time())

    def copy_tables(self) -> None:
        """Copies table definitions, and rows, to the sink; the dispatchers begin where the source is now."""
        self.tables = self._copy()
        self.prepare(self.keys, self.position())

    def prepare(self, keys: Iterable[str], position: Position) -> None:
        with connect(ServerUri.parse(self.pair.sink_uri), "sink") as connection:
            ensure_schema(connection)
            raise_fence(connection, self.uid, self.epoch, self.owner)
            insert_progress(connection, self.uid, self.epoch, list(keys), position)

    def raise_fence(self) -> None:
        with connect(ServerUri.parse(self.pair.sink_uri), "sink") as connection:
            raise_fence(connection, self.uid, self.epoch, self.owner)

    def progress(self) -> dict[str, ProgressRow]:
        with connect(ServerUri.parse(self.pair.sink_uri), "sink") as connection:
            return {row.dispatcher: row for row in list_progress(connection, self.uid)}

    def _copy(self) -> tuple[TableName, ...]:
        with self.pair.source.connect() as source, self.pair.sink.connect() as sink:
            tables = tuple(table.name for table in user_tables(source, TableFilter.parse(list(self.spec.filter))))
            with source.cursor() as read, sink.cursor() as write:
                write.execute("SET foreign_key_checks = 0")
                for table in tables:
                    write.execute(f"CREATE DATABASE IF NOT EXISTS `{table.schema}`")
                    read.execute(f"SHOW CREATE TABLE {table.quoted}")
                    row: Any = read.fetchone()
                    write.execute(f"USE `{table.schema}`")
                    write.execute(row[1])
            return tables

    # The maintainer's calls.

    def stamp(self) -> model_pb2.Stamp:
        return model_pb2.Stamp(uid=self.uid, epoch=self.epoch, node=self.owner)

    async def bootstrap(self, node: Node) -> pb.BootstrapResponse:
        response: pb.BootstrapResponse = await node.stub.Bootstrap(
            pb.BootstrapRequest(stamp=self.stamp(), spec=self.spec), timeout=5
        )
        return response

    async def schedule(
        self,
        node: Node,
        create: Iterable[str] = (),
        remove: Iterable[str] = (),
        generation: int = 1,
        lanes: dict[str, int] | None = None,
    ) -> pb.ScheduleResponse:
        def placements(keys: Iterable[str]) -> list[pb.DispatcherPlacement]:
            return [
                pb.DispatcherPlacement(dispatcher=key, generation=generation, lane=(lanes or {}).get(key, 0))
                for key in keys
            ]

        response: pb.ScheduleResponse = await node.stub.Schedule(
            pb.ScheduleRequest(stamp=self.stamp(), create=placements(create), remove=placements(remove)), timeout=5
        )
        return response

    async def heartbeat(self, node: Node, seen: int = 0, wait_ms: int = 0) -> pb.HeartbeatResponse:
        response: pb.HeartbeatResponse = await node.stub.Heartbeat(
            pb.HeartbeatRequest(stamp=self.stamp(), seen_version=seen, wait_ms=wait_ms), timeout=wait_ms / 1000 + 5
        )
        return response

    async def barrier(
        self,
        node: Node,
        ddl: model_pb2.Ddl,
        action: pb.BarrierAction,
        keys: Iterable[str],
        *,
        flushed: Mapping[str, int] | None = None,
    ) -> None:
        """`flushed`: the generation of every dispatcher that is known to wait for a WRITE."""
        response = await node.stub.Barrier(
            pb.BarrierRequest(
                stamp=self.stamp(), ddl=ddl, action=action, dispatchers=list(keys), flushed=flushed or {}
            ),
            timeout=5,
        )
        assert not response.HasField("rejection"), response

    async def close(self, node: Node) -> pb.CloseResponse:
        response: pb.CloseResponse = await node.stub.Close(pb.CloseRequest(stamp=self.stamp()), timeout=15)
        return response

    async def wait(
        self,
        node: Node,
        condition: Callable[[dict[str, model_pb2.DispatcherStatus]], bool],
        seconds: float = SECONDS,
    ) -> dict[str, model_pb2.DispatcherStatus]:
        """Long polls until the statuses meet the condition; fails with the last ones."""
        deadline = time.monotonic() + seconds
        seen = 0
        while True:
            answer = await self.heartbeat(node, seen, 500)
            assert not answer.HasField("rejection"), answer
            seen = answer.version
            statuses = {status.dispatcher: status for status in answer.dispatchers}
            if condition(statuses):
                return statuses
            assert time.monotonic() < deadline, f"not within {seconds} s: {statuses}"

    async def wait_running(self, node: Node) -> None:
        await self.wait(node, lambda found: all(one.state == model_pb2.RUNNING for one in found.values()))

    async def run(self, node: Node, **arguments: Any) -> None:
        """Bootstraps and places everything on one node."""
        answer = await self.bootstrap(node)
        assert not answer.HasField("rejection"), answer
        assert not answer.HasField("error"), answer
        await self.schedule(node, self.keys, **arguments)
        await self.wait_running(node)


async def in_thread(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return await asyncio.to_thread(function, *arguments, **named)
