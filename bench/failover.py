"""How long applying pauses when an owner is killed or frozen, when work is moved, and when a node drains.

    python -m bench.failover [--runs 20] [--flavour mariadb|mysql] [--quick] [--only SCENARIO]

Three nodes with default settings, a mixed workload and a pulse through six tables (bench/pulse.py), which are spread
over the nodes. Every run begins when the cluster is whole and settled, and ends when every table is applied again. Two
figures: `first`, from the event until the first transaction that a successor applied, and `pause`, the longest time in
which any one table was not applied, whatever the reason. The cluster is compared at the end: a fast failover that loses
a row is none.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from bench.pauses import Interruption, summary
from bench.underload import FEED, TABLES, UnderLoad
from hedgerow.common.config import NodeConfig
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import admin_pb2 as pb
from hedgerow.sandbox.cluster import Cluster

TABLE_WIDTH = 110  # also where the output is a file
RESULTS = Path(__file__).parent / "results"
LEASE_SECONDS = float(NodeConfig.model_fields["lease_ttl"].default)


# The scenarios: each makes the interruption happen and returns what it did.


def _kill(bench: UnderLoad, *, owner_coordinates: bool) -> Interruption:
    owner = bench.arrange(owner_coordinates=owner_coordinates)
    epoch = bench.feed().ownership.epoch
    begun = time.monotonic()
    owner.process.kill()
    return bench.observe(begun, epoch, owner_changes=True)


def _freeze(bench: UnderLoad, *, owner_coordinates: bool) -> Interruption:
    owner = bench.arrange(owner_coordinates=owner_coordinates)
    epoch = bench.feed().ownership.epoch
    begun = time.monotonic()
    owner.process.freeze()
    try:
        return bench.observe(begun, epoch, owner_changes=True)
    finally:
        owner.process.thaw()


def _move_maintainer(bench: UnderLoad) -> Interruption:
    bench.settle()
    ownership = bench.feed().ownership
    target = next(node.info.id for node in bench.members() if node.info.id != ownership.node)
    begun = time.monotonic()
    bench.call("MoveMaintainer", pb.MoveMaintainerRequest(name=FEED, node=target))
    return bench.observe(begun, ownership.epoch, owner_changes=True)


def _move_dispatcher(bench: UnderLoad) -> Interruption:
    bench.settle()
    feed = bench.feed()
    moved = next(d for d in feed.live.dispatchers if d.dispatcher in bench.pulse.keys)
    target = next(node.info.id for node in bench.members() if node.info.id != moved.node)
    begun = time.monotonic()
    request = pb.MoveDispatcherRequest(name=FEED, dispatcher=moved.dispatcher, node=target)
    bench.call("MoveDispatcher", request)
    bench.wait(lambda: any(d.node == target and d.dispatcher == moved.dispatcher for d in bench.running()))
    return bench.observe(begun, feed.ownership.epoch, owner_changes=False)


def _drain(bench: UnderLoad) -> Interruption:
    """The owner's node, which then is stopped and comes back."""
    bench.settle()
    ownership = bench.feed().ownership
    node = bench.cluster.node_of(ownership.node)
    begun = time.monotonic()
    bench.call("DrainNode", pb.DrainNodeRequest(node=ownership.node))
    try:
        bench.wait(lambda: len(bench.running()) > TABLES and not any(d.node == ownership.node for d in bench.running()))
        return bench.observe(begun, ownership.epoch, owner_changes=True)
    finally:
        node.process.terminate()


