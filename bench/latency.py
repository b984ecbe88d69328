"""From the source's commit to visible in the sink, under a steady load that the machine can well carry.

The sink is asked about a thousand times a second, the same way for every contender: what is measured includes up to a
poll's length, and so does native replication's. Each contender has its own new source and sink.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.binlog import create_tables, place
from bench.contender import BenchError, Contender, Session
from bench.gate import CHECK_SECONDS
from bench.meter import Meter
from bench.oltp import ALL_TABLES, CREATE, WRITERS, Load, Writing, latencies, load_rows
from bench.results import LatencyRun, percentile
from bench.scenarios import SCHEMA
from bench.settings import sink_options, source_options
from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.compare import compare, wait_until_equal
from hedgerow.sandbox.servers import Server

CATCH_UP_SECONDS = 60.0
SETTLE_SECONDS = 2.0
WARM_UP_SECONDS = 2.0  # of the load, whose transactions are not counted
POLL_SECONDS = 0.001


def describe(run: LatencyRun) -> str:
    return f"p50 {run.p50 * 1000:.1f} ms, p99 {run.p99 * 1000:.1f} ms, most {run.most * 1000:.1f} ms" + (
        "" if run.equal else " and the sink DIFFERS"
    )


def latency_once(flavour: Flavour, contender: Contender, number: int, *, rate: float, seconds: float) -> LatencyRun:
    """Raises BenchError."""
    with (
        Server(flavour, "source", source_options(flavour)) as source,
        Server(flavour, "sink", sink_options(flavour, durable=True)) as sink,
    ):
        create_tables(source, CREATE)
        create_tables(sink, CREATE, log=False)
        begin = place(source)
        load_rows(source.root)
        with contender.replicate(source, sink, begin) as session:
            caught_up = wait_until_equal(source.root, sink.root, SCHEMA, seconds=CATCH_UP_SECONDS)
            if not caught_up.equal:
                session.check()
                raise BenchError(f"the sink did not catch up within {CATCH_UP_SECONDS:g} s:\n{caught_up}")
            time.sleep(SETTLE_SECONDS)
            meter = Meter(source, sink, session)
            meter.start()
            writing = Writing(Load(source.root, rate, WARM_UP_SECONDS + seconds, number))
            seen = _watch(sink, session, writing)
            commits = writing.result()
            metered = meter.stop(time.monotonic())
            session.check()
        comparison = compare(source.root, sink.root, SCHEMA, tables=[f"{SCHEMA}.{table}" for table in ALL_TABLES])
    samples = latencies(commits, seen, WARM_UP_SECONDS)
    if not samples:
        raise BenchError(f"nothing was written after the first {WARM_UP_SECONDS:g} s of the load")
    return LatencyRun(
        contender.name,
        contender.native,
        number,
        len(samples),
        len(samples) / _span(commits),
        percentile(samples, 0.5),
        percentile(samples, 0.95),
        percentile(samples, 0.99),
        samples[-1],
        metered.node_cpu_seconds / metered.seconds if metered.node_cpu_seconds is not None else None,
        metered.node.peak_resident if metered.node else None,
        metered.noise,
        comparison.equal,
        "" if comparison.equal else str(comparison),
    )


def _span(commits: Sequence[Sequence[float]]) -> float:
    """The seconds of the load that count."""
    written = [of_writer for of_writer in commits if of_writer]
    return max(of_writer[-1] for of_writer in written) - min(of_writer[0] for of_writer in written) - WARM_UP_SECONDS


def _watch(sink: Server, session: Session, writing: Writing) -> list[list[float]]:
    """For each writer, when its probes were seen first. Ends when all are there. Raises BenchError."""
    newest = (f"COALESCE((SELECT MAX(number) FROM probe WHERE writer = {writer}), 0)" for writer in range(WRITERS))
    query = f"SELECT {', '.join(newest)}"
    seen: list[list[float]] = [[] for _ in range(WRITERS)]
    next_check, deadline = time.monotonic() + CHECK_SECONDS, None
    with sink.connect(database=SCHEMA) as connection, connection.cursor() as cursor:
        while True:
            cursor.execute(query)
            (numbers,) = cursor.fetchall()
            now = time.monotonic()
            for of_writer, number in zip(seen, numbers, strict=True):
                of_writer.extend([now] * (number - len(of_writer)))
            if now > next_check:
                next_check = now + CHECK_SECONDS
                if writing.done:
                    if [len(of_writer) for of_writer in writing.result()] == [len(of_writer) for of_writer in seen]:
                        return seen
                    session.check()
                    deadline = deadline or now + CATCH_UP_SECONDS
                    if now > deadline:
                        raise BenchError(f"the sink did not catch up within {CATCH_UP_SECONDS:g} s")
            time.sleep(POLL_SECONDS)
