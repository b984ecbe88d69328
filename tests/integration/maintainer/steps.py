"""What several tests do with a maintainer: begin one, play a DDL, ask who hosts what."""

from __future__ import annotations

from collections import Counter

from hedgerow.common.binlog.position import Position
from hedgerow.common.ledger.progress import add_progress, delete_progress
from hedgerow.common.ledger.sessions import transaction
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from tests.integration.maintainer.conftest import Bench
from tests.integration.maintainer.fakes import FakeDispatch


def spread(bench: Bench) -> dict[str, int]:
    """node -> tables"""
    return dict(Counter(node for key, node in bench.cluster.where().items() if key != "*"))


def at(offset: int) -> Position:
    return Position(gtid_set=f"0-1-{offset}", file="binlog.000001", offset=offset, source_id="1")


def ddl_at(offset: int, *touches: str) -> pb.Ddl:
    ddl = pb.Ddl(gtid=f"0-1-{offset}", scope=pb.TABLES)
    ddl.position.CopyFrom(pb.Position(file="binlog.000001", offset=offset, source_id="1"))
    for table in touches:
        ddl.touches.add(schema="shop", table=table)
    return ddl


def finish_ddl(bench: Bench, offset: int, *, add: list[str] | None = None, drop: list[str] | None = None) -> None:
    """What the schema dispatcher's last transaction does."""
    uid = bench.spec.uid
    with bench.pair.sink.connect() as connection, transaction(connection) as cursor:
        add_progress(cursor, uid, 1, add or [], at(offset))
        delete_progress(cursor, uid, drop or [])
        cursor.execute(
            "UPDATE hedgerow.progress SET gtid_set = %s, binlog_pos = %s"
            " WHERE changefeed_uid = %s AND dispatcher = '*'",
            (f"0-1-{offset}", offset, uid),
        )


async def started(bench: Bench, tables: list[str], nodes: list[str], epoch: int = 1) -> list[FakeDispatch]:
    bench.create_tables(*tables)
    for node in nodes:
        await bench.cluster.join(node)
    await bench.add(epoch)
    wanted = {"*", *(f"shop.{table}" for table in tables)}
    await bench.eventually(lambda: bench.cluster.where().keys() == wanted)
    await bench.phase(mpb.MAINTAINING, epoch)
    return [bench.cluster.dispatch[node] for node in ("n1", *nodes)]
