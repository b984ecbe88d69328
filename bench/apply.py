"""One binlog, applied once by one contender: how long it takes from the gate to the last row visible.

Every run has a new sink, so that no run finds caches, logs or dirty pages of another. The sink's tables are locked
until the contender is about to write its first row (bench/gate.py): connections, elections, checks and native
replication's copying of the binlog come before the clock. From then on everything counts, the slow beginning and the
last commit too.
"""

from __future__ import annotations

import time

from bench.binlog import Written, create_tables
from bench.contender import BenchError, Contender, Session
from bench.gate import CHECK_SECONDS, POLL_SECONDS, gate
from bench.meter import Meter, Metered
from bench.results import ApplyRun
from bench.scenarios import SCHEMA
from bench.settings import sink_options
from hedgerow.sandbox.compare import compare
from hedgerow.sandbox.servers import Server

APPLY_SECONDS = 7200.0


def apply_once(source: Server, written: Written, contender: Contender, number: int, *, durable: bool) -> ApplyRun:
    """Raises BenchError when it fails; a sink that differs is not a failure but a result."""
    scenario = written.scenario
    with Server(source.flavour, "sink", sink_options(source.flavour, durable=durable)) as sink:
        create_tables(sink, scenario.create(), log=False)
        with (
            gate(sink, scenario.tables) as closed,
            contender.replicate(source, sink, written.begin, written.end) as session,
        ):
            closed.wait_reached(session)
            meter = Meter(source, sink, session)
            meter.start()
            closed.open()
            metered = _until_visible(sink, session, scenario.marked(written.mark), meter)
        comparison = compare(source.root, sink.root, SCHEMA)
    return ApplyRun(
        contender.name,
        contender.native,
        number,
        metered.seconds,
        written.transactions,
        written.rows,
        metered.sink_cpu_seconds,
        metered.source_cpu_seconds,
        metered.node_cpu_seconds,
        metered.node.cpu_seconds if metered.node else None,
        (metered.node.peak_resident or None) if metered.node else None,
        metered.noise,
        comparison.equal,
        "" if comparison.equal else str(comparison),
    )


def _until_visible(sink: Server, session: Session, marked: str, meter: Meter) -> Metered:
    """Raises BenchError."""
    deadline, next_check = time.monotonic() + APPLY_SECONDS, time.monotonic() + CHECK_SECONDS
    with sink.connect(database=SCHEMA) as connection, connection.cursor() as cursor:
        while True:
            cursor.execute(marked)
            ((visible,),) = cursor.fetchall()
            now = time.monotonic()
            if visible:
                return meter.stop(now)
            if now > deadline:
                raise BenchError(f"not everything was applied within {APPLY_SECONDS:g} s")
            if now > next_check:
                session.check()
                next_check = time.monotonic() + CHECK_SECONDS
            time.sleep(POLL_SECONDS)
