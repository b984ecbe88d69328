"""Exactly once under fire: a live workload, and the node killed with SIGKILL again and again while it applies.

Two writers at once: the small scenario's one-row transactions, and the sandbox's mixed workload, which has a table
without a key, where a row that is applied twice or not at all can hide from the server but not from the comparison.
The first kill comes when the node applies, every other one some seconds after its successor has begun to apply.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import pymysql

from bench.binlog import create_tables, execute_transaction
from bench.contender import BenchError
from bench.ours import FEED
from bench.results import FireRun
from bench.scenarios import SCENARIOS, SCHEMA
from bench.settings import sink_options, source_options
from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.accounts import Access
from hedgerow.sandbox.cluster import Cluster
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.servers import Server
from hedgerow.sandbox.workload import SCHEMA as MIXED_SCHEMA
from hedgerow.sandbox.workload import Workload

KEYLESS = f"{MIXED_SCHEMA}.audit"
LEASE_SECONDS = 2  # the dead node's own lease is what its only successor waits for
RECOVERY_SECONDS = 30.0
POLL_SECONDS = 0.05
CATCH_UP_SECONDS = 120.0
_NO_TABLE = (1049, 1146)  # no such schema, no such table: nothing was applied yet
PAUSE_SECONDS = (1.0, 4.0)  # between the first row after a restart and the next kill
MIXED_PER_SECOND = 200


class _SmallWriter:
    """The small scenario over and over, until stop()."""

    def __init__(self, source: Access) -> None:
        self.transactions = self.rows = 0
        self._source = source
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="small", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Raises what ended it before, if anything did."""
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise BenchError(f"the workload failed: {self._error}") from self._error

    def _run(self) -> None:
        (small,) = (scenario for scenario in SCENARIOS if scenario.name == "small")
        try:
            with self._source.connect(database=SCHEMA) as connection, connection.cursor() as cursor:
                for statements in small.generate(random.Random("fire")):
                    self.rows += execute_transaction(cursor, statements)
                    self.transactions += 1
                    if self._stop.wait(0.0005):
                        return
        except Exception as error:
            self._error = error


def fire(flavour: Flavour, seconds: float, say: Callable[[str], None]) -> FireRun:
    """Raises BenchError when nothing is applied any more."""
    (small,) = (scenario for scenario in SCENARIOS if scenario.name == "small")
    rng = random.Random(flavour)
    servers = (source_options(flavour), sink_options(flavour, durable=True))
    settings = {"lease_ttl": LEASE_SECONDS}
    with Cluster(flavour, 1, settings=settings, source_options=servers[0], sink_options=servers[1]) as cluster:
        source, sink = cluster.pair.source, cluster.pair.sink
        mixed = Workload(source.root, rate=MIXED_PER_SECOND, seed=1)
        create_tables(source, small.create())
        mixed.create_tables()
        cluster.create(FEED, "--filter", f"{SCHEMA}.*", "--filter", f"{MIXED_SCHEMA}.*", start="earliest")
        began, writer, recoveries = time.monotonic(), _SmallWriter(source.root), []
        mixed.start()
        _wait_applied(cluster, sink, 0)
        while time.monotonic() < began + seconds:
            time.sleep(rng.uniform(*PAUSE_SECONDS))
            (node,) = cluster.nodes
            epoch, _ = _progress(sink)
            node.process.kill()
            node.process.start()
            recovered = _wait_applied(cluster, sink, epoch)
            recoveries.append(recovered)
            say(f"kill {len(recoveries)}: applying again after {recovered:.1f} s, {writer.transactions:,} written")
        mixed.stop()
        writer.stop()
        took = time.monotonic() - began
        compared = wait_until_equal(source.root, sink.root, SCHEMA, MIXED_SCHEMA, seconds=CATCH_UP_SECONDS)
    (keyless,) = (table for table in compared.tables if table.table == KEYLESS)
    return FireRun(
        took,
        len(recoveries),
        tuple(recoveries),
        writer.transactions + mixed.transactions,
        writer.rows + mixed.rows,
        compared.rows,
        keyless.source_rows,
        compared.equal,
        "" if compared.equal else str(compared),
    )


def _progress(sink: Server) -> tuple[int, tuple[str, int]]:
    """The highest epoch that has claimed, and the furthest place in the source's binlog that is durable in the sink."""
    with sink.connect() as connection, connection.cursor() as cursor:
        try:
            cursor.execute(
                "SELECT (SELECT MAX(epoch) FROM hedgerow.progress), binlog_file, binlog_pos FROM hedgerow.progress"
                " ORDER BY binlog_file DESC, binlog_pos DESC LIMIT 1"
            )
        except pymysql.MySQLError as error:
            if error.args[0] not in _NO_TABLE:
                raise
            return 0, ("", 0)
        row = cursor.fetchone()
    return (row[0], (row[1], row[2])) if row else (0, ("", 0))


def _wait_applied(cluster: Cluster, sink: Server, epoch: int) -> float:
    """Until an owner above `epoch` has applied something; the seconds that took. Raises BenchError.

    A COMMIT that the dead node had sent may still succeed after it. Only what comes after a claim at a higher epoch is
    its successor's: from then on the fence keeps out everybody before.
    """
    began = time.monotonic()
    deadline = began + RECOVERY_SECONDS
    claimed: tuple[str, int] | None = None
    while True:
        highest, place = _progress(sink)
        if claimed is None and highest > epoch:
            claimed = place
        elif claimed is not None and place > claimed:
            return time.monotonic() - began
        if time.monotonic() > deadline:
            (node,) = cluster.nodes
            raise BenchError(f"nothing applied within {RECOVERY_SECONDS:g} s\n{node.process.log_tail()}")
        time.sleep(POLL_SECONDS)
