"""One source transaction of 2 GiB: how long until it is visible in the sink, whole, and the node's memory meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from bench.binlog import create_tables, place
from bench.contender import BenchError, Contender, Session
from bench.gate import CHECK_SECONDS
from bench.results import HugeRun
from bench.scenarios import SCHEMA
from bench.settings import sink_options, source_options
from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.compare import compare
from hedgerow.sandbox.servers import Server

ROW = 256 << 10  # bytes
APPLY_SECONDS = 900.0
POLL_SECONDS = 0.05

_CREATE = (
    f"CREATE DATABASE `{SCHEMA}` CHARACTER SET utf8mb4",
    f"CREATE TABLE `{SCHEMA}`.huge (id INT PRIMARY KEY, data LONGTEXT CHARACTER SET latin1) ENGINE = InnoDB",
)


def huge_runs(
    flavour: Flavour, contenders: Sequence[Contender], rows: int, say: Callable[[str], None]
) -> list[HugeRun]:
    """Raises BenchError."""
    runs = []
    for contender in contenders:
        run = _huge_once(flavour, contender, rows)
        say(f"{contender.name}: {run.seconds:.1f} s" + ("" if run.equal else " and the sink DIFFERS"))
        runs.append(run)
    return runs


def _huge_once(flavour: Flavour, contender: Contender, rows: int) -> HugeRun:
    with (
        Server(flavour, "source", source_options(flavour)) as source,
        Server(flavour, "sink", sink_options(flavour, durable=True)) as sink,
    ):
        create_tables(source, _CREATE)
        create_tables(sink, _CREATE, log=False)
        with contender.replicate(source, sink, place(source)) as session:
            _write(source, rows)
            committed = time.monotonic()
            _await(sink, session, rows)
            seconds, usage = time.monotonic() - committed, session.usage()
            session.check()
        comparison = compare(source.root, sink.root, SCHEMA)
    return HugeRun(
        contender.name,
        rows,
        rows * ROW,
        seconds,
        usage.peak_resident if usage else None,
        comparison.equal,
        "" if comparison.equal else str(comparison),
    )


def _write(source: Server, rows: int) -> None:
    with source.connect(database=SCHEMA, autocommit=False) as connection, connection.cursor() as cursor:
        for number in range(1, rows + 1):
            cursor.execute(f"INSERT INTO huge VALUES ({number}, REPEAT(SHA2({number}, 512), {ROW // 128}))")
        connection.commit()


def _await(sink: Server, session: Session, rows: int) -> None:
    """Until the last row is visible. Raises BenchError where the first is before it."""
    deadline, next_check = time.monotonic() + APPLY_SECONDS, time.monotonic() + CHECK_SECONDS
    with sink.connect(database=SCHEMA) as connection, connection.cursor() as cursor:
        while True:
            cursor.execute(f"SELECT COUNT(*) FROM huge WHERE id IN (1, {rows})")
            ((seen,),) = cursor.fetchall()
            if seen == 2:
                return
            if seen:
                raise BenchError("a part of the source's transaction became visible in the sink")
            now = time.monotonic()
            if now > deadline:
                raise BenchError(f"the transaction was not applied within {APPLY_SECONDS:g} s")
            if now > next_check:
                session.check()
                next_check = now + CHECK_SECONDS
            time.sleep(POLL_SECONDS)
