"""What both sides of a comparison look like to whoever measures them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

import pymysql

from bench.binlog import Place
from bench.measure import Usage
from hedgerow.common.errors import HedgerowError
from hedgerow.sandbox.process import SandboxError
from hedgerow.sandbox.servers import Server

Run = TypeVar("Run")

FAILURES = (
    HedgerowError,
    pymysql.MySQLError,
    OSError,
    subprocess.SubprocessError,
)  # what ends a measurement, and not the benchmark


class BenchError(SandboxError):
    """A run that cannot be measured: replication failed, or did not end in time."""


class Session(Protocol):
    """A replication that was started."""

    def check(self) -> None:
        """Raises BenchError when it has failed."""
        ...

    def usage(self) -> Usage | None:
        """Of the processes that replicate; None where that is the sink's server itself."""
        ...


class Contender(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def native(self) -> bool: ...

    @property
    def live(self) -> bool:
        """Whether it goes on to replicate what is written after it was started."""
        ...

    def replicate(
        self, source: Server, sink: Server, begin: Place, fetch_to: str | None = None
    ) -> AbstractContextManager[Session]:
        """Starts replicating all that comes after `begin`; ends it on exit. One that copies the binlog before it
        applies it begins to apply when it has copied all up to the GTID set `fetch_to`."""
        ...


def take_turns(
    contenders: Sequence[Contender],
    rounds: int,
    once: Callable[[Contender, int], Run],
    describe: Callable[[Run], str],
    say: Callable[[str], None],
) -> tuple[list[Run], list[str]]:
    """The runs, and why others failed: whoever fails is left out of the rounds that follow."""
    runs: list[Run] = []
    failed: dict[str, str] = {}
    for number, contender in turns(contenders, rounds):
        if contender.name in failed:
            continue
        try:
            run = once(contender, number)
        except FAILURES as error:
            failed[contender.name] = f"{contender.name}: {type(error).__name__}: {error}"
            say(f"round {number}, {failed[contender.name]}")
            continue
        say(f"round {number}, {contender.name}: {describe(run)}")
        runs.append(run)
    return runs, list(failed.values())


def turns(contenders: Sequence[Contender], rounds: int) -> Iterator[tuple[int, Contender]]:
    """Every contender once a round: A B C, C B A, B C A, A C B. What happens on the machine meanwhile hits all, and
    where it grows from run to run, two rounds have as much of it for one as for another."""
    for number in range(rounds):
        shift = number // 2 % len(contenders)
        order = [*contenders[shift:], *contenders[:shift]]
        for contender in order if number % 2 == 0 else reversed(order):
            yield number + 1, contender
