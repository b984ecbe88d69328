"""A source, a sink, nodes and one owner after another: everything that the DDL barrier meets, small and without I/O.

What decides is the product's: `maintainer.core.Core` with its operations, and `common.ddlscope` where a stream or the
sink judges. What the rest does is simplified, never more orderly than the real thing: every dispatcher is a stream of
its own, every message and every view of the sink may be late or lost, and an owner may be replaced between any two
steps.

Checked at every step: a DDL statement is executed when all earlier rows of every table that it touches are applied, in
the order of the source, once; rows are applied once, and after every DDL before them that touches their table; and an
owner decides on a WRITE only where that holds already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from hedgerow.common.ddlscope import created, ddl_id, dropped, exactly_touched, touched
from hedgerow.common.ledger.progress import ProgressRow
from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.common.ledger.sessions import SessionRecord
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.bootstrap import Inventory
from hedgerow.maintainer.core import Core
from hedgerow.maintainer.operations.api import DecideBarrier, Operation, ReadSink
from hedgerow.maintainer.operations.barrier import DdlBarrier
from hedgerow.maintainer.store import SinkView
from tests.unit.maintainer.builders import at, ddl_at
from tests.unit.maintainer.operations.barrier_parts import Dispatcher, Entry, Node, Sink

LANES = 2
NODES = ("n1", "n2", "n3")


class World:
    def __init__(
        self,
        tables: list[str],
        outside: list[str],
        *,
        alone: bool = False,
        others: Callable[[], Sequence[Operation]] = tuple,
    ) -> None:
        """`outside`: tables that no filter has matched yet; they are in both servers. `alone`: the schema dispatcher
        executes a CREATE TABLE that touches nobody without being told. `others`: operations that every owner has
        besides the barrier."""
        self.alone = alone
        self.others = others
        self.log: list[Entry] = []
        self.tables = [*tables, *outside]  # of the source, after all that is in the log
        self.outside = set(outside)
        self.sink = Sink(tables)
        self.nodes = {name: Node() for name in NODES}
        self.seq = self.epoch = 0
        self.now = 0.0
        self.core: Core | None = None
        self.began = False
        self.asked = False  # a view was asked for and has not arrived
        self.snapshot: SinkView | None = None
        self.included = False

    # The source.

    def append(self, rows: str = "", ties: tuple[tuple[str, str], ...] = (), **ddl: list[str]) -> None:
        offset = len(self.log) + 1
        if rows:
            self.log.append(Entry(offset, rows))
            return
        scope = pb.EVERYTHING if ddl.get("everything") else pb.TABLES
        message = ddl_at(offset, *ddl.get("touches", []), scope=scope)
        for name in ddl.get("creates", []):
            schema, _, table = name.partition(".")
            message.creates.add(schema=schema, table=table)
        for name in ddl.get("drops", []):
            schema, _, table = name.partition(".")
            message.drops.add(schema=schema, table=table)
        self.log.append(Entry(offset, "", message, ties, bool(ddl.get("select"))))

    def rows_before(self, ddl: pb.Ddl) -> set[int]:
        """Offsets of the rows that must be applied before this DDL is executed."""
        keys = touched(ddl, {entry.rows for entry in self.log if entry.rows} - self.outside)
        return {e.offset for e in self.log[: ddl.position.offset - 1] if e.rows in keys}

    # Nodes.

    def live(self, name: str, key: str) -> None:
        """One thing happens to a dispatcher."""
        node = self.nodes[name]
        one = node.dispatchers[key]
        if one.state == pb.STARTING:
            row = self.sink.claim(key, node.epoch, one.generation)
            if row is None:
                one.state = pb.BROKEN
                return
            one.state, one.session = pb.RUNNING, row.session
            one.position = one.read = row.position.offset
            one.executed = one.position if key == SCHEMA_DISPATCHER else None
        elif one.executing:
            self._finish(node, one)
        elif one.state == pb.RUNNING:
            self._read(node, one)

    def _read(self, node: Node, one: Dispatcher) -> None:
        for entry in self.log[one.read :]:
            one.read = entry.offset
            if entry.rows == one.key:
                self._apply(node, one, entry)
                return
            if entry.rows:
                continue
            keys = {one.key}
            if one.key == SCHEMA_DISPATCHER or touched(entry.ddl, keys) or dropped(entry.ddl, keys):
                one.state, one.blocked = pb.BLOCKED, entry
                if self.alone and one.key == SCHEMA_DISPATCHER and exactly_touched(entry.ddl) == created(entry.ddl):
                    self._start(node, one, DecideBarrier("", entry.ddl, dispatch_pb2.WRITE, (one.key,)))
                return

    def _apply(self, node: Node, one: Dispatcher, entry: Entry) -> None:
        if not self._move(node, one, entry.offset):
            return
        assert entry.offset not in self.sink.applied, f"rows at {entry.offset} are applied twice"
        self.sink.applied.add(entry.offset)
        for ddl in (e for e in self.log[: entry.offset] if not e.rows and touched(e.ddl, {one.key})):
            assert ddl.offset in self.sink.executed, f"rows at {entry.offset} before the DDL at {ddl.offset}"

    def _move(self, node: Node, one: Dispatcher, offset: int) -> bool:
        if not self.sink.move(one.key, node.epoch, one.session, offset):
            one.state = pb.BROKEN
            return False
        one.position = max(offset, one.position or 0)
        return True

    def idle_progress(self, name: str, key: str) -> None:
        node = self.nodes[name]
        one = node.dispatchers[key]
        if one.state == pb.RUNNING and not (one.read and self.log[one.read - 1].rows_follow):
            self._move(node, one, one.read)

    def obey(self, name: str) -> None:
        node = self.nodes[name]
        if not node.inbox:
            return
        epoch, what = node.inbox.pop(0)
        if epoch != node.epoch:
            return
        if isinstance(what, DecideBarrier):
            for key in what.dispatchers:
                one = node.dispatchers.get(key)
                if one is None or one.blocked is None or one.state != pb.BLOCKED or one.executing:
                    continue
                if ddl_id(one.blocked.ddl) == ddl_id(what.ddl):
                    self._decided(node, one, what)
            return
        for placement in what.remove:
            found = node.dispatchers.get(placement.dispatcher)
            if found is not None and found.generation <= placement.generation:
                del node.dispatchers[placement.dispatcher]
        for placement in what.create:
            found = node.dispatchers.get(placement.dispatcher)
            if found is None or found.generation < placement.generation:
                key = placement.dispatcher
                node.dispatchers[key] = Dispatcher(key, placement.generation, placement.lane)
        if epoch == self.epoch and self.core is not None and node.reachable:
            self.core.acknowledge(name, what, self.next())

    def _decided(self, node: Node, one: Dispatcher, what: DecideBarrier) -> None:
        assert one.blocked is not None
        if what.action == dispatch_pb2.WRITE:
            self._start(node, one, what)
        elif dropped(what.ddl, {one.key}):
            one.state, one.position = pb.ENDED, one.blocked.offset
        elif one.blocked.rows_follow or self._move(node, one, one.blocked.offset):
            one.state = pb.RUNNING

    def _start(self, node: Node, one: Dispatcher, what: DecideBarrier) -> None:
        """The transaction that records `started`."""
        sink, entry = self.sink, one.blocked
        assert entry is not None
        row = sink.rows[SCHEMA_DISPATCHER]
        if node.epoch < sink.fence or row.generation != one.generation or row.epoch > node.epoch:
            one.state = pb.BROKEN
            return
        if sink.started != entry.offset:
            found = {key: sink.rows[key].generation for key in touched(what.ddl, sink.rows)}
            if found != dict(what.flushed):
                return
            sink.started = entry.offset
        if entry.offset not in sink.executed:
            missing = self.rows_before(entry.ddl) - sink.applied
            assert not missing, f"the DDL at {entry.offset} is executed before the rows at {missing}"
            assert not sink.executed or sink.executed[-1] < entry.offset, "DDL in another order"
            sink.executed.append(entry.offset)
            sink.edges |= set(entry.ties)
        one.executing = True

    def _finish(self, node: Node, one: Dispatcher) -> None:
        """The transaction that records `done`."""
        sink, entry = self.sink, one.blocked
        assert entry is not None
        one.executing = False
        row = sink.rows[SCHEMA_DISPATCHER]
        if node.epoch < sink.fence or row.generation != one.generation or row.epoch > node.epoch:
            one.state = pb.BROKEN
            return
        for key in dropped(entry.ddl, sink.rows):
            del sink.rows[key]
            sink.edges = {edge for edge in sink.edges if key not in edge}
        begin = at(entry.offset - 1 if entry.rows_follow else entry.offset)
        for name in entry.ddl.creates:
            key = f"{name.schema}.{name.table}"
            sink.rows.setdefault(key, ProgressRow(key, node.epoch, 0, begin, SessionRecord(0, "")))
        sink.rows[SCHEMA_DISPATCHER] = replace(row, position=at(entry.offset))
        sink.started = None
        one.state, one.position, one.executed = pb.RUNNING, entry.offset, entry.offset

    def kill(self, name: str) -> None:
        """The process dies, and is there again as a node that runs nothing."""
        self.cut_off(name)
        node = self.nodes[name]
        node.dispatchers.clear()
        node.inbox.clear()

    def cut_off(self, name: str) -> None:
        node = self.nodes[name]
        node.reachable, node.beat = False, None
        if self.core is not None:
            self.core.lose(name)

    def come_back(self, name: str) -> None:
        """Bootstrap, also of a link that was broken for a moment: what was on the wire is lost."""
        node = self.nodes[name]
        node.reachable, node.beat = True, None
        if self.core is not None:
            node.inbox.clear()
            node.epoch = self.epoch
            self.core.enter(name, Inventory(node.statuses(), ()), self.next())

    # The owner.

    def next(self) -> int:
        self.seq += 1
        return self.seq

    def take_over(self) -> None:
        """Another owner: every node that is within reach answers its Bootstrap, then it asks for the sink."""
        self.epoch += 1
        self.core = Core("u", pb.ChangefeedOptions(lanes=LANES), "mariadb", [DdlBarrier(5.0), *self.others()])
        self.began = self.included = False
        self.asked, self.snapshot = True, None
        for name, node in self.nodes.items():
            if node.reachable:
                self.come_back(name)
        self.core.view_begins()

    def read_sink(self) -> None:
        """The sink answers."""
        if self.asked and self.snapshot is None:
            self.sink.fence = self.epoch
            self.snapshot = self.sink.view()

    def view_arrives(self) -> None:
        if self.snapshot is None or self.core is None:
            return
        view, self.snapshot, self.asked = self.snapshot, None, False
        if self.began:
            self.core.take_view(view)
        else:
            self.core.begin(view, self.next())
            self.began = True

    def ask_beat(self, name: str) -> None:
        node = self.nodes[name]
        if node.reachable and node.beat is None and node.epoch == self.epoch:
            node.beat = node.statuses(), self.next()

    def beat_arrives(self, name: str) -> None:
        node = self.nodes[name]
        if node.beat is not None and self.core is not None:
            (statuses, seq), node.beat = node.beat, None
            self.core.observe(name, dispatch_pb2.HeartbeatResponse(dispatchers=statuses), seq)

    def step(self) -> None:
        if self.core is None or not self.began:
            return
        self.now += 1.0
        reachable = [name for name, node in self.nodes.items() if node.reachable]
        step = self.core.step(reachable, reachable, self.now)
        assert step.broken is None
        for name, orders in step.orders.items():
            self.nodes[name].inbox.append((self.epoch, orders))
        for command in step.commands:
            if isinstance(command, ReadSink):
                self.core.ask_for_view()
                continue
            if command.action == dispatch_pb2.WRITE and not self.included:
                missing = self.rows_before(command.ddl) - self.sink.applied
                assert not missing, f"WRITE at {command.ddl.position.offset} before the rows at {missing} are applied"
            self.nodes[command.node].inbox.append((self.epoch, command))
        if step.must_read and not self.asked:
            self.core.view_begins()
            self.asked = True

    def include(self, key: str) -> None:
        """A stream has met rows of a table that has no dispatcher, and adds one before them."""
        if key in self.outside and self.sink.started is None:
            position = self.sink.rows[SCHEMA_DISPATCHER].position
            self.outside.discard(key)
            self.sink.applied |= {e.offset for e in self.log[: position.offset] if e.rows == key}
            self.sink.rows[key] = ProgressRow(key, self.epoch, 0, position, SessionRecord(0, ""))
            self.included = True

    def settle(self) -> None:
        """Left alone, everything is applied."""
        if self.core is None or self.included:  # the changefeed stops where a table was included, and is resumed
            self.take_over()
        for name in NODES:
            if not self.nodes[name].reachable:
                self.come_back(name)
        for _ in range(40 + 12 * len(self.log)):
            self.read_sink()
            self.view_arrives()
            self.step()
            for name, node in self.nodes.items():
                while node.inbox:
                    self.obey(name)
                for key in list(node.dispatchers):
                    for _ in range(3):
                        self.live(name, key)
                self.beat_arrives(name)
                self.ask_beat(name)
                self.beat_arrives(name)
        assert self.sink.executed == [entry.offset for entry in self.log if not entry.rows]
        rows = {entry.offset for entry in self.log if entry.rows and entry.rows not in self.outside}
        assert rows - self.sink.applied == set(), "rows that were never applied"
