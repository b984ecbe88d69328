"""The warm-up: how much is written, who applies it, and what ends it. With contenders of a known speed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from bench import warmup
from bench.binlog import Place, Written
from bench.contender import BenchError
from bench.machine import Noise
from bench.results import ApplyRun
from bench.scenarios import SCENARIOS

FIRST = Written(SCENARIOS[0], Place("0-1-1", "binlog.1", 4), "0-1-9", 1, 1_000, 1_000, 300_000)


@dataclass(frozen=True)
class Speed:
    """`starting`: seconds that a run takes whatever there is to apply."""

    name: str
    rate: float
    starting: float = 0.0
    native: bool = False
    failure: str = ""
    difference: str = ""

    @property
    def now(self) -> float:
        return self.rate


@dataclass
class Growing:
    """A binlog."""

    sizes: list[int] = field(default_factory=list)

    def extend(self, transactions: int) -> Written:
        self.sizes.append(transactions)
        return replace(FIRST, transactions=transactions, mark=1 + len(self.sizes))


class Bench:
    def __init__(self) -> None:
        self.binlog = Growing()
        self.applied: list[tuple[str, int]] = []

    def apply(self, source: object, written: Written, contender: Any, number: int, *, durable: bool) -> ApplyRun:
        self.applied.append((contender.name, written.transactions))
        if contender.failure:
            raise BenchError(contender.failure)
        seconds = contender.starting + written.transactions / contender.now
        quiet, equal = Noise(0.0, 0.0, 0.0), not contender.difference
        whole = (written.transactions, written.rows)
        return ApplyRun(
            contender.name, False, 1, seconds, *whole, 0.1, 0.1, None, None, None, quiet, equal, contender.difference
        )

    def warm_up(self, *contenders: Speed, wanted: float = 5.0) -> Written:
        binlog, some = cast("Any", self.binlog), cast("Any", contenders)
        return warmup.warm_up(
            cast("Any", None), binlog, FIRST, some, durable=True, wanted=wanted, say=lambda text: None
        )


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench()
    monkeypatch.setattr(warmup, "apply_once", bench.apply)
    return bench


@pytest.mark.parametrize("rate", [100.0, 5_000.0, 80_000.0, 3_000_000.0])
def test_the_fastest_needs_as_long_as_was_wanted_whatever_the_machine(bench: Bench, rate: float) -> None:
    written = bench.warm_up(Speed("slow", rate / 20), Speed("fast", rate))
    assert written.transactions / rate >= 5.0
    assert written.transactions == 1_000 or written.transactions / rate <= 6.3


def test_everybody_warms_up_and_only_the_fast_apply_more(bench: Bench) -> None:
    bench.warm_up(Speed("slow", 1_000), Speed("fast", 50_000))
    assert bench.applied[:2] == [("slow", 1_000), ("fast", 1_000)]
    assert {name for name, _ in bench.applied[2:]} == {"fast"}
    assert [size for _, size in bench.applied[1:]] == [1_000, *bench.binlog.sizes, bench.binlog.sizes[-1]]


def test_a_window_that_is_long_by_accident_is_not_enough(bench: Bench) -> None:
    """The machine is four times as slow in the first three runs, which makes the third one long."""
    slow_runs = 3

    @dataclass(frozen=True)
    class Disturbed(Speed):
        @property
        def now(self) -> float:
            return self.rate / 4 if len(bench.applied) <= slow_runs else self.rate

    written = bench.warm_up(Disturbed("fast", 40_000))
    assert bench.applied[2][1] / 10_000 >= 5.0
    assert written.transactions / 40_000 >= 5.0


def test_one_who_only_starts_slowly_is_not_overlooked(bench: Bench) -> None:
    """Over the first piece he looks slower, over a long time he is faster: his window is the one that is to be long."""
    written = bench.warm_up(Speed("steady", 20_000), Speed("late", 60_000, starting=0.06))
    assert written.transactions / 60_000 >= 4.9


def test_without_a_wish_the_first_piece_stays(bench: Bench) -> None:
    assert bench.warm_up(Speed("slow", 1_000), Speed("fast", 50_000), wanted=0.0) == FIRST
    assert bench.binlog.sizes == []


def test_whoever_fails_is_left_out_and_without_anybody_it_ends(bench: Bench) -> None:
    assert bench.warm_up(Speed("bad", 1.0, failure="no"), Speed("fast", 50_000)).transactions > FIRST.transactions
    with pytest.raises(BenchError, match="bad: BenchError: no"):
        bench.warm_up(Speed("bad", 1.0, failure="no"))


def test_a_sink_that_differs_ends_it(bench: Bench) -> None:
    with pytest.raises(BenchError, match="differs from the source: lossy: 1 missing"):
        bench.warm_up(Speed("fast", 50_000), Speed("lossy", 90_000, difference="1 missing"))
