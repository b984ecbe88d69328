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
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from common.pb.v1 import dispatch_pb2
from common.pb.v1 import model_pb2 as pb
from maintainer.bootstrap import Adoption, Inventory, actual_lane
from maintainer.placement import Home, choose_homes
from maintainer.units import Unit


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
    """Owned by one maintainer; every method returns at once."""

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        self._homes: dict[str, Home] = {}
        self._generations: dict[str, int] = {}
        self._traces: dict[tuple[str, str], Trace] = {}

    # Facts.

    def begin(self, adoption: Adoption, inventories: Mapping[str, Inventory], seq: int) -> None:
        """The first inventory of all nodes that answered."""
        self._homes = dict(adoption.homes)
        self._generations = dict(adoption.generations)
        for node, inventory in inventories.items():
            self.enter(node, inventory, seq)

    def enter(self, node: str, inventory: Inventory, seq: int) -> None:
        """A node has answered Bootstrap: this, and nothing else, is what it runs."""
        former = {key: trace for (where, key), trace in self._traces.items() if where == node}
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
            self._traces[node, key] = Trace(status.generation, Phase.PRESENT, lane, seq, status)

    def observe(self, node: str, statuses: Sequence[pb.DispatcherStatus], seq: int) -> None:
        """A heartbeat that was requested at `seq`."""
        listed = {status.dispatcher: status for status in statuses}
        for (where, key), trace in list(self._traces.items()):
            if where == node and key not in listed and trace.acknowledged is not None and seq > trace.acknowledged:
                del self._traces[where, key]
        for key, status in listed.items():
            self._see(status.generation, key)
            found = self._traces.get((node, key))
            # A lower one than was acknowledged: an old order came late, and has replaced what was asked for since.
            late = found is not None and found.acknowledged is not None and seq > found.acknowledged
            if found is None or found.generation < status.generation or (late and found.generation > status.generation):
                self._traces[node, key] = Trace(status.generation, Phase.PRESENT, None, seq, status)
            elif found.generation == status.generation:
                found.status = status
                if found.phase is Phase.CREATING:
                    found.phase = Phase.PRESENT
                if status.state == pb.ENDED:  # what the sink lists under this key now is another table
                    found.lane = None

    def acknowledge(self, node: str, orders: Orders, seq: int) -> None:
        """The node has journaled these orders."""
        for placement in (*orders.create, *orders.remove):
            trace = self._traces.get((node, placement.dispatcher))
            if trace is not None and trace.generation == placement.generation:
                trace.acknowledged = seq

    def lose(self, node: str) -> frozenset[tuple[str, int]]:
        """The node is gone or out of reach; what it may still run, which is returned, is fenced by generation."""
        lost = {key: trace.generation for (where, key), trace in self._traces.items() if where == node}
        for key in lost:
            del self._traces[node, key]
        return frozenset(lost.items())

    def replace(self, key: str) -> None:
        """Place this dispatcher anew: its incarnation was fenced."""
        for (_, listed), trace in self._traces.items():
            if listed == key:
                trace.lane = None

    # What follows from them.

    def decide(
        self, units: Sequence[Unit], eligible: Collection[str], ready: Collection[str], pinned: Mapping[str, str]
    ) -> dict[str, Orders]:
        """What to ask of each node now; each order is given once. `eligible` nodes may host dispatchers; only `ready`
        ones can be asked. Where no node is eligible, everything stays as it is."""
        homes = choose_homes(units, eligible, self._homes, self._lanes, pinned)
        wanted = frozenset().union(*units)
        self._homes = homes or {key: home for key, home in self._homes.items() if key in wanted}
        orders: dict[str, Orders] = {node: Orders() for node in ready}
        for (node, key), trace in self._traces.items():
            settled_here = not homes and key in wanted and trace.lane is not None
            if settled_here or self._is_home(node, key, trace):
                continue
            if trace.phase is not Phase.REMOVING and node in orders:
                trace.phase, trace.lane, trace.acknowledged = Phase.REMOVING, None, None
                orders[node].remove.append(_placement(key, trace.generation, 0))
        if homes:
            for unit in units:
                self._complete(unit, orders)
        return {node: order for node, order in orders.items() if order.create or order.remove}

    def _complete(self, unit: Unit, orders: Mapping[str, Orders]) -> None:
        traces = [(node, key, trace) for (node, key), trace in self._traces.items() if key in unit]
        home = self._homes[min(unit)]
        missing = unit - {key for _, key, _ in traces}
        if not missing or home.node not in orders or not all(self._is_home(*trace) for trace in traces):
            return
        for key in sorted(missing):
            generation = self._generations.get(key, 0) + 1
            self._see(generation, key)
            self._traces[home.node, key] = Trace(generation, Phase.CREATING, home.lane)
            orders[home.node].create.append(_placement(key, generation, home.lane))

    def _is_home(self, node: str, key: str, trace: Trace) -> bool:
        return trace.lane is not None and self._homes.get(key) == Home(node, trace.lane)

    def _see(self, generation: int, key: str) -> None:
        self._generations[key] = max(self._generations.get(key, 0), generation)

    def settled(self, unit: Unit) -> bool:
        """Whether all of it, and no second incarnation, is where it belongs, and its stream serves it (one that is only
        journaled does not see the rows that another of its unit would go on with)."""
        traces = [(node, key, trace) for (node, key), trace in self._traces.items() if key in unit]
        served = (pb.RUNNING, pb.BLOCKED)
        one_home = len({self._homes.get(key) for key in unit}) == 1
        return (
            one_home
            and len(traces) == len(unit)
            and all(
                self._is_home(*found) and found[2].status is not None and found[2].status.state in served
                for found in traces
            )
        )

    def found(self, key: str) -> list[pb.DispatcherStatus]:
        """Of every incarnation of this dispatcher that was seen and is not known to be gone."""
        return [
            trace.status for (_, listed), trace in self._traces.items() if listed == key and trace.status is not None
        ]

    def statuses(self) -> dict[str, tuple[str, pb.DispatcherStatus]]:
        """dispatcher -> (node, status), of the incarnations that are where they belong and have been seen."""
        return {
            key: (node, trace.status)
            for (node, key), trace in self._traces.items()
            if trace.status is not None and self._is_home(node, key, trace)
        }

    def count(self, node: str) -> int:
        """Dispatchers that run there, or are being created or removed."""
        return sum(where == node for where, _ in self._traces)


def _placement(key: str, generation: int, lane: int) -> dispatch_pb2.DispatcherPlacement:
    return dispatch_pb2.DispatcherPlacement(dispatcher=key, generation=generation, lane=lane)
