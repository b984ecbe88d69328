"""What tables cost in which nothing happens, while something else is written in the source: bytes of the sink's binlog,
for each such table and second.

    python -m bench.idletables --flavour mariadb --tables 60 --seconds 130

One node, one changefeed over `tables` tables of a schema; 75 one-row transactions a second go into another one, which
the filter leaves out.
"""

from __future__ import annotations

import threading
import time

import click

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.flavours import FLAVOURS
from hedgerow.sandbox.servers import Server

RATE = 75
SCHEMA = "idle"


def binlog_bytes(server: Server) -> int:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW BINARY LOGS")
        return sum(int(row[1]) for row in cursor.fetchall())


def create_tables(server: Server, tables: int) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {SCHEMA}")
        for number in range(tables):
            cursor.execute(f"CREATE TABLE {SCHEMA}.t{number} (id INT PRIMARY KEY)")
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE elsewhere")
        cursor.execute("CREATE TABLE elsewhere.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")


def write(source: Server, stop: threading.Event) -> None:
    with source.connect(autocommit=True) as connection, connection.cursor() as cursor:
        while not stop.wait(1 / RATE):
            cursor.execute("INSERT INTO elsewhere.t (v) VALUES (1)")


def measure(flavour: Flavour, tables: int, seconds: float) -> tuple[int, int, float]:
    """Bytes that source and sink have logged, and in how many seconds."""
    with Cluster(flavour, nodes=1) as cluster:
        for server in (cluster.pair.source, cluster.pair.sink):
            create_tables(server, tables)
        cluster.create("idle", "--filter", f"{SCHEMA}.*", start="now")
        cluster.wait_for("idle", state="normal")
        stop = threading.Event()
        writer = threading.Thread(target=write, args=(cluster.pair.source, stop))
        writer.start()
        try:
            before = binlog_bytes(cluster.pair.source), binlog_bytes(cluster.pair.sink)
            began = time.monotonic()
            time.sleep(seconds)
            after = binlog_bytes(cluster.pair.source), binlog_bytes(cluster.pair.sink)
            took = time.monotonic() - began
        finally:
            stop.set()
            writer.join()
    return after[0] - before[0], after[1] - before[1], took


@click.command()
@click.option("--flavour", type=click.Choice(FLAVOURS), default="mariadb", show_default=True)
@click.option("--tables", default=60, show_default=True, help="that stay idle")
@click.option("--seconds", default=185.0, show_default=True, help="of writing elsewhere")
def main(flavour: Flavour, tables: int, seconds: float) -> None:
    source, sink, took = measure(flavour, tables, seconds)
    cost = sink / tables / took
    click.echo(
        f"{flavour}: {tables} idle tables, {took:.0f} s: the source logged {source:,} bytes, the sink {sink:,}: "
        f"{cost:.1f} bytes/s for each idle table, {cost * 1000 * 86400 / 1e9:.2f} GB a day for 1,000"
    )


if __name__ == "__main__":
    main()
