"""DDL statements whose execution is cut short: where, on which node, and what happens to the sink meanwhile.

Each cell is one statement on one changefeed that goes on from cell to cell. Its outcome is `equal`, by rows and by SHOW
CREATE of everything, or the name of the error that stopped it, and then `equal` once its message was followed; anything
else raises. A table without a key is written to all the time.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from hedgerow.common.errors import HedgerowError
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.names import quoted
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.sandbox.accounts import SOURCE_USER
from hedgerow.sandbox.cluster import Cluster, NodeProcess
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.process import SandboxError, wait_until
from hedgerow.sandbox.servers import Server, ServerPair
from tests.crash.sink import ReplicatedSink, ask

Step = Literal["before started", "started", "sent", "executed", "done"]
Victim = Literal["writer", "other", "maintainer"]
Meanwhile = Literal["nothing", "failover", "rebuilt", "crashed"]
STEPS: tuple[Step, ...] = ("before started", "started", "sent", "executed", "done")
VICTIMS: tuple[Victim, ...] = ("writer", "other", "maintainer")
MEANWHILES: tuple[Meanwhile, ...] = ("nothing", "failover", "rebuilt", "crashed")
STATEMENTS: dict[str, tuple[str, str]] = {  # and what is written afterwards
    "CREATE": ("CREATE TABLE {s}.n (id INT PRIMARY KEY, v INT DEFAULT 4)", "INSERT INTO {s}.n (id) VALUES (1), (2)"),
    "ALTER ADD": ("ALTER TABLE {s}.t ADD COLUMN c INT DEFAULT 7", "INSERT INTO {s}.t VALUES (50, 5, 8)"),
    "DROP": ("DROP TABLE {s}.t", "INSERT INTO {s}.u VALUES (60, 6)"),
    "RENAME swap": ("RENAME TABLE {s}.t TO {s}.x, {s}.u TO {s}.t, {s}.x TO {s}.u", "INSERT INTO {s}.t VALUES (70, 7)"),
    "TRUNCATE": ("TRUNCATE TABLE {s}.t", "INSERT INTO {s}.t VALUES (80, 8)"),
    "DROP DATABASE": ("DROP DATABASE {s}x", "INSERT INTO {s}.u VALUES (90, 9)"),
}
FEED = "crash"
_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Cell:
    """`started`: the statement was sent, and was ended before it was executed. `sent`: it is executed by the server
    after its client has died. `executed`: and not recorded. `meanwhile`: to the sink, before anybody looks."""

    statement: str
    step: Step
    victim: Victim
    meanwhile: Meanwhile

    def __str__(self) -> str:
        return f"{self.statement}, {self.step}, {self.victim}, {self.meanwhile}"


CELLS = [Cell(*each) for each in itertools.product(STATEMENTS, STEPS, VICTIMS, MEANWHILES)]


class Matrix:
    """Three nodes, a source, and a sink with a replica. A context manager."""

    def __init__(self, flavour: Flavour, *, replica_logs: bool = True) -> None:
        """`replica_logs`: the sink's replica logs what it replicates, so that its binlog tells after a failover."""
        self.flavour = flavour
        self.sink = ReplicatedSink(flavour, replica_logs=replica_logs)
        self.source = Server(flavour, "source")
        self.cluster = Cluster(flavour, 3, pair=ServerPair(self.source, self.sink.primary))
        self._number = 0
        self._uid = ""

    def __enter__(self) -> Matrix:
        try:
            self.source.start()
            self.sink.start()
            self.cluster.start()
            uris = ("--source", self.source.account(SOURCE_USER).uri, "--sink", self.sink.access.uri)
            self._uid = self.cluster.command("changefeed", "create", FEED, *uris, "--start", "earliest")["uid"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.cluster.close()
        self.sink.close()
        self.source.close()

    def run(self, cell: Cell) -> str:
        """The outcome. Raises SandboxError where it is none of those that are allowed."""
        self._number += 1
        schema = f"c{self._number}"
        self._prepare(schema)
        nodes = self._spread(schema)
        statement, afterwards = (text.format(s=schema) for text in STATEMENTS[cell.statement])
        with self._writing(schema):
            self._cut_short(cell, schema, nodes[cell.victim], statement, afterwards)
            outcome = self._finish(cell)
        return self._compare(cell, schema, outcome)

    # -- before -------------------------------------------------------------------------------------------------------

    def _prepare(self, s: str) -> None:
        ask(
            self.source,
            f"CREATE DATABASE {s}; CREATE DATABASE {s}x; CREATE TABLE {s}.k (id INT, v INT);"
            f" CREATE TABLE {s}.t (id INT PRIMARY KEY, v INT); CREATE TABLE {s}.u (id INT PRIMARY KEY, v INT);"
            f" CREATE TABLE {s}x.d (id INT PRIMARY KEY); INSERT INTO {s}.t VALUES (1, 1), (2, 2);"
            f" INSERT INTO {s}.u VALUES (10, 1); INSERT INTO {s}x.d VALUES (1);"
            f" INSERT INTO {s}.k VALUES (1, 1), (1, 1)",
        )
        self._until(lambda: self._rows(f"{s}.k") == 2 and self._rows(f"{s}x.d") == 1, "it does not begin")

    def _rows(self, table: str) -> int:
        schema, _, name = table.partition(".")
        there = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
        if ask(self.sink.primary, there, schema, name) == ((0,),):
            return -1
        return int(ask(self.sink.primary, f"SELECT COUNT(*) FROM {table}")[0][0])

    def _spread(self, schema: str) -> dict[Victim, NodeProcess]:
        """The schema dispatcher, the table's, and the maintainer, each on a node of its own."""
        wanted: dict[Victim, NodeProcess] = {}
        client = self.cluster.any_node().client()
        maintainer = self.cluster.owner(FEED)
        rest = [node for node in self.cluster.nodes if node is not maintainer]
        wanted = {"maintainer": maintainer, "writer": rest[0], "other": rest[1]}
        places = {"*": rest[0], f"{schema}.t": rest[1]}

        def placed() -> bool:
            dispatchers = {each["dispatcher"]: each for each in self.cluster.get(FEED)["dispatchers"]}
            done = True
            for key, node in places.items():
                found = dispatchers.get(key, {})
                if not str(found.get("node", "")).startswith(f"{node.name}-"):
                    done = False
                    with contextlib.suppress(HedgerowError):
                        client.call(
                            "MoveDispatcher", pb.MoveDispatcherRequest(name=FEED, dispatcher=key, node=node.name)
                        )
                elif found["state"] != "running":
                    done = False
            return done

        self._until(placed, "the dispatchers are not spread")
        return wanted

    @contextlib.contextmanager
    def _writing(self, schema: str) -> Iterator[None]:
        over = threading.Event()

        def write() -> None:
            with self.source.connect() as connection, connection.cursor() as cursor:
                for number in itertools.count():
                    cursor.execute(f"INSERT INTO {schema}.k VALUES (%s, %s)", (number % 7, number % 3))
                    if over.wait(0.03):
                        return

        thread = threading.Thread(target=write)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    # -- the crash ----------------------------------------------------------------------------------------------------

    def _cut_short(self, cell: Cell, schema: str, victim: NodeProcess, statement: str, afterwards: str) -> None:
        sink = self.sink
        begins = " ".join(statement.split()[:2])  # the server may have written the rest again
        if cell.step == "before started":
            with sink.locked("changefeed_uid = %s", self._uid):
                ask(self.source, f"{statement}; {afterwards}")
                sink.wait(lambda: sink.sessions("INSERT INTO hedgerow.ddl"), "the journal's row is not written")
                self._die(victim)
        else:
            with contextlib.ExitStack() as rows:
                with sink.ddl_held():
                    ask(self.source, f"{statement}; {afterwards}")
                    sink.wait(lambda: sink.sessions(begins), "the statement does not come")
                    if cell.step == "executed":
                        rows.enter_context(sink.locked("changefeed_uid = %s AND state = 'started'", self._uid))
                    elif cell.step != "done":
                        self._die(victim)
                        if cell.step == "started":
                            sink.kill(sink.sessions(begins))
                            sink.wait(lambda: not sink.sessions(begins), "the statement does not end")
                sink.wait(lambda: not sink.sessions(begins), "the statement does not end")
                if cell.step == "executed":
                    sink.wait(lambda: sink.sessions("UPDATE hedgerow.ddl"), "the journal is not written")
                    self._die(victim)
            if cell.step == "done":
                done = "SELECT COUNT(*) FROM hedgerow.ddl WHERE state <> 'done' AND changefeed_uid = %s"
                sink.wait(lambda: ask(sink.primary, done, self._uid) == ((0,),), "it is not done")
                self._die(victim)
        self._meanwhile(cell, schema)
        sink.fix()
        self.cluster.nodes[self.cluster.nodes.index(victim)].start()
        sink.rejoin()

    def _die(self, victim: NodeProcess) -> None:
        """Nobody reaches the sink from now on, and one node is dead."""
        self.sink.cut()
        victim.process.kill()

    def _meanwhile(self, cell: Cell, schema: str) -> None:
        if cell.meanwhile == "failover":
            self.sink.fail_over()
        elif cell.meanwhile == "crashed":
            self.sink.crash()
        elif cell.meanwhile == "rebuilt":
            self.sink.wait(lambda: not self.sink.sessions(""), "sessions of the changefeed do not end")
            for name, table in ask(
                self.sink.primary,
                "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN (%s, %s)",
                *(schema, f"{schema}x"),
            ):
                ask(self.sink.primary, f"ALTER TABLE {quoted(name)}.{quoted(table)} FORCE")

    # -- after --------------------------------------------------------------------------------------------------------

    def _finish(self, cell: Cell) -> str:
        """Waits until a row that is written now has arrived, or it has stopped; then follows the message."""
        outcome = ""
        mark = time.time_ns() % 1_000_000_000
        schema = f"c{self._number}"
        ask(self.source, f"INSERT INTO {schema}.k VALUES (%s, %s)", mark, mark)
        arrived = f"SELECT COUNT(*) FROM {schema}.k WHERE id = %s"

        def over() -> bool:
            nonlocal outcome
            try:
                feed = self.cluster.get(FEED)
            except HedgerowError:
                return False
            if feed["state"] == "failed":
                outcome = self._follow(cell, feed)
            return ask(self.sink.primary, arrived, mark) == ((1,),)

        self._until(over, f"{cell}: it does not go on")
        return outcome

    def _follow(self, cell: Cell, feed: Any) -> str:
        error = feed["error"]
        state = "done" if cell.step in ("sent", "executed", "done") else "refused"
        found = re.findall(
            rf"UPDATE hedgerow\.ddl SET state = '{state}' WHERE .*? AND ddl_key = '[^']*'", error["message"]
        )
        if error["code"] != "DdlUncertain" or len(found) != 1:
            raise SandboxError(f"{cell}: stopped with {error['code']}: {error['message']}")
        with self.sink.access.connect() as connection, connection.cursor() as cursor:
            cursor.execute(found[0])
        self.cluster.command("changefeed", "resume", FEED)
        return "DdlUncertain, then "

    def _compare(self, cell: Cell, schema: str, outcome: str) -> str:
        schemas = (schema, f"{schema}x")
        comparison = wait_until_equal(self.source.root, self.sink.primary.root, *schemas, seconds=_SECONDS)
        if not comparison.equal:
            raise SandboxError(f"{cell}: {outcome}DIFFERENT:\n{comparison}")
        left, right = (_shown(server, schemas) for server in (self.source, self.sink.primary))
        if left != right:
            raise SandboxError(f"{cell}: {outcome}DIFFERENT:\n{left}\n{right}")
        ask(self.source, f"DROP DATABASE {schema}; DROP DATABASE IF EXISTS {schema}x")
        return f"{outcome}equal"

    def _until(self, condition: Any, problem: str) -> None:
        if not wait_until(condition, _SECONDS, 0.1):
            try:
                seen = str(self.cluster.get(FEED))
            except HedgerowError as error:
                seen = str(error)
            raise SandboxError(f"{problem}: {seen}")


def _shown(server: Server, schemas: tuple[str, ...]) -> dict[str, str]:
    shown = {}
    for schema in schemas:
        if ask(server, "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = %s", schema) == ((0,),):
            continue
        shown[schema] = str(ask(server, f"SHOW CREATE DATABASE {quoted(schema)}")[0][1])
        tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"
        for (table,) in ask(server, tables, schema):
            shown[f"{schema}.{table}"] = str(ask(server, f"SHOW CREATE TABLE {quoted(schema)}.{quoted(table)}")[0][1])
    return shown


def run_all(flavour: Flavour, cells: list[Cell], *, replica_logs: bool = True) -> Iterator[tuple[Cell, str, float]]:
    """Each cell's outcome, and the seconds it took. After one that is not allowed a new cluster is used."""
    left = iter(cells)
    pending = next(left, None)
    while pending is not None:
        with Matrix(flavour, replica_logs=replica_logs) as matrix:
            while pending is not None:
                began = time.monotonic()
                try:
                    outcome, ill = matrix.run(pending), False
                except (SandboxError, HedgerowError) as error:
                    outcome, ill = f"FAILED {error}", True
                yield pending, outcome, time.monotonic() - began
                pending = next(left, None)
                if ill:
                    break
