"""The fence as a hypothesis state machine: faults and users' commands between runs of small steps.

A run of small steps is drawn as one seed, not step by step: hypothesis chooses the faults and their order, which is
what it can shrink, and thousands of steps stay cheap.
"""

from __future__ import annotations

from random import Random
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.model.cluster import Cluster
from tests.model.defects import Defect

NAMES = st.sampled_from(("x", "y"))
PICKS = st.integers(0, 255)
SEEDS = st.integers(0, 2**32 - 1)


class FenceMachine(RuleBasedStateMachine):
    defect: ClassVar[Defect | None] = None

    @initialize(nodes=st.integers(2, 3), seed=SEEDS)
    def begin(self, nodes: int, seed: int) -> None:
        self.cluster = Cluster(nodes, self.defect)
        self.cluster.create("x")
        self.cluster.source.end += 8
        self.cluster.run(Random(seed), 80, 0.0)

    @rule(seed=SEEDS, steps=st.integers(1, 60), losses=st.sampled_from((0.0, 0.0, 0.1, 0.3)))
    def run(self, seed: int, steps: int, losses: float) -> None:
        self.cluster.run(Random(seed), steps, losses)

    @rule(seed=SEEDS, steps=st.integers(20, 60))
    def run_well(self, seed: int, steps: int) -> None:
        self.cluster.run(Random(seed), steps, 0.0)

    @rule(transactions=st.integers(1, 6))
    def write(self, transactions: int) -> None:
        self.cluster.source.end += transactions

    @rule(name=NAMES)
    def create(self, name: str) -> None:
        self.cluster.create(name)

    @rule(name=NAMES, what=st.sampled_from(("pause", "resume", "resume", "remove", "move", "move")), pick=PICKS)
    def command(self, name: str, what: str, pick: int) -> None:
        self.cluster.command(name, what, pick)

    @rule(name=NAMES, pick=PICKS)
    def move_dispatcher(self, name: str, pick: int) -> None:
        self.cluster.move_dispatcher(name, pick)

    @rule(
        what=st.sampled_from(
            (
                "freeze",
                "thaw",
                "thaw",
                "cut_off",
                "fix",
                "kill",
                "lose_lease",
                "fence_locally",
                "join",
                "elect",
                "drain",
            )
        ),
        pick=PICKS,
    )
    def fault(self, what: str, pick: int) -> None:
        match what:
            case "freeze" | "thaw":
                self.cluster.freeze(pick, frozen=what == "freeze")
            case "cut_off" | "fix":
                self.cluster.cut_off(pick, cut_off=what == "cut_off")
            case "join":
                self.cluster.join()
            case _:
                getattr(self.cluster, what)(pick)

    @rule(pick=PICKS)
    def drop_session(self, pick: int) -> None:
        self.cluster.drop_session(pick)

    @rule(name=NAMES, pick=PICKS)
    def set_back(self, name: str, pick: int) -> None:
        self.cluster.set_back(name, pick)

    @rule(name=NAMES, method=st.sampled_from(("Bootstrap", "Schedule", "Close")), pick=PICKS)
    def send_legacy(self, name: str, method: str, pick: int) -> None:
        self.cluster.send_legacy(name, method, pick)

    @invariant()
    def holds(self) -> None:
        self.cluster.check()

    def teardown(self) -> None:
        if hasattr(self, "cluster"):
            self.cluster.settle(Random(0))
            self.cluster.check()
