"""Short ways to write what the cores take."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hedgerow.common.binlog.position import Position
from hedgerow.common.ledger.progress import ProgressRow
from hedgerow.common.ledger.sessions import SessionRecord
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.operations.api import Placed, View

FILE = "binlog.000001"
SOURCE = "1"


def at(offset: int) -> Position:
    """A position by GTID and by file alike: transaction number `offset` of server 1 ends at that offset."""
    return Position(gtid_set=f"0-1-{offset}" if offset else "", file=FILE, offset=offset, source_id=SOURCE)


def ddl_at(offset: int, *touches: str, scope: pb.DdlScope = pb.TABLES) -> pb.Ddl:
    ddl = pb.Ddl(gtid=f"0-1-{offset}", scope=scope)
    ddl.position.CopyFrom(pb.Position(file=FILE, offset=offset, source_id=SOURCE))
    for name in touches:
        schema, _, table = name.partition(".")
        ddl.touches.add(schema=schema, table=table)
    return ddl


def status(
    key: str,
    *,
    generation: int = 1,
    epoch: int = 1,
    state: pb.DispatcherState = pb.RUNNING,
    offset: int | None = None,
    blocked: pb.Ddl | None = None,
    rows: int = 0,
    lane: int = 0,
    executed: int | None = None,
) -> pb.DispatcherStatus:
    found = pb.DispatcherStatus(
        dispatcher=key,
        generation=generation,
        epoch=epoch,
        state=pb.BLOCKED if blocked is not None else state,
        rows_events=rows,
        transactions=rows,
        lane=lane,
    )
    if offset is not None:
        found.position.CopyFrom(at(offset).write())
    if executed is not None:
        found.executed.CopyFrom(at(executed).write())
    if blocked is not None:
        found.blocked.CopyFrom(blocked)
    return found


def row(key: str, *, generation: int = 1, epoch: int = 1, offset: int = 1) -> ProgressRow:
    return ProgressRow(key, epoch, generation, at(offset), SessionRecord(0, ""))


def view(
    placed: Placed,
    row: int,
    *,
    keys: Collection[str] | None = None,
    sessions: Mapping[str, int] | None = None,
    settled: bool = True,
    latest: bool = True,
) -> View:
    """What an operation sees; `keys` and nodes are those of `placed` where nothing else is said."""
    return View(
        dispatchers=frozenset(placed if keys is None else keys),
        placed=placed,
        blocked={key for key, (_, found) in placed.items() if found.state == pb.BLOCKED},
        schema_row=at(row),
        flavour="mariadb",
        list_is_latest=latest,
        sessions=dict.fromkeys((node for node, _ in placed.values()), 1) if sessions is None else sessions,
        is_settled=lambda _: settled,
    )
