"""The demonstration: a live workload, its owner killed in the middle, source and sink compared at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.compare import Comparison, wait_until_equal
from hedgerow.sandbox.process import SandboxError, wait_until
from hedgerow.sandbox.servers import Server
from hedgerow.sandbox.workload import SCHEMA, Workload

NAME = "demo"
BEFORE_KILL_SECONDS = 6.0
AFTER_KILL_SECONDS = 6.0
TRANSACTIONS_PER_SECOND = 300


@dataclass(frozen=True, slots=True)
class Outcome:
    transactions: int
    rows: int
    epoch_before: int
    epoch_after: int
    recovery_seconds: float
    comparison: Comparison


def run_demo(flavour: Flavour) -> int:
    """Returns the exit code: 0 only if source and sink are equal."""
    console = Console(highlight=False, soft_wrap=True)
    started = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:5.1f} s[/dim]  {text}")

    say(f"starting etcd, two {flavour} servers and three nodes")
    with Cluster(flavour, nodes=3) as cluster:
        outcome = _perform(cluster, say)
        if not outcome.comparison.equal:
            console.print(str(outcome.comparison))
        for table in (unreplicated := cluster.unreplicated()):
            console.print(f"[red]rows of {table} had no dispatcher[/red]")
    _summarize(console, outcome)
    return 0 if outcome.comparison.equal and not unreplicated else 1


def _perform(cluster: Cluster, say: Callable[[str], None]) -> Outcome:
    source, sink = cluster.pair.source, cluster.pair.sink
    workload = Workload(source.root, rate=TRANSACTIONS_PER_SECOND, seed=1)
    workload.create_tables()
    cluster.create(NAME, "--filter", f"{SCHEMA}.*")
    before = cluster.wait_for(NAME, state="normal")
    say(f"changefeed {NAME} replicates {SCHEMA}.* from the earliest position; its owner is {before['owner']}")
    workload.start()
    say(f"the workload writes to {len(workload.tables)} tables, one without any key")
    time.sleep(BEFORE_KILL_SECONDS)
    before = cluster.get(NAME)
    say(f"SIGKILL to the owner {before['owner']} at epoch {before['epoch']}")
    killed_at = time.monotonic()
    cluster.node_of(before["owner"]).process.kill()
    reached = _furthest(sink, 0)
    if not wait_until(lambda: _furthest(sink, before["epoch"] + 1) > reached, 30.0):
        raise SandboxError("nothing was applied by a successor within 30 s")
    recovery = time.monotonic() - killed_at
    after = cluster.get(NAME)
    say(f"{after['owner']} took over at epoch {after['epoch']} and applied {recovery:.1f} s after the kill")
    time.sleep(AFTER_KILL_SECONDS)
    workload.stop()
    say("the workload has stopped; comparing source and sink row by row")
    comparison = wait_until_equal(source.root, sink.root, SCHEMA, seconds=20.0)
    return Outcome(workload.transactions, workload.rows, before["epoch"], after["epoch"], recovery, comparison)


def _furthest(sink: Server, epoch: int) -> tuple[str, int]:
    """The furthest binlog position that a transaction of this epoch, or of a later one, has committed in the sink."""
    with sink.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT binlog_file, binlog_pos FROM hedgerow.progress WHERE epoch >= %s"
            " ORDER BY binlog_file DESC, binlog_pos DESC LIMIT 1",
            (epoch,),
        )
        row = cursor.fetchone()
    return (row[0], row[1]) if row else ("", 0)


def _summarize(console: Console, outcome: Outcome) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("transactions", f"{outcome.transactions:,}")
    table.add_row("rows written", f"{outcome.rows:,}")
    table.add_row("epoch before and after", f"{outcome.epoch_before} and {outcome.epoch_after}")
    table.add_row("time to recover", f"{outcome.recovery_seconds:.1f} s")
    table.add_row("source and sink", "[green]equal[/green]" if outcome.comparison.equal else "[red]different[/red]")
    console.print()
    console.print(table)
