"""Which measurements are made, in which order, and what is done when one fails: it is told, and the others go on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from bench.apply import apply_once
from bench.binlog import Binlog, Written
from bench.contender import FAILURES, Contender, take_turns
from bench.fire import fire
from bench.huge import ROW, huge_runs
from bench.idle import TABLES, idle_runs
from bench.latency import describe, latency_once
from bench.machine import load, ticks
from bench.native import Native
from bench.ours import Hedgerow
from bench.peer import read_with_peer
from bench.plan import HUGE, IDLE, LATENCY, Plan
from bench.report import Section
from bench.results import ApplyRun, LatencyRun
from bench.scenarios import SCENARIOS, Scenario
from bench.settings import source_options
from bench.warmup import warm_up
from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.servers import Server

PEER_SCENARIOS = ("small", "bulk")

Say = Callable[[str], None]


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
    with _measuring(section):
        section.fire.append(fire(flavour, plan.fire_seconds, say))
    return section


def _apply_sections(flavour: Flavour, version: str, scenario: Scenario, plan: Plan, say: Say) -> Iterator[Section]:
    """All sinks apply the same binlog: it is long enough for the fastest with any of them before one is measured."""
    contenders = plan.contenders
    sections = [
        Section(flavour, version, scenario.name, scenario.what, durable, window=plan.window)
        for durable in plan.sinks(scenario)
    ]
    with contextlib.ExitStack() as stack:
        written: Written | None = None
        for section in sections:
            with _measuring(section):
                if written is None:
                    say(f"{section.title}: writing the first piece of the binlog")
                    source = stack.enter_context(Server(flavour, "source", source_options(flavour)))
                    binlog = Binlog(source, scenario)
                    written = binlog.extend(scenario.first)
                say(section.title)
                written = warm_up(
                    source, binlog, written, contenders, durable=bool(section.durable), wanted=plan.window, say=say
                )
        for section in sections:
            if written is not None and not section.failures:
                with _measuring(section):
                    say(section.title)
                    _measure_applying(section, source, written, contenders, plan, say)
            yield section


def _measure_applying(
    section: Section, source: Server, written: Written, contenders: Sequence[Contender], plan: Plan, say: Say
) -> None:
    def once(contender: Contender, number: int) -> ApplyRun:
        return apply_once(source, written, contender, number, durable=bool(section.durable))

    section.facts = {"transactions": written.transactions, "rows": written.rows, "binlog bytes": written.bytes}
    section.apply, section.failures = take_turns(contenders, plan.rounds, once, _describe, say)
    if section.durable and section.scenario in PEER_SCENARIOS:
        section.peer.append(read_with_peer(source, written))


def _describe(run: ApplyRun) -> str:
    return f"{run.seconds:.2f} s, {run.rate:,.0f} txn/s" + ("" if run.equal else " and the sink DIFFERS")


def _latency_section(flavour: Flavour, version: str, plan: Plan, say: Say) -> Section:
    what = f"from source commit to visible in the sink, oltp_read_write mix, {plan.rate:g} txn/s"
    section = Section(flavour, version, LATENCY, what, durable=True)
    say(section.title)

    def once(contender: Contender, number: int) -> LatencyRun:
        return latency_once(flavour, contender, number, rate=plan.rate, seconds=plan.latency_seconds)

    with _measuring(section):
        section.latency, section.failures = take_turns(plan.latency_contenders, plan.rounds, once, describe, say)
    return section


def _huge_section(flavour: Flavour, version: str, plan: Plan, say: Say) -> Section:
    section = Section(flavour, version, HUGE, f"one source transaction of {plan.huge_rows * ROW / 2**30:g} GiB")
    say(section.title)
    with _measuring(section):
        section.huge.extend(huge_runs(flavour, [Native(1), Hedgerow(plan.options)], plan.huge_rows, say))
    return section


def _idle_section(flavour: Flavour, version: str, plan: Plan, say: Say) -> Section:
    section = Section(flavour, version, IDLE, f"a node with one changefeed over {TABLES} tables and nothing to do")
    say(section.title)
    with _measuring(section):
        section.idle.extend(idle_runs(flavour, plan.idle_seconds))
    return section


@contextlib.contextmanager
def _measuring(section: Section) -> Iterator[None]:
    """Notes in a section what ends its measurement, and what the machine did meanwhile."""
    section.load_before, before = load(), ticks()
    try:
        yield
    except FAILURES as error:
        section.failures.append(f"{type(error).__name__}: {error}")
    finally:
        after = ticks()
        section.load_after = load()
        section.stolen = (after.stolen - before.stolen) / max(after.all - before.all, 0.01)


def all_passed(sections: Sequence[Section]) -> bool:
    return bool(sections) and all(section.passed for section in sections)
