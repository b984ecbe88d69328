"""How fast tables are created while a changefeed replicates, and what each costs every process.

    python -m bench.ddl [--tables 250 --tables 2000] [--flavour mariadb|mysql] [--nodes 2]

A cluster with default settings for each number of tables. A pulse writes into one table all the time; each tenth new
table gets a row at once, and so holds what comes after it until somebody replicates it. The clock runs from the first
CREATE TABLE on the source until every table has a dispatcher that has claimed its progress in the sink; then source and
sink are compared. CPU is that of all threads of a process, per table, so a busy machine says the same as a quiet one.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from bench.measure import cpu_seconds
from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.servers import Server

RESULTS = Path(__file__).parent / "results"
SECONDS_EACH = 2.0  # of patience for a table
FEED = "ddl"


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """`seconds` until all are replicated; `source_seconds`: the source alone, to create them. CPU in seconds."""

    tables: int
    seconds: float
    source_seconds: float
    rate: float
    cpu: dict[str, float]


def measure(flavour: Flavour, tables: int, nodes: int) -> Run:
    with Cluster(flavour, nodes) as cluster:
        source, sink = cluster.pair.source, cluster.pair.sink
        _query(source, "CREATE DATABASE shop")
        _query(source, "CREATE TABLE shop.pulse (id INT AUTO_INCREMENT PRIMARY KEY, at DOUBLE)")
        cluster.create(FEED, "--filter", "shop.*")
        cluster.wait_for(FEED, state="normal", role="run")
        assert wait_until(lambda: _claimed(sink) == 2, 60.0, 0.1), "the changefeed does not begin"
        ended = threading.Event()
        pulse = threading.Thread(target=_beat, args=(source, ended))
        pulse.start()
        pids = {
            **{node.name: node.process.pid for node in cluster.nodes},
            "source": source.pid,
            "sink": sink.pid,
        }
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        begun = time.monotonic()
        with source.connect() as connection, connection.cursor() as cursor:
            for number in range(tables):
                cursor.execute(f"CREATE TABLE shop.t{number} (id INT PRIMARY KEY, name VARCHAR(40), KEY (name))")
                if number % 10 == 0:
                    cursor.execute(f"INSERT INTO shop.t{number} VALUES (1, 'one')")
                    connection.commit()
        created = time.monotonic() - begun
        if not wait_until(lambda: _claimed(sink) == tables + 2, SECONDS_EACH * tables, 0.1):
            raise SystemExit(f"{_claimed(sink)} of {tables + 2} dispatchers: {cluster.get(FEED).get('error')}")
        seconds = time.monotonic() - begun
        cpu = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
        ended.set()
        pulse.join()
        comparison = wait_until_equal(source.root, sink.root, "shop", seconds=60)
        assert comparison.equal, str(comparison)
    return Run(tables, seconds, created, tables / seconds, cpu)


def _beat(source: Server, ended: threading.Event) -> None:
    with source.connect() as connection, connection.cursor() as cursor:
        while not ended.wait(0.02):
            cursor.execute("INSERT INTO shop.pulse (at) VALUES (%s)", (time.time(),))
            connection.commit()


def _claimed(sink: Server) -> int:
    return int(_query(sink, "SELECT COUNT(*) FROM hedgerow.progress WHERE generation > 0"))


def _query(server: Server, statement: str) -> str:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
        return str(row[0]) if row else ""


def print_table(console: Console, runs: list[Run]) -> None:
    names = list(runs[0].cpu)
    table = Table(box=None, pad_edge=False)
    for column in (
        "tables",
        "seconds",
        "tables/s",
        "source alone",
        *(f"{name} CPU ms" for name in names),
        "all CPU ms",
    ):
        table.add_column(column, justify="right", no_wrap=True)
    for run in runs:
        each = [run.cpu[name] / run.tables * 1000 for name in names]
        cells = [f"{value:.1f}" for value in (run.seconds, run.rate, run.source_seconds, *each, sum(each))]
        table.add_row(str(run.tables), *cells)
    console.print(table)


@click.command()
@click.option("--tables", multiple=True, type=int, default=(250, 500, 1000, 2000), show_default=True)
@click.option("--flavour", type=click.Choice(["mariadb", "mysql"]), default="mariadb", show_default=True)
@click.option("--nodes", default=2, show_default=True)
def main(tables: tuple[int, ...], flavour: Flavour, nodes: int) -> None:
    """Creates tables while replicating, prints a table and writes bench/results/ddl-FLAVOUR.json."""
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, 120)
    runs = []
    for number in tables:
        runs.append(measure(flavour, number, nodes))
        console.print(f"[dim]{number} tables: {runs[-1].seconds:.1f} s, {runs[-1].rate:.1f}/s[/dim]")
    results = {
        "flavour": flavour,
        "nodes": nodes,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "runs": [dataclasses.asdict(run) for run in runs],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"ddl-{flavour}.json").write_text(json.dumps(results, indent=1) + "\n")
    console.print()
    print_table(console, runs)


if __name__ == "__main__":
    sys.exit(main())
