"""What `make bench` was asked for, and who takes part."""

from __future__ import annotations

from dataclasses import dataclass

from bench.command import CommandLine
from bench.contender import Contender
from bench.huge import ROW
from bench.native import Native
from bench.ours import Hedgerow
from bench.scenarios import SCENARIOS, Scenario

LATENCY, HUGE, IDLE = "latency", "huge", "idle"
NAMES = (*(scenario.name for scenario in SCENARIOS), LATENCY, HUGE, IDLE)
HUGE_BYTES = 2 << 30
SINKS = {"durable": True, "not-durable": False}


@dataclass(frozen=True, slots=True)
class Plan:
    """`options` go to `hedgerow changefeed create`. `wanted_window`: seconds that the fastest is to need at least.
    `sink`: only this kind, of those that a scenario is measured with. `peers` take part beside Hedgerow and native
    replication."""

    scenarios: tuple[str, ...]
    rounds: int
    quick: bool
    rate: float
    options: tuple[str, ...]
    wanted_window: float
    workers: tuple[int, ...]
    sink: str | None = None
    peers: tuple[CommandLine, ...] = ()

    @property
    def window(self) -> float:
        """0: as long as the first piece of the binlog takes."""
        return 0.0 if self.quick else self.wanted_window

    @property
    def contenders(self) -> list[Contender]:
        return [*(Native(workers) for workers in self.workers), *self.peers, Hedgerow(self.options)]

    @property
    def latency_contenders(self) -> list[Contender]:
        """And with one lane, which applies a source transaction whole, as native replication does."""
        live = [contender for contender in self.contenders if contender.live]
        if "--consistency" in self.options:
            return live
        return [*live, Hedgerow((*self.options, "--consistency", "transaction"))]

    def sinks(self, scenario: Scenario) -> list[bool]:
        return [durable for durable in scenario.durable if self.sink is None or SINKS[self.sink] == durable]

    @property
    def latency_seconds(self) -> float:
        return 5.0 if self.quick else 30.0

    @property
    def huge_rows(self) -> int:
        return HUGE_BYTES // ROW // (10 if self.quick else 1)

    @property
    def idle_seconds(self) -> float:
        return 5.0 if self.quick else 60.0

    @property
    def fire_seconds(self) -> float:
        return 20.0 if self.quick else 120.0
