"""The tables that are printed, and the JSON file that is kept."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.aims import judge_apply, judge_huge, judge_latency
from bench.results import ApplyRun, FireRun, HugeRun, IdleRun, LatencyRun, PeerRun, apply_rows, latency_rows

_MUCH = 0.02  # of the CPU
DIRECTORY = Path(__file__).parent / "results"


@dataclass(slots=True)
class Section:
    """What one scenario on one flavour gave. `stolen`: the share of the CPU that the host of a virtual machine gave to
    others meanwhile. `failure`: why it gave less."""

    flavour: str
    version: str
    scenario: str
    what: str
    facts: dict[str, Any] = field(default_factory=dict)
    apply: list[ApplyRun] = field(default_factory=list)
    latency: list[LatencyRun] = field(default_factory=list)
    huge: list[HugeRun] = field(default_factory=list)
    idle: list[IdleRun] = field(default_factory=list)
    peer: list[PeerRun] = field(default_factory=list)
    fire: list[FireRun] = field(default_factory=list)
    stolen: float = 0.0
    failure: str = ""

    @property
    def compared(self) -> list[ApplyRun | LatencyRun | HugeRun | FireRun]:
        return [*self.apply, *self.latency, *self.huge, *self.fire]

    @property
    def passed(self) -> bool:
        """Nothing failed, and every sink that was compared was equal to its source."""
        return not self.failure and all(run.equal for run in self.compared)


def show(console: Console, section: Section, *, judged: bool) -> None:
    """`judged`: whether the figures are told against their aims."""
    console.print(f"\n[bold]{section.flavour} {section.version}, {section.scenario}[/bold]: {section.what}")
    if section.facts:
        console.print("  " + ", ".join(f"{name} {_number(value)}" for name, value in section.facts.items()))
    for table in (
        _apply_table(section.apply),
        _latency_table(section.latency),
        _huge_table(section.huge),
        _idle_table(section.idle),
    ):
        if table is not None:
            console.print(table)
    if section.stolen >= _MUCH:
        console.print(f"  [yellow]the host took {section.stolen:.0%} of the CPU meanwhile[/yellow]")
    if judged:
        for aim in (
            *judge_apply(section.flavour, section.scenario, apply_rows(section.apply)),
            *judge_latency(latency_rows(section.latency)),
            *judge_huge(section.huge),
        ):
            console.print(f"  {aim.text}: {'met' if aim.met else '[red]MISSED[/red]'}")
    for peer in section.peer:
        console.print(escape(_peer_line(peer)))
    for fire in section.fire:
        console.print(_fire_line(fire))
    for run in section.compared:
        if not run.equal:
            console.print("[red]the sink differs from the source:[/red]", escape(run.difference))
    if section.failure:
        console.print("[red]failed:[/red]", escape(section.failure))


def save(sections: Sequence[Section], settings: dict[str, Any]) -> Path:
    """Everything of every round, with the machine it was measured on. `settings`: of the run."""
    DIRECTORY.mkdir(exist_ok=True)
    path = DIRECTORY / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    document = {
        "machine": machine(),
        "settings": settings,
        "sections": [
            {
                **dataclasses.asdict(section),
                "apply_medians": [dataclasses.asdict(row) for row in apply_rows(section.apply)],
                "latency_medians": [dataclasses.asdict(row) for row in latency_rows(section.latency)],
            }
            for section in sections
        ],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "cpu": cpu[0].partition(":")[2].strip() if cpu else "unknown",
        "cores": os.cpu_count(),
        "memory": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip() or "unknown",
    }


def _apply_table(runs: Sequence[ApplyRun]) -> Table | None:
    if not runs:
        return None
    rounds = max(run.round for run in runs)
    table = _table(f"medians of {rounds}", "txn/s", "rows/s", "ratio", "sink CPU/txn", "node CPU/txn", "node peak", "")
    for row in apply_rows(runs):
        table.add_row(
            row.contender,
            f"{row.transactions_per_second:,.0f}",
            f"{row.rows_per_second:,.0f}",
            _ratio(row.ratio),
            f"{row.sink_cpu_microseconds:,.0f} µs",
            "" if row.node_cpu_microseconds is None else f"{row.node_cpu_microseconds:,.1f} µs",
            _megabytes(row.node_peak_resident),
            _equal(row.equal),
        )
    return table


def _latency_table(runs: Sequence[LatencyRun]) -> Table | None:
    if not runs:
        return None
    rounds = max(run.round for run in runs)
    headings = ("samples", "p50", "p95", "p99", "most", "p50 ratio", "p99 ratio", "node CPU", "node peak", "")
    table = _table(f"medians of {rounds}", *headings)
    for row in latency_rows(runs):
        table.add_row(
            row.contender,
            f"{row.samples:,}",
            *(f"{seconds * 1000:.1f} ms" for seconds in (row.p50, row.p95, row.p99, row.most)),
            _ratio(row.p50_ratio),
            _ratio(row.p99_ratio),
            _share(row.node_cpu_share),
            _megabytes(row.node_peak_resident),
            _equal(row.equal),
        )
    return table


def _huge_table(runs: Sequence[HugeRun]) -> Table | None:
    if not runs:
        return None
    table = _table("one round", "rows", "seconds", "node peak", "")
    for run in runs:
        table.add_row(
            run.contender, f"{run.rows:,}", f"{run.seconds:.1f}", _megabytes(run.node_peak_resident), _equal(run.equal)
        )
    return table


def _idle_table(runs: Sequence[IdleRun]) -> Table | None:
    if not runs:
        return None
    table = _table("CPU of one core", "node", "etcd", "source", "sink", "node memory", "peak")
    for run in runs:
        shares = (run.node_cpu_share, run.etcd_cpu_share, run.source_cpu_share, run.sink_cpu_share)
        table.add_row(
            f"{run.tables} idle tables" if run.tables else "no changefeed",
            *(_share(share) for share in shares),
            _megabytes(run.node_resident),
            _megabytes(run.node_peak_resident),
        )
    return table


def _peer_line(run: PeerRun) -> str:
    if run.failure:
        return f"  mysql-replication, decoding only: failed after {run.rows:,} rows: {run.failure}"
    return (
        f"  mysql-replication, decoding only: {run.transactions / run.seconds:,.0f} txn/s,"
        f" {run.rows / run.seconds:,.0f} rows/s"
    )


def _fire_line(run: FireRun) -> str:
    slowest = max(run.recoveries, default=0.0)
    return (
        f"  {run.kills} kills in {run.seconds:.0f} s, {run.transactions:,} transactions, {run.rows:,} rows written;"
        f" slowest recovery {slowest:.1f} s; {run.compared_rows:,} rows compared, {run.keyless_rows:,} of them"
        f" keyless: {'equal' if run.equal else 'DIFFERENT'}"
    )


def _table(first: str, *headings: str) -> Table:
    table = Table(box=None, pad_edge=True, header_style="dim")
    table.add_column(first, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.0f} MB"


def _equal(equal: bool) -> str:
    return "equal" if equal else "[red]DIFFERS[/red]"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
