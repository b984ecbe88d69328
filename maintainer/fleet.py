"""The dispatchers of one changefeed over its nodes: what was asked for, what is known to run, and what to ask for next.

Pure: facts come in (inventories, heartbeats, acknowledgements, lost nodes), orders come out. The rules:

- One move is a remove, then, when nothing of the unit is left in a wrong place, one create of all that is missing.
  So no two incarnations of a dispatcher are asked to run at once, and a unit claims its progress rows together.
- Every placement has a generation above all that were ever seen for its dispatcher, so the sink fences what a node that
  is out of reach may still run.
- `seq` numbers are drawn from one counter: a heartbeat proves a dispatcher gone only if it was requested after the
  removal was acknowledged.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hedgerow.common.ddlscope import ddl_id
from hedgerow.common.options import actual_lane
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.bootstrap import Adoption, Inventory
from hedgerow.maintainer.colocation import Unit
from hedgerow.maintainer.placement import Home, choose_homes


class Phase(enum.Enum):
    CREATING = "creating"  # asked for, not seen yet
    PRESENT = "present"
    REMOVING = "removing"


@dataclass(slots=True)
class Trace:
    """One dispatcher on one node. `lane` None: it is not where it belongs."""

    generation: int
    phase: Phase
    lane: int | None = None
    acknowledged: int | None = None
    status: pb.DispatcherStatus | None = None


@dataclass(slots=True)
class Orders:
    """One Schedule request."""

    create: list[dispatch_pb2.DispatcherPlacement] = field(default_factory=list)
    remove: list[dispatch_pb2.DispatcherPlacement] = field(default_factory=list)


class Fleet:
    """Owned by one maintainer; every method returns at once. What a heartbeat or a decision costs depends on what has
    changed, not on how many dispatchers there are.

    `blocked`, `failing`: dispatchers in their place that wait at a DDL, and that report an error. `moved`: those that
    have told something since `take_moved`. `version` grows when more than positions and counts has changed.
    """

    def __init__(self, lanes: int) -> None:
        self.version = 0
        self.blocked: set[str] = set()
        self.failing: set[str] = set()
        self._moved: set[str] = set()
        self._lanes = lanes
        self._homes: dict[str, Home] = {}
        self._generations: dict[str, int] = {}
        self._traces: dict[str, dict[str, Trace]] = {}  # by dispatcher and node
        self._on: dict[str, set[str]] = {}  # the dispatchers that have one there
        self._placed: dict[str, tuple[str, pb.DispatcherStatus]] = {}
        self._unsure: set[str] = set()  # of these something is to be asked for, perhaps
        self._units: Sequence[Unit] = ()
        self._unit_of: dict[str, Unit] = {}
        self._chosen_for: object = None  # what the homes were chosen for
        self._is_hosted = False  # whether any node may host dispatchers

    # Facts.

    def begin(self, adoption: Adoption, inventories: Mapping[str, Inventory], seq: int) -> None:
        """The first inventory of all nodes that answered."""
        self._homes = dict(adoption.homes)
        self._generations = dict(adoption.generations)
        for node, inventory in inventories.items():
            self.enter(node, inventory, seq)

    def enter(self, node: str, inventory: Inventory, seq: int) -> None:
        """A node has answered Bootstrap: this, and nothing else, is what it runs."""
        former = {key: self._traces[key][node] for key in self._on.get(node, ())}
        self.lose(node)
        for status in inventory.dispatchers:
            key = status.dispatcher
            known = former.get(key)
            home = self._homes.get(key)
            lane: int | None = None
            if not inventory.serves(status):
                lane = None
            elif known is not None and known.generation == status.generation and known.phase is not Phase.REMOVING:
                lane = known.lane
            elif known is None and home == Home(node, actual_lane(status.lane, self._lanes)):
                lane = home.lane if status.generation >= self._generations.get(key, 0) else None
            self._see(status.generation, key)
            self._put(node, key, Trace(status.generation, Phase.PRESENT, lane, seq, status))

    def observe(self, node: str, statuses: Sequence[pb.DispatcherStatus], seq: int) -> None:
        """A whole heartbeat that was requested at `seq`: what it does not list is not there."""
        self.observe_changes(node, statuses, seq)
        listed = {status.dispatcher for status in statuses}
        for key in self._on.get(node, set()) - listed:
            trace = self._traces[key][node]
            if trace.acknowledged is not None and seq > trace.acknowledged:
                self._forget(node, key)

    def observe_changes(self, node: str, statuses: Sequence[pb.DispatcherStatus], seq: int) -> None:
        """A heartbeat that was requested at `seq` and tells of some dispatchers."""
        for status in statuses:
            key = status.dispatcher
            self._see(status.generation, key)
            found = self._traces.get(key, {}).get(node)
            # A lower one than was acknowledged: an old order came late, and has replaced what was asked for since.
            late = found is not None and found.acknowledged is not None and seq > found.acknowledged
            if found is None or found.generation < status.generation or (late and found.generation > status.generation):
                self._put(node, key, Trace(status.generation, Phase.PRESENT, None, seq, status))
            elif found.generation == status.generation:
                former, found.status = found.status, status
                if found.phase is Phase.CREATING:
                    found.phase = Phase.PRESENT
                if status.state == pb.ENDED:  # what the sink lists under this key now is another table
                    found.lane = None
                if former is None or _substance(former) != _substance(status):
                    self._look_at(key)
                elif key in self._placed and self._placed[key][0] == node:
                    self._placed[key] = (node, status)
                    self._moved.add(key)

    def observe_gone(self, node: str, gone: Iterable[tuple[str, int]]) -> None:
        """Incarnations that the node has served and has removed."""
        for key, generation in gone:
            trace = self._traces.get(key, {}).get(node)
            if trace is not None and trace.generation <= generation:
                self._forget(node, key)

    def acknowledge(self, node: str, orders: Orders, seq: int) -> None:
        """The node has journaled these orders."""
        for placement in (*orders.create, *orders.remove):
            trace = self._traces.get(placement.dispatcher, {}).get(node)
            if trace is not None and trace.generation == placement.generation:
                trace.acknowledged = seq

    def lose(self, node: str) -> frozenset[tuple[str, int]]:
        """The node is gone or out of reach; what it may still run, which is returned, is fenced by generation."""
        lost = {key: self._traces[key][node].generation for key in self._on.get(node, ())}
        for key in lost:
            self._forget(node, key)
        return frozenset(lost.items())

    def replace(self, key: str) -> None:
        """Place this dispatcher again: its incarnation was fenced."""
        for trace in self._traces.get(key, {}).values():
            trace.lane = None
        self._look_at(key)

    # What follows from them.

    def decide(
        self, units: Sequence[Unit], eligible: Collection[str], ready: Collection[str], pinned: Mapping[str, str]
    ) -> dict[str, Orders]:
        """What to ask of each node now; each order is given once. `eligible` nodes may host dispatchers; only `ready`
        ones can be asked. Where no node is eligible, everything stays as it is. `units` is the same object as long as
        they have not changed."""
        self._choose(units, eligible, pinned)
        orders: dict[str, Orders] = {node: Orders() for node in ready}
        concerned = sorted(self._unsure)
        for key in concerned:
            for node, trace in self._traces.get(key, {}).items():
                settled_here = not self._is_hosted and key in self._unit_of and trace.lane is not None
                if settled_here or self._is_home(node, key, trace):
                    continue
                if trace.phase is not Phase.REMOVING and node in orders:
                    trace.phase, trace.lane, trace.acknowledged = Phase.REMOVING, None, None
                    orders[node].remove.append(_placement(key, trace.generation, 0))
                    self._look_at(key)
        units_concerned = dict.fromkeys(self._unit_of[key] for key in concerned if key in self._unit_of)
        for unit in units_concerned:
            if self._is_hosted:
                self._complete(unit, orders)
        self._unsure = {key for key in self._unsure if not self._is_complete(key)}
        return {node: order for node, order in orders.items() if order.create or order.remove}

    def _choose(self, units: Sequence[Unit], eligible: Collection[str], pinned: Mapping[str, str]) -> None:
        """`choose_homes` of its own answer changes nothing, so it is asked where something else has changed."""
        chosen_for = (frozenset(eligible), tuple(sorted(pinned.items())))
        if units is self._units and chosen_for == self._chosen_for:
            return
        former, former_units = self._homes, self._unit_of
        if units is not self._units:
            self._units, self._unit_of = units, {key: unit for unit in units for key in unit}
        self._chosen_for = chosen_for
        homes = choose_homes(units, eligible, former, self._lanes, pinned)
        self._homes = homes or {key: home for key, home in former.items() if key in self._unit_of}
        is_hosted, self._is_hosted = self._is_hosted, bool(homes)
        for key in former.keys() | self._homes.keys() | former_units.keys() | self._unit_of.keys():
            changed = former.get(key) != self._homes.get(key) or former_units.get(key) != self._unit_of.get(key)
            if changed or is_hosted != self._is_hosted:
                self._look_at(key)

    def _complete(self, unit: Unit, orders: Mapping[str, Orders]) -> None:
        """Asks for what is missing of it, if nothing of it is in another place."""
        home = self._homes[min(unit)]
        missing = [key for key in sorted(unit) if not self._traces.get(key)]
        if not missing or home.node not in orders or not all(map(self._is_at_home, unit.difference(missing))):
            return
        for key in missing:
            generation = self._generations.get(key, 0) + 1
            self._see(generation, key)
            self._put(home.node, key, Trace(generation, Phase.CREATING, home.lane))
            orders[home.node].create.append(_placement(key, generation, home.lane))

    def _is_complete(self, key: str) -> bool:
        """Whether nothing is left to ask for of this dispatcher, until something changes."""
        traces = self._traces.get(key)
        if key not in self._unit_of or not traces:
            return key not in self._unit_of and not traces
        return self._is_at_home(key)

    def _is_at_home(self, key: str) -> bool:
        """Whether all that there is of it is where it belongs."""
        return all(self._is_home(node, key, trace) for node, trace in self._traces[key].items())

    def _is_home(self, node: str, key: str, trace: Trace) -> bool:
        return trace.lane is not None and self._homes.get(key) == Home(node, trace.lane)

    def _see(self, generation: int, key: str) -> None:
        self._generations[key] = max(self._generations.get(key, 0), generation)

    # Keeping account.

    def _put(self, node: str, key: str, trace: Trace) -> None:
        self._traces.setdefault(key, {})[node] = trace
        self._on.setdefault(node, set()).add(key)
        self._look_at(key)

    def _forget(self, node: str, key: str) -> None:
        del self._traces[key][node]
        if not self._traces[key]:
            del self._traces[key]
        self._on[node].discard(key)
        self._look_at(key)

    def _look_at(self, key: str) -> None:
        """Something about this dispatcher has changed."""
        self._unsure.add(key)
        self._moved.add(key)
        self.version += 1
        found = [
            (node, trace.status)
            for node, trace in self._traces.get(key, {}).items()
            if trace.status is not None and self._is_home(node, key, trace)
        ]
        for node, status in found:
            self._placed[key] = (node, status)
        if not found:
            self._placed.pop(key, None)
        for listed, is_listed in (
            (self.blocked, any(status.state == pb.BLOCKED for _, status in found)),
            (self.failing, any(status.HasField("error") for _, status in found)),
        ):
            listed.add(key) if is_listed else listed.discard(key)

    # What is known.

    def settled(self, unit: Unit) -> bool:
        """Whether all of it, and no second incarnation, is where it belongs, and its stream serves it (one that is only
        journaled does not see the rows that another of its unit would go on with)."""
        if len({self._homes.get(key) for key in unit}) != 1:
            return False
        return all(len(self._traces.get(key, ())) == 1 and self._is_served(key) for key in unit)

    def unit_of(self, key: str) -> Unit | None:
        """As of the last decision."""
        return self._unit_of.get(key)

    def _is_served(self, key: str) -> bool:
        return key in self._placed and self._placed[key][1].state in (pb.RUNNING, pb.BLOCKED)

    def found(self, key: str) -> list[pb.DispatcherStatus]:
        """Of every incarnation of this dispatcher that was seen and is not known to be gone."""
        return [trace.status for trace in self._traces.get(key, {}).values() if trace.status is not None]

    def statuses(self) -> Mapping[str, tuple[str, pb.DispatcherStatus]]:
        """dispatcher -> (node, status), of the incarnations that are where they belong and have been seen."""
        return self._placed

    def take_moved(self) -> list[pb.DispatcherStatus]:
        """What those in their place have told since the last call."""
        moved, self._moved = self._moved, set()
        return [self._placed[key][1] for key in moved if key in self._placed]

    def count(self, node: str) -> int:
        """Dispatchers that run there, or are being created or removed."""
        return len(self._on.get(node, ()))


def _substance(status: pb.DispatcherStatus) -> tuple[object, ...]:
    """What of a status matters beyond how far it is."""
    blocked = ddl_id(status.blocked) if status.HasField("blocked") else None
    error = (status.error.code, status.error.message) if status.HasField("error") else None
    return status.epoch, status.generation, status.state, blocked, error


def _placement(key: str, generation: int, lane: int) -> dispatch_pb2.DispatcherPlacement:
    return dispatch_pb2.DispatcherPlacement(dispatcher=key, generation=generation, lane=lane)
