"""What one maintainer knows of its changefeed, and what follows: the pure core that `Maintainer` is the shell of.

Facts come in (views of the sink, inventories, heartbeats, acknowledgements, lost nodes), `step` tells what to do. No
I/O and no clock: times are given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import SinkRefused, loses_ownership
from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.options import effective
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.bootstrap import Inventory, adopt
from hedgerow.maintainer.checkpoint import AppliedTotals, Checkpoint
from hedgerow.maintainer.colocation import Unit, make_units
from hedgerow.maintainer.fleet import Fleet, Orders
from hedgerow.maintainer.operations.api import Command, Operation, Placed, View, together
from hedgerow.maintainer.readings import Readings
from hedgerow.maintainer.reporting import worst
from hedgerow.maintainer.store import SinkView


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now. `commands` are the operations'. `must_read`: the sink is to be read again (`take_view`).
    `broken`: a dispatcher's error that only the coordinator can decide over."""

    orders: Mapping[str, Orders]
    commands: tuple[Command, ...]
    must_read: bool
    error: pb.ChangefeedError | None
    broken: pb.ChangefeedError | None


class Core:
    """Owned by one maintainer; every method returns at once."""

    def __init__(
        self, uid: str, options: pb.ChangefeedOptions, flavour: Flavour, operations: Sequence[Operation]
    ) -> None:
        self.dispatchers: frozenset[str] = frozenset()
        self.applied = AppliedTotals()
        self._uid = uid
        self._consistency = options.consistency
        self._flavour = flavour
        self._lanes = effective(options).lanes
        self._fleet = Fleet(self._lanes)
        self._checkpoint = Checkpoint(flavour)
        self._operations = operations
        self._sessions: dict[str, int] = {}  # by node: when it answered Bootstrap
        self._inventories: dict[str, Inventory] | None = {}  # until `begin`
        self._units: list[Unit] = []
        self._tied: tuple[frozenset[str], frozenset[tuple[str, str]]] | None = None  # what the units were made of
        self._schema_row = Position()
        self._pinned: dict[str, str] = {}
        self._fenced: set[str] = set()
        self._readings = Readings()

    # Facts.

    def view_begins(self) -> None:
        """The sink is being read: what is known before now will be in that view."""
        self._readings.begin(self._schema_statuses())

    def begin(self, view: SinkView, seq: int) -> None:
        """The first view of the sink, read after the fence was raised. What the nodes have told is adopted by it."""
        inventories, self._inventories = self._inventories or {}, None
        self._set_view(view)
        self._readings.take()
        self._fleet.begin(adopt(inventories, view.rows, self._units, self._lanes), inventories, seq)
        self._checkpoint.advance()  # the first report has one: it tells the coordinator that there is progress

    def take_view(self, view: SinkView) -> None:
        """A later view. That it could be read proves that this owner is not fenced, so fenced dispatchers are placed
        again. Raises SinkRefused where the sink has lost the progress."""
        for key in self._fenced:
            self._fleet.replace(key)
        self._fenced.clear()
        self._set_view(view)
        self._readings.take()

    def ask_for_view(self) -> None:
        """The progress rows may have changed."""
        self._readings.ask()

    def enter(self, node: str, inventory: Inventory, seq: int) -> None:
        """A node has answered Bootstrap."""
        self.applied.adopt(node, inventory.dispatchers)
        self._sessions[node] = seq
        if self._inventories is not None:
            self._inventories[node] = inventory
        else:
            self._fleet.enter(node, inventory, seq)

    def observe(self, node: str, beat: dispatch_pb2.HeartbeatResponse, seq: int) -> None:
        """A heartbeat that was requested at `seq`."""
        gone = {placement.dispatcher: placement.generation for placement in beat.gone}
        self.applied.observe(node, beat.dispatchers, beat.rows, gone.items())
        if self._inventories is not None:
            if node in self._inventories:
                self._inventories[node] = self._inventories[node].after(beat)
        elif beat.changes:
            self._fleet.observe_gone(node, gone.items())
            self._fleet.observe_changes(node, beat.dispatchers, seq)
        else:
            self._fleet.observe(node, beat.dispatchers, seq)

    def acknowledge(self, node: str, orders: Orders, seq: int) -> None:
        self._fleet.acknowledge(node, orders, seq)

    def lose(self, node: str) -> frozenset[tuple[str, int]]:
        """The node is gone, out of reach, or cannot serve. Returns the incarnations that count as lost with it."""
        lost = self._fleet.lose(node)
        self._sessions.pop(node, None)
        if self._inventories is not None:
            self._inventories.pop(node, None)
        return lost

    def served(self) -> frozenset[tuple[str, int]]:
        """Before `begin`: the incarnations that run on nodes that have answered."""
        return frozenset(
            (status.dispatcher, status.generation)
            for inventory in (self._inventories or {}).values()
            for status in inventory.dispatchers
        )

    def pin(self, dispatcher: str, node: str) -> None:
        """A user wants this dispatcher, with all that are tied to it, on that node."""
        unit = next(unit for unit in self._units if dispatcher in unit)
        self._pinned.update(dict.fromkeys(unit, node))

    # What follows.

    @property
    def somebody_waits(self) -> bool:
        """At a DDL; for a reading of the sink, perhaps."""
        return bool(self._fleet.blocked)

    def step(self, eligible: Collection[str], ready: Collection[str], now: float) -> Step:
        """`eligible` nodes may host dispatchers, `ready` ones can be asked; `now` in seconds of any clock that does not
        go back. Raises HistoryDiverged where positions cannot be compared."""
        orders = self._fleet.decide(self._units, eligible, ready, self._pinned)
        error, broken = self._judge()
        must_read = bool(self._fenced) or not self._readings.is_latest(self._schema_statuses())
        view = self._view({node: self._sessions[node] for node in ready}, list_is_latest=not must_read)
        return Step(orders, together(self._operations, view, now), must_read, error, broken)

    def advance(self) -> None:
        """Brings the checkpoint up to the heartbeats. Not while `Step.must_read`: a dispatcher may be unknown still."""
        self._checkpoint.observe(self._fleet.take_moved())
        self._checkpoint.advance()

    def placed(self) -> Placed:
        """dispatcher -> (node, status), of the incarnations that are where they belong and have been seen."""
        return self._fleet.statuses()

    @property
    def checkpoint(self) -> Position | None:
        return self._checkpoint.reported

    @property
    def version(self) -> int:
        """Grows when more than positions and counts has changed."""
        return self._fleet.version

    def _view(self, sessions: Mapping[str, int], *, list_is_latest: bool) -> View:
        return View(
            dispatchers=self.dispatchers,
            placed=self.placed(),
            blocked=self._fleet.blocked,
            schema_row=self._schema_row,
            flavour=self._flavour,
            list_is_latest=list_is_latest,
            sessions=sessions,
            is_settled=self._is_settled,
        )

    def _schema_statuses(self) -> list[pb.DispatcherStatus]:
        """Of every incarnation that is known of: one that was replaced may have executed something as well."""
        if self._inventories is None:
            return self._fleet.found(SCHEMA_DISPATCHER)
        return [
            status
            for inventory in self._inventories.values()
            for status in inventory.dispatchers
            if status.dispatcher == SCHEMA_DISPATCHER
        ]

    def _set_view(self, view: SinkView) -> None:
        rows = {row.dispatcher: row.position for row in view.rows}
        if SCHEMA_DISPATCHER not in rows:
            raise SinkRefused(
                f"the sink has no progress of changefeed {self._uid} any more: somebody has deleted rows of "
                f"hedgerow.progress. Restore them, or remove the changefeed and create it again"
            )
        tied = (frozenset(rows), frozenset(view.edges))
        if tied != self._tied:
            self._tied = tied
            self.dispatchers = tied[0]
            self._units = make_units(self.dispatchers, view.edges, self._consistency)
        self._schema_row = rows[SCHEMA_DISPATCHER]
        self._checkpoint.set_dispatchers(rows)

    def _is_settled(self, key: str) -> bool:
        unit = self._fleet.unit_of(key)
        return unit is not None and self._fleet.settled(unit)

    def _judge(self) -> tuple[pb.ChangefeedError | None, pb.ChangefeedError | None]:
        """The worst error, and one that is final. A dispatcher that was fenced has only lost its own incarnation unless
        the sink says otherwise when it is read."""
        reports: list[pb.ChangefeedError] = []
        broken: list[pb.ChangefeedError] = []
        placed = self.placed()
        for key in sorted(self._fleet.failing):
            node, status = placed[key]
            report = pb.ChangefeedError()
            report.CopyFrom(status.error)
            report.node, report.dispatcher = node, key
            fenced = loses_ownership(report.code)
            if status.state == pb.BROKEN and fenced:
                self._fenced.add(key)
            elif status.state == pb.BROKEN:
                broken.append(report)
            if not fenced:
                reports.append(report)
        return worst(reports), worst(broken)
