"""Which measurements are made, in which order, and what is done when one fails: it is told, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pymysql

from bench.apply import apply_rounds
from bench.binlog import Written, write
from bench.contender import Contender
from bench.fire import fire
from bench.huge import ROW, huge_runs
from bench.idle import TABLES, idle_runs
from bench.latency import latency_rounds
from bench.measure import machine_ticks
from bench.native import WORKERS, Native
from bench.ours import Hedgerow
from bench.peer import read_with_peer
from bench.report import Section
from bench.scenarios import SCENARIOS, Scenario
from bench.settings import source_options
from hedgerow.common.errors import HedgerowError
from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.servers import Server

LATENCY, HUGE, IDLE = "latency", "huge", "idle"
NAMES = (*(scenario.name for scenario in SCENARIOS), LATENCY, HUGE, IDLE)
HUGE_BYTES = 2 << 30
PEER_SCENARIOS = ("small", "bulk")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for. `options` go to `hedgerow changefeed create`."""

    scenarios: tuple[str, ...]
    rounds: int
    quick: bool
    rate: float
    options: tuple[str, ...]

    @property
    def contenders(self) -> list[Contender]:
        return [*(Native(workers) for workers in WORKERS), Hedgerow(self.options)]

    @property
    def latency_contenders(self) -> list[Contender]:
        """And with one lane, which applies a source transaction whole, as native replication does."""
        if "--consistency" in self.options:
            return self.contenders
        return [*self.contenders, Hedgerow((*self.options, "--consistency", "transaction"))]

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


def run_plan(flavour: Flavour, version: str, plan: Plan, say: Say) -> Iterator[Section]:
    """One section after the other, as they are measured."""
    for scenario in SCENARIOS:
        if scenario.name in plan.scenarios:
            yield from _apply_sections(flavour, version, scenario, plan, say)
    if LATENCY in plan.scenarios:
        yield _latency_section(flavour, version, plan, say)
    if HUGE in plan.scenarios:
        yield _huge_section(flavour, version, plan, say)
    if IDLE in plan.scenarios:
        yield _idle_section(flavour, version, plan, say)


def run_fire(flavour: Flavour, version: str, plan: Plan, say: Say) -> Section:
    section = Section(flavour, version, "fire", "live workloads, and SIGKILL to the node again and again")
    with _Measuring(section):
        section.fire.append(fire(flavour, plan.fire_seconds, say))
    return section


def _apply_sections(flavour: Flavour, version: str, scenario: Scenario, plan: Plan, say: Say) -> Iterator[Section]:
    with Server(flavour, "source", source_options(flavour)) as source:
        say(f"{flavour}, {scenario.name}: writing the binlog")
        written = write(source, scenario, scenario.quick_size if plan.quick else scenario.size)
        for durable in scenario.durable:
            sink = "sink durable" if durable else "sink not durable"
            section = Section(flavour, version, f"{scenario.name}, {sink}", scenario.what, _facts(written))
            with _Measuring(section):
                say(f"{flavour}, {scenario.name}, {sink}")
                section.apply.extend(
                    apply_rounds(source, written, plan.contenders, plan.rounds, durable=durable, say=say)
                )
            if durable and scenario.name in PEER_SCENARIOS:
                section.peer.append(read_with_peer(source, written))
            yield section


def _facts(written: Written) -> dict[str, int]:
    return {"transactions": written.transactions, "rows": written.rows, "binlog bytes": written.bytes}


def _latency_section(flavour: Flavour, version: str, plan: Plan, say: Say) -> Section:
    what = f"from source commit to visible in the sink, oltp_read_write mix, {plan.rate:g} txn/s, sink durable"
    section = Section(flavour, version, LATENCY, what)
    say(f"{flavour}, {LATENCY}")
    with _Measuring(section):
        section.latency.extend(
            latency_rounds(
                flavour, plan.latency_contenders, plan.rounds, rate=plan.rate, seconds=plan.latency_seconds, say=say
            )
        )
    return section


def _huge_section(flavour: Flavour, version: str, plan: Plan, say: Say) -> Section:
    section = Section(flavour, version, HUGE, f"one source transaction of {plan.huge_rows * ROW / 2**30:g} GiB")
    say(f"{flavour}, {HUGE}")
    with _Measuring(section):
        section.huge.extend(huge_runs(flavour, [Native(1), Hedgerow(plan.options)], plan.huge_rows, say))
    return section


def _idle_section(flavour: Flavour, version: str, plan: Plan, say: Say) -> Section:
    section = Section(flavour, version, IDLE, f"a node with one changefeed over {TABLES} tables and nothing to do")
    say(f"{flavour}, {IDLE}")
    with _Measuring(section):
        section.idle.extend(idle_runs(flavour, plan.idle_seconds))
    return section


class _Measuring:
    """Notes in a section what ends its measurement, and how much of the CPU the host gave to others meanwhile."""

    def __init__(self, section: Section) -> None:
        self._section = section

    def __enter__(self) -> None:
        self._before = machine_ticks()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> bool:
        ticks, stolen = (now - before for now, before in zip(machine_ticks(), self._before, strict=True))
        self._section.stolen = stolen / max(1, ticks)
        if isinstance(error, HedgerowError | pymysql.MySQLError | OSError):
            self._section.failure = f"{type(error).__name__}: {error}"
            return True
        return False


def all_passed(sections: Sequence[Section]) -> bool:
    return bool(sections) and all(section.passed for section in sections)
