"""A model of nodes that answer late, go and come back: placement ends with each dispatcher once, whatever happened."""

from __future__ import annotations

import time

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.maintainer.bootstrap import Inventory, adopt
from hedgerow.maintainer.colocation import Unit, make_units
from hedgerow.maintainer.fleet import Fleet, Orders
from tests.unit.maintainer.builders import row, status

NODES = ["n1", "n2", "n3"]
KEYS = ["s.a", "s.b", "s.c", "s.d", "*"]
node_names = st.sampled_from(NODES)


class Node:
    """What one node runs, and what is on the wire to it and from it, each in order."""

    def __init__(self) -> None:
        self.reachable = True
        self.eligible = True
        self.running: dict[str, tuple[int, int]] = {}  # dispatcher -> (generation, lane)
        self.orders: list[Orders] = []
        self.answers: list[tuple[list[pb.DispatcherStatus], list[tuple[str, int]], int]] = []
        self.told: list[pb.DispatcherStatus] = []  # by the last answer that arrived
        self.gone: list[tuple[str, int]] = []

    def statuses(self) -> list[pb.DispatcherStatus]:
        return [status(key, generation=generation, lane=lane) for key, (generation, lane) in self.running.items()]


class FleetMachine(RuleBasedStateMachine):
    @initialize(
        lanes=st.integers(1, 3),
        edges=st.sampled_from([[], [("s.a", "s.b")]]),
        inherited=st.dictionaries(st.sampled_from(KEYS), node_names),
        changes=st.booleans(),
    )
    def begin(self, lanes: int, edges: list[tuple[str, str]], inherited: dict[str, str], changes: bool) -> None:
        """`inherited`: what a predecessor left running, in lanes of which there may be fewer now. `changes`: heartbeats
        tell only those."""
        self.changes = changes
        self.seq = 0
        self.nodes = {node: Node() for node in NODES}
        self.keys = set(KEYS)
        self.edges = edges
        self.fleet = Fleet(lanes)
        self.lanes = lanes
        for lane, (key, name) in enumerate(inherited.items()):
            self.nodes[name].running[key] = (1, lane)
        self.highest = {key: int(key in inherited) for key in KEYS}
        inventories = {name: Inventory(node.statuses()) for name, node in self.nodes.items()}
        rows = [row(key, generation=0) for key in KEYS]
        for name in NODES:
            self.enter(name)
        self.fleet.begin(adopt(inventories, rows, self.units, lanes), inventories, self.next())

    @property
    def units(self) -> list[Unit]:
        return make_units(self.keys, self.edges, pb.TABLE)

    def next(self) -> int:
        self.seq += 1
        return self.seq

    def enter(self, name: str) -> Inventory:
        node = self.nodes[name]
        node.told, node.gone = node.statuses(), []
        return Inventory(node.told)

    @rule()
    def step(self) -> None:
        reachable = [name for name, node in self.nodes.items() if node.reachable]
        eligible = [name for name in reachable if self.nodes[name].eligible]
        for name, orders in self.fleet.decide(self.units, eligible, reachable, {}).items():
            for placement in orders.create:
                key = placement.dispatcher
                assert placement.generation > self.highest[key], "a placement is above all that were ever seen"
                assert not any(key in self.nodes[other].running for other in reachable), "one incarnation at a time"
                (unit,) = [unit for unit in self.units if key in unit]
                for other in reachable:
                    for tied in self.nodes[other].running.keys() & unit:
                        lane = self.nodes[other].running[tied][1] % self.lanes
                        assert (other, lane) == (name, placement.lane), "a unit is whole before any of it begins"
                self.highest[key] = placement.generation
            self.nodes[name].orders.append(orders)

    @rule(name=node_names)
    def obey(self, name: str) -> None:
        node = self.nodes[name]
        if node.reachable and node.orders:
            orders = node.orders.pop(0)
            for placement in orders.remove:
                node.gone.append((placement.dispatcher, placement.generation))
                node.running.pop(placement.dispatcher, None)
            for placement in orders.create:
                node.running[placement.dispatcher] = (placement.generation, placement.lane)
            self.fleet.acknowledge(name, orders, self.next())

    @rule(name=node_names)
    def answer(self, name: str) -> None:
        """A heartbeat is requested and answered; it arrives later."""
        node = self.nodes[name]
        if node.reachable and not node.answers:
            node.answers.append((node.statuses(), node.gone, self.next()))
            node.gone = []

    @rule(name=node_names)
    def arrive(self, name: str) -> None:
        node = self.nodes[name]
        if node.reachable and node.answers:
            statuses, gone, seq = node.answers.pop(0)
            if self.changes:
                self.fleet.observe_gone(name, gone)
                self.fleet.observe_changes(name, [status for status in statuses if status not in node.told], seq)
            else:
                self.fleet.observe(name, statuses, seq)
            node.told = statuses

    @rule(name=node_names)
    def answer_late(self, name: str) -> None:
        """A heartbeat that was requested before orders arrives after their acknowledgement."""
        self.answer(name)
        self.obey(name)
        self.arrive(name)

    @rule(name=node_names)
    def lose(self, name: str) -> None:
        """Out of reach: what it runs it may go on to run, and what was sent may still be obeyed or not."""
        node = self.nodes[name]
        node.reachable = False
        node.orders.clear()
        node.answers.clear()
        self.fleet.lose(name)

    @rule(name=node_names)
    def come_back(self, name: str) -> None:
        node = self.nodes[name]
        if not node.reachable:
            node.reachable = True
            self.fleet.enter(name, self.enter(name), self.next())

    @rule(name=node_names)
    def break_link(self, name: str) -> None:
        """Shorter than the grace time: Bootstrap again, with what was sent lost or obeyed."""
        node = self.nodes[name]
        if node.reachable:
            node.orders.clear()
            node.answers.clear()
            self.fleet.enter(name, self.enter(name), self.next())

    @rule(name=node_names)
    def drain(self, name: str) -> None:
        self.nodes[name].eligible = not self.nodes[name].eligible

    @precondition(lambda self: len(self.keys) > 2)
    @rule(key=st.sampled_from(KEYS[:-1]))
    def drop_table(self, key: str) -> None:
        self.keys.discard(key)

    @rule(key=st.sampled_from(KEYS))
    def create_table(self, key: str) -> None:
        self.keys.add(key)

    @rule(edge=st.sampled_from([("s.a", "s.b"), ("s.b", "s.c"), ("s.c", "s.d")]))
    def tie(self, edge: tuple[str, str]) -> None:
        self.edges = [*self.edges, edge]

    @invariant()
    def what_is_settled_shares_a_node_and_a_lane(self) -> None:
        for unit in self.units if self.seq else []:
            if self.fleet.settled(unit):
                nodes = {node for key, (node, _) in self.fleet.statuses().items() if key in unit}
                assert len(nodes) == 1

    def teardown(self) -> None:
        """Left alone, everything runs once, where it may, and each unit in one lane."""
        if not hasattr(self, "nodes"):
            return
        for name, node in self.nodes.items():
            node.eligible = True
            self.come_back(name)
        for _ in range(12):
            self.step()
            for name in NODES:
                while self.nodes[name].orders:
                    self.obey(name)
                self.answer(name)
                self.arrive(name)
                self.answer(name)
                self.arrive(name)
        found = [(key, name) for name, node in self.nodes.items() for key in node.running]
        assert sorted(key for key, _ in found) == sorted(self.keys)
        for unit in self.units:
            homes = {
                (name, n.running[key][1] % self.lanes)
                for name, n in self.nodes.items()
                for key in unit
                if key in n.running
            }
            assert len(homes) == 1
            assert self.fleet.settled(unit)


FleetMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestFleet = FleetMachine.TestCase


def test_what_changes_nothing_costs_nothing() -> None:
    """A step after a heartbeat that tells of one dispatcher does not look at all the others."""
    keys = [f"s.t{number}" for number in range(3000)]
    fleet = Fleet(2)
    units = make_units([*keys, "*"], [], pb.TABLE)
    fleet.begin(adopt({}, [], units, 2), {}, 0)
    created = fleet.decide(units, NODES, NODES, {})
    for seq, (name, orders) in enumerate(created.items()):
        listed = [status(p.dispatcher, generation=p.generation, lane=p.lane, offset=1) for p in orders.create]
        fleet.observe_changes(name, listed, seq)
    assert fleet.decide(units, NODES, NODES, {}) == {}
    placed = created["n1"].create[0]
    fleet.observe_changes("n1", [status(placed.dispatcher, generation=1, lane=placed.lane, offset=2)], 9)
    begun = time.process_time()
    for offset in range(1000):
        fleet.observe_changes("n1", [status(placed.dispatcher, generation=1, lane=placed.lane, offset=offset)], 10)
        assert fleet.decide(units, NODES, NODES, {}) == {}
    assert time.process_time() - begun < 0.5, "half a millisecond each; 3,000 dispatchers took 800"
