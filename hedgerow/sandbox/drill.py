"""A drill: a changefeed of its own under load, a fault, and the judgement whether anything was lost or doubled.

The workload writes before, during and after the fault; at the end source and sink are compared row by row, the table
without a key included. A report says in a line what was done, which epochs there were, and what the fence kept out.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from hedgerow.common.errors import HedgerowError
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.sandbox.cluster import NodeProcess
from hedgerow.sandbox.compare import Comparison, checksums, wait_until_equal
from hedgerow.sandbox.process import SandboxError, wait_until
from hedgerow.sandbox.refusals import Refusals
from hedgerow.sandbox.servers import Server
from hedgerow.sandbox.wired import WiredCluster
from hedgerow.sandbox.workload import Workload

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Report:
    name: str
    flavour: str
    done: tuple[str, ...]
    epochs: tuple[int, int]
    refused: dict[str, Refusals]
    transactions: int
    comparison: Comparison
    seconds: float

    @property
    def refused_at_sink(self) -> int:
        """Transactions of stale writers: refused by the fence, or rolled back with their sessions."""
        return sum(each.at_sink + each.ended for each in self.refused.values())

    def __str__(self) -> str:
        tables = self.comparison.tables
        refused = [f"{name} {each.at_sink}" for name, each in self.refused.items() if each.at_sink]
        ended = sum(each.ended for each in self.refused.values())
        by_nodes = sum(each.by_nodes for each in self.refused.values())
        by_etcd = sum(each.by_etcd for each in self.refused.values())
        return (
            f"{self.name} ({self.flavour}, {self.seconds:.0f} s): {'; '.join(self.done)}\n"
            f"    epoch {self.epochs[0]} -> {self.epochs[1]}; refused at the sink: {self.refused_at_sink}"
            f" (by the fence: {', '.join(refused) or 0}; open transactions ended by a successor: {ended});"
            f" by nodes: {by_nodes}; by etcd: {by_etcd}\n"
            f"    {self.transactions} transactions; compared {self.comparison.rows} rows of {len(tables)} tables:"
            f" lost {sum(table.missing for table in tables)}, doubled {sum(table.extra for table in tables)},"
            f" different {sum(table.different for table in tables)}"
        )


class Drill:
    """A context manager: inside, the changefeed `name` replicates schema `name` under load. Whatever the drill breaks
    is healed when it ends, and the changefeed removed."""

    def __init__(self, cluster: WiredCluster, name: str, *, rate: float = 120, seed: int = 1) -> None:
        self.cluster = cluster
        self.name = name
        self.workload = Workload(cluster.pair.source.root, rate=rate, seed=seed, schema=name)
        self.done: list[str] = []
        self._start = ""
        self._began = time.monotonic()
        self._refused: dict[str, Refusals] = {}
        self._epoch = 0
        self._uid = ""

    def __enter__(self) -> Self:
        self._refused = self.cluster.refusals()
        self._start = _end_of_binlog(self.source)
        self.workload.create_tables()
        self.create()
        self.workload.start()
        self.wait_for_epoch_at_work(0)
        self._epoch = self.feed()["epoch"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(HedgerowError):  # it has told already
            self.workload.stop()
        self.cluster.heal()
        with contextlib.suppress(HedgerowError):  # a drill may have removed it
            self.cluster.any_node().client().call("Remove", pb.ChangefeedRequest(name=self.name))
        for server in (self.source, self.sink):
            ask(server, f"DROP DATABASE IF EXISTS {self.name}")

    def create(self) -> None:
        """Creates the changefeed, from before its tables were made, and waits until every table is replicated by a
        node, each node having some."""
        self._uid = self.cluster.create(self.name, "--filter", f"{self.name}.*", start=self._start)["uid"]
        tables = len(self.workload.tables)

        def spread() -> bool:
            running = [each for each in self.feed()["dispatchers"] if each["state"] == "running"]
            return len(running) == tables + 1 and len({each["node"] for each in running}) == len(self.cluster.nodes)

        self._until(spread, 30.0, "dispatchers are not spread")

    # -- looking ------------------------------------------------------------------------------------------------------

    @property
    def source(self) -> Server:
        return self.cluster.pair.source

    @property
    def sink(self) -> Server:
        return self.cluster.pair.sink

    def feed(self) -> dict[str, Any]:
        return self.cluster.get(self.name)

    def progress(self) -> tuple[Row, ...]:
        """dispatcher, epoch, session id, binlog file, offset."""
        return ask(
            self.sink,
            "SELECT dispatcher, epoch, session_id, binlog_file, binlog_pos FROM hedgerow.progress"
            " WHERE changefeed_uid = %s",
            self._uid,
        )

    def applied(self) -> dict[str, int | None]:
        """Checksums of what is in the sink."""
        return checksums(self.sink.root, [self.name])

    def tables_on(self, node: NodeProcess) -> list[str]:
        """Tables that a node replicates, as the maintainer last heard."""
        dispatchers = self.feed()["dispatchers"]
        return [
            each["dispatcher"]
            for each in dispatchers
            if each["dispatcher"] != "*" and self.cluster.node_of(each["node"]) is node
        ]

    def owner_apart_from_coordinator(self) -> NodeProcess:
        """The owner; it is moved first where the coordinator's node is the owner."""
        coordinator, owner = self.cluster.coordinator(), self.cluster.owner(self.name)
        if owner is coordinator:
            owner = next(node for node in self.cluster.nodes if node is not coordinator)
            self.move_to(owner)
            self.wait_for_epoch_at_work(self.feed()["epoch"])
        return owner

    def other_than(self, *nodes: NodeProcess) -> NodeProcess:
        return next(node for node in self.cluster.nodes if node not in nodes)

    # -- doing --------------------------------------------------------------------------------------------------------

    def did(self, text: str) -> None:
        self.done.append(text)

    def move_to(self, node: NodeProcess) -> None:
        """Moves the maintainer."""
        self.cluster.command("node", "move-maintainer", self.name, node.name)

    @contextlib.contextmanager
    def blocked(self, table: str) -> Iterator[None]:
        """Meanwhile nobody else can change any row of this table in the sink."""
        with self.sink.connect(autocommit=False) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM (SELECT * FROM {table} FOR UPDATE) AS all_rows")
            yield
            connection.rollback()

    def wait_in_transaction(self, node: NodeProcess) -> None:
        """Until a lane of this node waits for a row lock in the middle of a sink transaction."""
        mine = set(self.tables_on(node))

        def waits() -> bool:
            sessions = {row[2] for row in self.progress() if row[0] in mine}
            waiting = ask(
                self.sink,
                "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
            )
            return bool(sessions & {row[0] for row in waiting})

        self._until(waits, 10.0, f"no lane of {node.name} waits in a transaction")

    def wait_for_epoch_at_work(self, epoch: int, *, tables: list[str] | None = None, seconds: float = 40.0) -> None:
        """Until every table (or these) advances in the sink at `epoch` or a later one."""
        wanted = set(tables or self.workload.tables)
        first: dict[str, Row] = {}

        def advanced() -> bool:
            for row in self.progress():
                if row[0] in wanted and row[1] >= epoch:
                    first.setdefault(row[0], row)
                    if row[3:] > first[row[0]][3:]:
                        wanted.discard(row[0])
            return not wanted

        self._until(advanced, seconds, f"epoch {epoch} does not apply {sorted(wanted)}")

    def wait_refused_at_sink(self, node: NodeProcess, seconds: float = 20.0) -> None:
        before = self._refused[node.name].at_sink
        self._until(
            lambda: self.cluster.refusals()[node.name].at_sink > before, seconds, f"{node.name} was not refused"
        )

    def refused(self) -> dict[str, Refusals]:
        """By node, since the drill began."""
        return {name: each - self._refused.get(name, Refusals()) for name, each in self.cluster.refusals().items()}

    def finish(self, seconds: float = 40.0) -> Report:
        """Heals everything, ends the load, and compares when the sink has caught up."""
        self.cluster.heal()
        self.cluster.wait_for(self.name, seconds=40, state="normal")
        self.workload.stop()
        comparison = wait_until_equal(self.source.root, self.sink.root, self.name, seconds=seconds)
        return Report(
            name=self.name,
            flavour=self.cluster.flavour,
            done=tuple(self.done),
            epochs=(self._epoch, self.feed()["epoch"]),
            refused=self.refused(),
            transactions=self.workload.transactions,
            comparison=comparison,
            seconds=time.monotonic() - self._began,
        )

    def _until(self, condition: Callable[[], bool], seconds: float, problem: str) -> None:
        met: list[str] = []

        def holds() -> bool:
            try:
                return condition()
            except HedgerowError as error:
                met[:] = [f" ({error})"]
                return False

        if not wait_until(holds, seconds, 0.1):
            raise SandboxError(f"{self.name}: {problem} after {seconds:g} s{''.join(met)}: {self.done}{self._seen()}")

    def _seen(self) -> str:
        try:
            return "\n" + json.dumps(self.feed(), indent=1)
        except HedgerowError as error:
            return f"\n{error}"


def ask(server: Server, statement: str, *arguments: Any) -> tuple[Row, ...]:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return tuple(cursor.fetchall())


def _end_of_binlog(server: Server) -> str:
    """A start position: what is written from now on."""
    file, size, *_ = ask(server, "SHOW BINARY LOGS")[-1]
    return f"file:{file}:{size}"