SCENARIOS: dict[str, tuple[Callable[[UnderLoad], Interruption], str, float | None]] = {
    # what happens, the figure that the aim is about, the aim for its p95 in seconds (None: the lease and a second)
    "kill-owner": (lambda bench: _kill(bench, owner_coordinates=False), "first", 1.5),
    "kill-owner-and-coordinator": (lambda bench: _kill(bench, owner_coordinates=True), "first", 1.5),
    "freeze-owner": (lambda bench: _freeze(bench, owner_coordinates=False), "first", None),
    "freeze-owner-and-coordinator": (lambda bench: _freeze(bench, owner_coordinates=True), "first", None),
    "move-maintainer": (_move_maintainer, "pause", 0.3),
    "move-dispatcher": (_move_dispatcher, "pause", 0.3),
    "drain": (_drain, "pause", 0.3),
}


def run(flavour: Flavour, runs: int, names: Sequence[str], say: Callable[[str], None]) -> dict[str, list[Interruption]]:
    found: dict[str, list[Interruption]] = {name: [] for name in names}
    with Cluster(flavour, nodes=3) as cluster:
        bench = UnderLoad(cluster)
        bench.begin()
        for number in range(1, runs + 1):
            for name in names:
                interruption = SCENARIOS[name][0](bench)
                found[name].append(interruption)
                say(f"run {number} {name}: {_brief(interruption)}")
        bench.settle()
        bench.end()
    return found


def _brief(found: Interruption) -> str:
    first = "" if found.first is None else f"first {found.first * 1000:.0f} ms, "
    return f"{first}longest pause {found.pause * 1000:.0f} ms"


def document(flavour: Flavour, lease: float, found: dict[str, list[Interruption]]) -> dict[str, Any]:
    """What the JSON file holds: seconds."""
    scenarios = {}
    for name, interruptions in found.items():
        _, figure, aim = SCENARIOS[name]
        values = {field: [getattr(each, field) for each in interruptions] for field in ("first", "pause", "last")}
        known = {field: [v for v in some if v is not None] for field, some in values.items()}
        scenarios[name] = {
            "runs": [dataclasses.asdict(each) for each in interruptions],
            **{field: summary(some) for field, some in known.items() if some},
            "aim": {"figure": figure, "p95": aim if aim is not None else lease + 1},
        }
    return {
        "flavour": flavour,
        "lease": lease,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "scenarios": scenarios,
    }


def print_table(console: Console, results: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("milliseconds", "runs", "figure", "p50", "p95", "most", "aim p95", ""):
        left = column in ("milliseconds", "figure", "")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for name, scenario in results["scenarios"].items():
        for figure, meaning in (("first", "first applied by the successor"), ("pause", "longest pause of any table")):
            if figure not in scenario:
                continue
            cells = [f"{scenario[figure][key] * 1000:.0f}" for key in ("p50", "p95", "most")]
            aim = scenario["aim"]
            judged = aim["figure"] == figure
            met = scenario[figure]["p95"] < aim["p95"]
            verdict = ("met" if met else "MISSED") if judged else ""
            wanted = f"< {aim['p95'] * 1000:.0f}" if judged else ""
            table.add_row(name, str(len(scenario["runs"])), meaning, *cells, wanted, verdict)
    console.print(table)


@click.command()
@click.option("--runs", default=20, show_default=True, help="Of each scenario.")
@click.option("--flavour", type=click.Choice(["mariadb", "mysql"]), default="mariadb", show_default=True)
@click.option("--quick", is_flag=True, help="Three runs of each.")
@click.option("--only", multiple=True, type=click.Choice(list(SCENARIOS)), help="These scenarios; may be repeated.")
def main(runs: int, flavour: Flavour, quick: bool, only: tuple[str, ...]) -> None:
    """Measures failover and planned moves, prints a table and writes bench/results/failover-FLAVOUR.json."""
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, TABLE_WIDTH)
    names = [name for name in SCENARIOS if not only or name in only]
    found = run(flavour, 3 if quick else runs, names, lambda text: console.print(f"[dim]{text}[/dim]"))
    results = document(flavour, LEASE_SECONDS, found)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"failover-{flavour}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    console.print()
    print_table(console, results)
    console.print(f"\nsource and sink are equal; written to {path}")


if __name__ == "__main__":
    sys.exit(main())
