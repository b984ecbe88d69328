"""A rolling update, with local processes for pods: how long does any table stand still?

    python -m bench.rolling [--rounds 3] [--flavour mariadb|mysql] [--min-ready 10]

`roll` does what the controller of a StatefulSet and the kubelet do: from the last node to the first, SIGTERM, wait
until the process has ended by itself, start it again, wait until it says that it is ready (grpc.health.v1, `readiness`)
and has been for `minReadySeconds`. Meanwhile a pulse goes through six tables (bench/pulse.py) beside a mixed workload.
What is told for each table is the longest time in the whole update in which nothing of it was applied, and the same for
some time before. Source and sink are compared in the end.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from bench.pauses import Pause, Sample, pauses
from bench.underload import QUIET_SECONDS, TABLES, UnderLoad
from hedgerow.common.mysql.connect import Flavour
from hedgerow.probes import READINESS
from hedgerow.sandbox.cluster import Cluster, NodeProcess
from hedgerow.sandbox.process import SandboxError, wait_until

RESULTS = Path(__file__).parent / "results"
AIM = 0.3  # seconds
NODES = 3
GRACE_SECONDS = 45.0  # deploy/kubernetes/base/statefulset.yaml has these two, too
MIN_READY_SECONDS = 10.0
START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One node's part of an update. Seconds."""

    node: str
    told: float  # when, on the clock of the samples
    leaving: float  # from SIGTERM to the end of the process
    joining: float  # from the start of the next one until it was ready

    def phase(self, at: float) -> str:
        """What the node was doing then; empty where its turn had not begun."""
        since = at - self.told
        phases = ((0.0, ""), (self.leaving, "leaves"), (self.leaving + self.joining, "starts"))
        doing = next((name for end, name in phases if since < end), "is ready")
        return doing and f"{self.node} {doing}"


@dataclass(frozen=True, slots=True)
class Update:
    """One rolling update. `pauses`: by table the longest, in seconds; `before`: the same without an update."""

    turns: tuple[Turn, ...]
    seconds: float
    pauses: dict[str, Pause]
    before: dict[str, Pause]

    def phase(self, pause: Pause) -> str:
        """In which part of the update a pause ended, which is what it waited for."""
        at = pause.begun + pause.seconds
        return next(filter(None, (turn.phase(at) for turn in reversed(self.turns))), "")


def roll(nodes: Sequence[NodeProcess], min_ready: float, say: Callable[[str], None] = lambda _: None) -> list[Turn]:
    """Raises SandboxError where a node does not hand over and exit 0 within its grace period, where it does not come
    back, or where another one is not ready meanwhile."""
    turns = []
    for node in reversed(nodes):
        unready = [other.name for other in nodes if other.probe(READINESS) != "SERVING"]
        if unready:
            raise SandboxError(f"{node.name} would be stopped while {', '.join(unready)} are not ready")
        begun = time.monotonic()
        os.kill(node.process.pid, signal.SIGTERM)
        code = node.process.wait(GRACE_SECONDS)
        ended = time.monotonic()
        if code != 0:
            raise SandboxError(f"{node.name} ended with {code} and not by itself; see {node.process.log}")
        node.process.start()
        if not wait_until(lambda node=node: node.probe(READINESS) == "SERVING", START_SECONDS, 0.1):  # type: ignore[misc]
            raise SandboxError(f"{node.name} is not ready {START_SECONDS:g} s after its start")
        turn = Turn(node.name, begun, ended - begun, time.monotonic() - ended)
        say(f"{turn.node}: left in {turn.leaving * 1000:.0f} ms, ready {turn.joining * 1000:.0f} ms after its start")
        turns.append(turn)
        time.sleep(min_ready)
    return turns


def update(bench: UnderLoad, min_ready: float, say: Callable[[str], None]) -> Update:
    bench.settle()
    since = time.monotonic()
    time.sleep(NODES * min_ready)
    begun = time.monotonic()
    turns = roll(bench.cluster.nodes, min_ready, say)
    ended = time.monotonic()
    if not bench.pulse.wait(lambda sample: sample.at > ended + QUIET_SECONDS, 30):
        raise SandboxError("the sink's tables cannot be watched any more")
    samples = bench.pulse.samples
    return Update(
        tuple(turns), ended - begun, _by_table(bench, samples, begun), _by_table(bench, samples, since, begun)
    )


def _by_table(
    bench: UnderLoad, samples: Sequence[Sample], since: float, until: float = float("inf")
) -> dict[str, Pause]:
    return dict(zip(bench.pulse.keys, pauses(samples, since, min(until, samples[-1].at)), strict=True))


def print_table(console: Console, updates: Sequence[Update]) -> None:
    table = Table(box=None, pad_edge=False)
    columns = (
        "longest pause, ms",
        *(f"update {number}" for number in range(1, len(updates) + 1)),
        "without",
        "aim",
        "",
        "when",
    )
    for column in columns:
        left = column in ("longest pause, ms", "", "when")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for name in updates[0].pauses:
        worst = max(updates, key=lambda each: each.pauses[name].seconds)
        cells = [f"{each.pauses[name].seconds * 1000:.0f}" for each in updates]
        without = max(each.before[name].seconds for each in updates)
        verdict = "met" if worst.pauses[name].seconds <= AIM else "MISSED"
        when = worst.phase(worst.pauses[name])
        table.add_row(name, *cells, f"{without * 1000:.0f}", f"<= {AIM * 1000:.0f}", verdict, when)
    console.print(table)


def document(flavour: Flavour, updates: Sequence[Update]) -> dict[str, object]:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    shown = [dataclasses.asdict(each) for each in updates]
    return {"flavour": flavour, "at": at, "aim": AIM, "updates": shown}


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Rolling updates, one after the other.")
@click.option("--flavour", type=click.Choice(["mariadb", "mysql"]), default="mariadb", show_default=True)
@click.option("--min-ready", default=MIN_READY_SECONDS, show_default=True, help="Seconds between two nodes.")
def main(rounds: int, flavour: Flavour, min_ready: float) -> None:
    """Rolls three nodes under load, prints each table's longest pause, writes bench/results/rolling-FLAVOUR.json."""
    console = Console(highlight=False, soft_wrap=True)
    updates = []
    with Cluster(flavour, nodes=NODES) as cluster:
        bench = UnderLoad(cluster)
        bench.begin()
        for number in range(1, rounds + 1):
            console.print(f"[dim]update {number}[/dim]")
            updates.append(update(bench, min_ready, lambda text: console.print(f"[dim]  {text}[/dim]")))
        bench.settle()
        bench.end()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"rolling-{flavour}.json"
    path.write_text(json.dumps(document(flavour, updates), indent=1) + "\n")
    console.print()
    print_table(console, updates)
    console.print(f"\n{TABLES} tables; source and sink are equal; written to {path}")


if __name__ == "__main__":
    sys.exit(main())
