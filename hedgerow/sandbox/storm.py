"""Random faults and random orders on a wired cluster, from a seed.

At most two faults at a time, on different nodes, so that one node is always well; at most one etcd member of three is
ill. Each fault is undone after some seconds. Meanwhile an operator, in a thread of its own, moves, pauses and resumes,
and puts up with what a cluster in this state refuses. The seed decides what is done and when; what the machine makes of
it is its own.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from hedgerow.common.errors import HedgerowError
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.sandbox.cluster import NodeProcess
from hedgerow.sandbox.process import SandboxError
from hedgerow.sandbox.wired import How, WiredCluster

_MOST_FAULTS = 2
_PAUSE_SECONDS = (0.1, 1.0)  # between two looks
_SHORT_SECONDS = (0.3, 3.0)
_LONG_SECONDS = (3.0, 12.0)  # most are past the lease
_LONG_SHARE = 0.3
_UNAVAILABLE = 6  # the exit code of a node that cannot reach etcd when it starts
_ORDER_SECONDS = (1.0, 4.0)


@dataclass(frozen=True, slots=True)
class _Fault:
    node: NodeProcess | None  # None: an etcd member's
    until: float
    undo: Callable[[], None]


class Storm:
    def __init__(self, cluster: WiredCluster, changefeed: str, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self._cluster = cluster
        self._changefeed = changefeed
        self._random = random.Random(seed)
        self._operator_random = random.Random(seed + 1)
        self._faults: list[_Fault] = []
        self._over = threading.Event()
        self._calm = threading.Event()
        self._kinds: list[tuple[int, Callable[[], _Fault | None]]] = [
            (4, self._kill),
            (5, self._freeze),
            (2, lambda: self._cut("etcd", self._cluster.cut_off_from_etcd)),
            (2, lambda: self._cut("peers", self._cluster.cut_off_from_peers)),
            (2, lambda: self._cut("sink", self._cluster.cut_off_from_sink)),
            (1, lambda: self._cut("source", self._cluster.cut_off_from_source)),
            (2, self._kill_etcd),
            (1, self._freeze_etcd),
        ]

    def calm(self) -> None:
        """From another thread: `rage` ends soon."""
        self._calm.set()

    def rage(self, seconds: float) -> None:
        """Ends with every fault undone that it began, and the changefeed resumed."""
        deadline = time.monotonic() + seconds
        operator = threading.Thread(target=self._operate, name="operator")
        operator.start()
        try:
            while time.monotonic() < deadline and not self._calm.is_set():
                self._undo(time.monotonic())
                self._supervise()
                if len(self._faults) < _MOST_FAULTS:
                    weights = [weight for weight, _ in self._kinds]
                    fault = self._random.choices(self._kinds, weights)[0][1]()
                    if fault is not None:
                        self._faults.append(fault)
                self._calm.wait(self._random.uniform(*_PAUSE_SECONDS))
        finally:
            self._over.set()
            self._undo(float("inf"))
            self._cluster.heal()
            operator.join()
        self._resume()

    def __str__(self) -> str:
        return ", ".join(f"{what} {count}" for what, count in sorted(self.done.items()))

    # -- faults -------------------------------------------------------------------------------------------------------

    def _undo(self, now: float) -> None:
        for fault in [fault for fault in self._faults if fault.until <= now]:
            self._faults.remove(fault)
            fault.undo()

    def _supervise(self) -> None:
        """Starts a node again that could not reach etcd when it started, as a supervisor does. Raises SandboxError for
        one that has ended in any other way."""
        for node in self._cluster.nodes:
            if not node.process.running and not any(fault.node is node for fault in self._faults):
                if node.process.returncode != _UNAVAILABLE:
                    end = f"{node.name} ended with {node.process.returncode}"
                    raise SandboxError(f"{end}; its log ends:\n{node.process.log_tail()}")
                self.done["started again"] += 1
                self._cluster.start_node(node)

    def _victim(self) -> NodeProcess:
        taken = [fault.node for fault in self._faults]
        return self._random.choice([node for node in self._cluster.nodes if node not in taken and node.process.running])

    def _until(self, long_share: float = 0.0) -> float:
        span = _LONG_SECONDS if self._random.random() < long_share else _SHORT_SECONDS
        return time.monotonic() + self._random.uniform(*span)

    def _kill(self) -> _Fault:
        node = self._victim()
        self._cluster.kill(node)
        self.done["killed"] += 1
        return _Fault(node, self._until(), lambda: self._cluster.start_node(node))

    def _freeze(self) -> _Fault:
        node = self._victim()
        self._cluster.freeze(node)
        self.done["frozen"] += 1
        return _Fault(node, self._until(_LONG_SHARE), lambda: self._cluster.thaw(node))

    def _cut(self, what: str, cut: Callable[[NodeProcess, How], None]) -> _Fault:
        node = self._victim()
        how: How = self._random.choice(("cut", "stall"))
        cut(node, how)
        self.done[f"{what} {how}"] += 1
        return _Fault(node, self._until(_LONG_SHARE), self._cluster.heal_wires)

    def _member(self) -> int | None:
        if any(fault.node is None for fault in self._faults):
            return None
        return self._random.randrange(len(self._cluster.etcd.members))

    def _kill_etcd(self) -> _Fault | None:
        if (number := self._member()) is None:
            return None
        self._cluster.etcd.kill(number)
        self.done["etcd killed"] += 1
        return _Fault(None, self._until(), self._cluster.etcd.members[number].start)

    def _freeze_etcd(self) -> _Fault | None:
        if (number := self._member()) is None:
            return None
        self._cluster.etcd.freeze(number)
        self.done["etcd frozen"] += 1
        return _Fault(None, self._until(), self._cluster.etcd.members[number].thaw)

    # -- the operator -------------------------------------------------------------------------------------------------

    def _operate(self) -> None:
        orders = (self._move, self._move_dispatcher, self._pause)
        while not self._over.wait(self._operator_random.uniform(*_ORDER_SECONDS)):
            order = self._operator_random.choice(orders)
            try:
                order()
            except HedgerowError:
                self.done["orders refused"] += 1

    def _any_name(self) -> str:
        return self._operator_random.choice(self._cluster.nodes).name

    def _move(self) -> None:
        self._ask("MoveMaintainer", pb.MoveMaintainerRequest(name=self._changefeed, node=self._any_name()))
        self.done["moved"] += 1

    def _move_dispatcher(self) -> None:
        dispatchers = [each["dispatcher"] for each in self._cluster.get(self._changefeed)["dispatchers"]]
        if not dispatchers:
            raise SandboxError("no maintainer reports")
        dispatcher = self._operator_random.choice(dispatchers)
        request = pb.MoveDispatcherRequest(name=self._changefeed, dispatcher=dispatcher, node=self._any_name())
        self._ask("MoveDispatcher", request)
        self.done["dispatcher moved"] += 1

    def _pause(self) -> None:
        try:
            self._ask("Pause", pb.ChangefeedRequest(name=self._changefeed))
        finally:
            self._resume()
        self.done["paused"] += 1

    def _resume(self, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                if self._cluster.get(self._changefeed)["state"] == "stopped":
                    self._ask("Resume", pb.ChangefeedRequest(name=self._changefeed))
                return
            except HedgerowError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.2)

    def _ask(self, method: str, request: object) -> None:
        self._cluster.any_node().client().call(method, request)
