"""One binlog, several contenders, several rounds, interleaved: how fast each applies it.

Every run has a new sink, so that no run finds caches, logs or dirty pages of another. The order of the contenders
rotates from round to round, so that what happens on the machine meanwhile does not always hit the same one.

The clock starts when a tenth of the binlog has become visible in the sink and stops when all has. So neither starting
(connections, election, preflight, the first small batches) nor what was read ahead meanwhile counts on either side.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.binlog import Written, create_tables
from bench.contender import BenchError, Contender, Session
from bench.gate import gate
from bench.measure import Usage, cpu_seconds
from bench.results import ApplyRun
from bench.scenarios import MARKS, SCHEMA, mark_query
from bench.settings import sink_options
from hedgerow.sandbox.compare import compare
from hedgerow.sandbox.servers import Server

WARM = MARKS // 10
APPLY_SECONDS = 900.0
POLL_SECONDS = 0.005
CHECK_SECONDS = 1.0


def rotations(contenders: Sequence[Contender], rounds: int) -> Iterator[tuple[int, Contender]]:
    """Every contender once a round; another one is the first each time."""
    for number in range(rounds):
        shift = number % len(contenders)
        for contender in (*contenders[shift:], *contenders[:shift]):
            yield number + 1, contender


def apply_rounds(
    source: Server,
    written: Written,
    contenders: Sequence[Contender],
    rounds: int,
    *,
    durable: bool,
    say: Callable[[str], None],
) -> list[ApplyRun]:
    """Raises BenchError when a run fails; a sink that differs is not a failure but a result."""
    runs = []
    for number, contender in rotations(contenders, rounds):
        run = apply_once(source, written, contender, number, durable=durable)
        say(
            f"round {number}, {contender.name}: {run.seconds:.2f} s, {run.transactions / run.seconds:,.0f} txn/s"
            + ("" if run.equal else " and the sink DIFFERS")
        )
        runs.append(run)
    return runs


def apply_once(source: Server, written: Written, contender: Contender, number: int, *, durable: bool) -> ApplyRun:
    scenario = written.scenario
    with Server(source.flavour, "sink", sink_options(source.flavour, durable=durable)) as sink:
        create_tables(sink, scenario.create(), log=False)
        with (
            gate(sink, scenario.tables) as open_gate,
            contender.replicate(source, sink, written.begin, written.end) as session,
        ):
            before, after = _Watch(source, sink, session).measure(scenario.tables, open_gate)
        (transactions, rows), (all_transactions, all_rows) = written.marks[before.mark], written.marks[-1]
        comparison = compare(source.root, sink.root, SCHEMA)
    node = (before.node, after.node)
    return ApplyRun(
        contender.name,
        contender.native,
        number,
        after.at - before.at,
        all_transactions - transactions,
        all_rows - rows,
        after.sink_cpu - before.sink_cpu,
        after.source_cpu - before.source_cpu,
        node[1].cpu_seconds - node[0].cpu_seconds if node[0] and node[1] else None,
        node[1].cpu_seconds if node[1] else None,
        node[1].peak_resident if node[1] else None,
        comparison.equal,
        "" if comparison.equal else str(comparison),
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """`at` is monotonic time, `mark` the greatest mark seen."""

    at: float
    mark: int
    node: Usage | None
    sink_cpu: float
    source_cpu: float


class _Watch:
    """Polls a sink for its markers."""

    def __init__(self, source: Server, sink: Server, session: Session) -> None:
        self._source = source
        self._sink = sink
        self._session = session

    def measure(self, tables: tuple[str, ...], open_gate: Callable[[], None]) -> tuple[_Reading, _Reading]:
        """What had been used when a tenth was seen in the sink, and when all was. Raises BenchError."""
        query, warm = mark_query(tables), None
        deadline, next_check = time.monotonic() + APPLY_SECONDS, time.monotonic() + CHECK_SECONDS
        with self._sink.connect(database=SCHEMA) as connection, connection.cursor() as cursor:
            open_gate()
            while True:
                cursor.execute(query)
                ((mark,),) = cursor.fetchall()
                now = time.monotonic()
                if mark == MARKS:
                    if warm is None:
                        raise BenchError("all became visible in the sink at once: there is no speed to measure")
                    return warm, self._read(now, mark)
                if warm is None and mark >= WARM:
                    warm = self._read(now, mark)
                if now > deadline:
                    raise BenchError(f"not everything was applied within {APPLY_SECONDS:g} s")
                if now > next_check:
                    self._session.check()
                    next_check = time.monotonic() + CHECK_SECONDS
                time.sleep(POLL_SECONDS)

    def _read(self, at: float, mark: int) -> _Reading:
        return _Reading(at, mark, self._session.usage(), cpu_seconds(self._sink.pid), cpu_seconds(self._source.pid))
