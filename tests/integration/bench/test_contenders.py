"""The clock and the contenders on real servers: who is timed, what is compared, and who is told to have failed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.apply import apply_once
from bench.binlog import Binlog, Written
from bench.command import CommandLine, CommandSession
from bench.contender import BenchError, Contender
from bench.native import Native
from bench.ours import Hedgerow
from bench.pipe import find_pipe
from bench.results import ApplyRun
from bench.scenarios import SCENARIOS, Scenario
from bench.settings import source_options
from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.servers import Server

TRANSACTIONS = 400
COPY = f"{shlex.quote(sys.executable)} {shlex.quote(str(Path(__file__).with_name('copying.py')))}"


def scenario(name: str) -> Scenario:
    return next(each for each in SCENARIOS if each.name == name)


@pytest.fixture(scope="module")
def source(flavour: Flavour) -> Iterator[Server]:
    with Server(flavour, "source", source_options(flavour)) as server:
        yield server


@pytest.fixture(scope="module")
def written(source: Server) -> Written:
    """In two pieces, as after a warm-up."""
    binlog = Binlog(source, scenario("wide"))
    first = binlog.extend(TRANSACTIONS // 4)
    whole = binlog.extend(TRANSACTIONS)
    assert (first.transactions, whole.transactions) == (TRANSACTIONS // 4, TRANSACTIONS)
    assert (first.mark, whole.mark, whole.begin) == (1, 2, first.begin)
    assert first.rows < whole.rows
    assert 0 < first.bytes < whole.bytes
    return whole


def tells_nothing(session: CommandSession) -> bool:
    """Raises what it tells, sooner or later."""
    session.check()
    return False


def applied(source: Server, written: Written, contender: Contender) -> ApplyRun:
    run = apply_once(source, written, contender, 1, durable=False)
    assert run.equal, run.difference
    assert run.transactions == TRANSACTIONS
    assert run.seconds > 0
    return run


@pytest.mark.timeout(300)
def test_hedgerow_and_native_replication_apply_all_after_the_gate(source: Server, written: Written) -> None:
    for contender in (Native(2), Hedgerow()):
        run = applied(source, written, contender)
        assert (run.node_cpu_seconds is None) == contender.native
        assert run.sink_cpu_seconds > 0


@pytest.mark.timeout(300)
def test_what_a_command_line_starts_is_timed_and_compared(source: Server, written: Written) -> None:
    """It ends before the clock does, and its CPU is counted all the same."""
    command = f"{COPY} bench {{source_port}} {{sink_port}} && sleep 0"
    run = applied(source, written, CommandLine("copying", command))
    assert run.node_cpu_seconds_total is not None
    assert run.node_cpu_seconds_total > 0.05  # Python alone needs more to start


@pytest.mark.timeout(300)
def test_a_command_that_leaves_something_out_differs(source: Server, written: Written) -> None:
    command = f"{COPY} bench {{source_port}} {{sink_port}} --without-one-row"
    run = apply_once(source, written, CommandLine("copying", command), 1, durable=False)
    assert not run.equal
    assert "1 missing in the sink" in run.difference


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("echo 'no {file} here' >&2; exit 3", r"ended with 3 before all was applied: no binlog\.\d+ here"),
        ("true", r"ended with 0 before all was applied"),
        ("kill -9 $$", r"was killed"),
    ],
)
def test_a_command_that_fails_is_told_with_its_words(source: Server, written: Written, command: str, told: str) -> None:
    failing = CommandLine("failing", command)
    with pytest.raises(BenchError, match=told), failing.replicate(source, source, written.begin) as session:
        wait_until(lambda: tells_nothing(session), 30.0)


@pytest.mark.timeout(300)
def test_the_binlog_pipe_applies_all_where_its_programs_are(source: Server, written: Written) -> None:
    pipe = find_pipe(source.flavour, source.program)
    if isinstance(pipe, str):
        pytest.skip(pipe)
    applied(source, written, pipe)
