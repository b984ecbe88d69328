"""The rounds that are not counted: they warm the machine up, and find how much must be written for long windows.

Everybody applies the scenario's first piece. Then those that may be the fastest apply more and more, until the fastest
needs as long as was asked for: on any machine, whatever its speed. It must need it twice in a row, since on a busy
machine a single window may be long by accident.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.apply import apply_once
from bench.binlog import Binlog, Written
from bench.contender import BenchError, Contender, take_turns
from bench.results import ApplyRun
from bench.spread import close, wanted_size
from hedgerow.sandbox.servers import Server


def warm_up(
    source: Server,
    binlog: Binlog,
    written: Written,
    contenders: Sequence[Contender],
    *,
    durable: bool,
    wanted: float,
    say: Callable[[str], None],
) -> Written:
    """What is to be applied in the rounds that count. `wanted`: seconds of the fastest; none: what is `written` stays.

    Raises BenchError where nobody can apply it, and where a sink differs.
    """

    def once(contender: Contender, number: int) -> ApplyRun:
        return apply_once(source, written, contender, number, durable=durable)

    long_enough = 0
    while True:
        say(f"warm-up with {written.transactions:,} transactions")
        runs, failures = take_turns(contenders, 1, once, lambda run: f"{run.seconds:.2f} s", say)
        if not runs:
            raise BenchError("; ".join(failures))
        if different := [f"{run.contender}: {run.difference}" for run in runs if not run.equal]:
            raise BenchError("the sink differs from the source: " + "; ".join(different))
        seconds = {run.contender: run.seconds for run in runs}
        contenders = [contender for contender in contenders if contender.name in close(seconds)]
        long_enough = long_enough + 1 if min(seconds.values()) >= wanted else 0
        if long_enough == 2 or not wanted:
            return written
        if long_enough:
            continue
        written = binlog.extend(wanted_size(written.transactions, min(seconds.values()), wanted))
