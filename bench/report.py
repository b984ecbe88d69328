"""What was measured, as tables in a terminal, and as one JSON file that is kept."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from bench import tables
from bench.aims import Judged, judge_apply, judge_huge, judge_latency
from bench.machine import Noise, describe
from bench.results import ApplyRun, FireRun, HugeRun, IdleRun, LatencyRun, PeerRun, apply_rows, latency_rows

DIRECTORY = Path(__file__).parent / "results"
_MUCH_STOLEN, _MUCH_OTHER = 0.02, 0.1  # of the CPU


@dataclass(slots=True)
class Section:
    """What one scenario on one flavour gave. `durable`: the sink, where that is one of several. `window`: the seconds
    that the fastest contender was to need at least. `noise`: of the machine from beginning to end, `others` left out
    where it is not known whose work was whose. `failures`: why it gave less."""

    flavour: str
    version: str
    scenario: str
    what: str
    durable: bool | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    window: float = 0.0
    apply: list[ApplyRun] = field(default_factory=list)
    latency: list[LatencyRun] = field(default_factory=list)
    huge: list[HugeRun] = field(default_factory=list)
    idle: list[IdleRun] = field(default_factory=list)
    peer: list[PeerRun] = field(default_factory=list)
    fire: list[FireRun] = field(default_factory=list)
    load_before: float = 0.0
    load_after: float = 0.0
    stolen: float = 0.0
    failures: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        sink = {None: "", True: ", sink durable", False: ", sink not durable"}[self.durable]
        return f"{self.flavour} {self.version}, {self.scenario}{sink}"

    @property
    def compared(self) -> list[ApplyRun | LatencyRun | HugeRun | FireRun]:
        return [*self.apply, *self.latency, *self.huge, *self.fire]

    @property
    def noises(self) -> list[Noise]:
        return [*(run.noise for run in self.apply), *(run.noise for run in self.latency)]

    @property
    def passed(self) -> bool:
        """Nothing failed, and every sink that was compared was equal to its source."""
        return not self.failures and all(run.equal for run in self.compared)

    @property
    def judged(self) -> list[Judged]:
        return [
            *judge_apply(self.flavour, self.scenario, bool(self.durable), apply_rows(self.apply)),
            *judge_latency(latency_rows(self.latency)),
            *judge_huge(self.huge),
        ]


def show(console: Console, section: Section, *, judged: bool) -> None:
    """`judged`: whether the figures are told against their aims."""
    console.print(f"\n[bold]{section.title}[/bold]: {section.what}")
    if section.facts:
        console.print("  " + ", ".join(f"{name} {_number(value)}" for name, value in section.facts.items()))
    for table in (
        tables.apply_table(section.apply),
        tables.latency_table(section.latency),
        tables.huge_table(section.huge),
        tables.idle_table(section.idle),
    ):
        if table is not None:
            console.print(table)
    console.print(_machine_line(section))
    if section.apply:
        console.print(_window_line(section))
    for aim in section.judged if judged else ():
        console.print(f"  {aim.text}: {'met' if aim.met else '[red]MISSED[/red]'}")
    for peer in section.peer:
        console.print(escape(_peer_line(peer)))
    for fire in section.fire:
        console.print(_fire_line(fire))
    for run in section.compared:
        if not run.equal:
            console.print("[red]the sink differs from the source:[/red]", escape(run.difference))
    for failure in section.failures:
        console.print("[red]failed:[/red]", escape(failure))


def show_summary(console: Console, sections: Sequence[Section]) -> None:
    """All that was applied, in one table."""
    rows = [
        (f"{each.flavour}, {each.scenario}", "durable" if each.durable else "not durable", apply_rows(each.apply))
        for each in sections
    ]
    table = tables.summary([row for row in rows if row[2]])
    if table is not None:
        console.print()
        console.print(table)


def new_file() -> Path:
    """Named by the time, where a run's results go."""
    DIRECTORY.mkdir(exist_ok=True)
    return DIRECTORY / f"{time.strftime('%Y%m%d-%H%M%S')}.json"


def save(path: Path, sections: Sequence[Section], settings: dict[str, Any]) -> None:
    """Everything of every round, with the machine it was measured on. `settings`: of the run."""
    document = {
        "machine": describe(),
        "settings": settings,
        "sections": [
            {
                **dataclasses.asdict(section),
                "apply_rows": [dataclasses.asdict(row) for row in apply_rows(section.apply)],
                "latency_rows": [dataclasses.asdict(row) for row in latency_rows(section.latency)],
            }
            for section in sections
        ],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def _machine_line(section: Section) -> str:
    """What else the machine did; loud where that was much."""
    parts = [f"load {section.load_before:.1f} before and {section.load_after:.1f} after"]
    others = [noise.others for noise in section.noises]
    if others:
        parts.append(f"other processes used {min(others):.0%} to {max(others):.0%} of the CPU in the windows")
    parts.append(f"its host took {section.stolen:.1%}")
    loud = section.stolen >= _MUCH_STOLEN or max(others, default=0.0) >= _MUCH_OTHER
    line = f"machine: {'; '.join(parts)}"
    return f"  [yellow]{line}: not a quiet machine[/yellow]" if loud else f"  {line}"


def _window_line(section: Section) -> str:
    least = min(run.seconds for run in section.apply)
    line = f"the shortest window took {least:.2f} s"
    if not section.window:
        return f"  [yellow]{line}: far too short for these figures to mean anything[/yellow]"
    if least < section.window:
        return f"  [yellow]{line}: shorter than the {section.window:g} s that were wanted[/yellow]"
    return f"  {line}"


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


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
