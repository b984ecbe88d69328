"""How rounds become rows, and which aims a row meets."""

from __future__ import annotations

from dataclasses import replace

from bench.aims import Judged, judge_apply, judge_huge, judge_latency
from bench.machine import Noise
from bench.results import ApplyRun, HugeRun, LatencyRun, apply_rows, latency_rows, percentile
from bench.spread import Spread

QUIET = Noise(0.1, 0.01, 0.0)


def apply_run(contender: str, seconds: float, *, number: int = 1, peak: int | None = None) -> ApplyRun:
    ours = contender == "hedgerow"
    cpu = 0.5 * seconds if ours else None
    return ApplyRun(contender, not ours, number, seconds, 1000, 5000, 0.1, 0.0, cpu, cpu, peak, QUIET, True)


def latency_run(contender: str, p50: float, p99: float, most: float, number: int = 1) -> LatencyRun:
    ours = contender == "hedgerow"
    share, peak = (0.1, 100_000_000) if ours else (None, None)
    return LatencyRun(contender, not ours, number, 500, 50.0, p50, p99, p99, most, share, peak, QUIET, True)


def met(judged: list[Judged]) -> list[bool]:
    return [one.met for one in judged]


def test_rows_are_medians_and_ratios_are_of_the_same_round() -> None:
    runs = [apply_run("native, 1 worker", seconds, number=n) for n, seconds in ((1, 8.0), (2, 10.0), (3, 40.0))]
    runs += [apply_run("native, 4 workers", seconds, number=n) for n, seconds in ((1, 4.0), (2, 5.0), (3, 10.0))]
    ours_of = ((1, 1.0, 90), (2, 1.0, 120), (3, 4.0, 110))
    runs += [apply_run("hedgerow", seconds, number=n, peak=size) for n, seconds, size in ours_of]
    one, four, ours = apply_rows(runs)
    assert (one.contender, one.transactions_per_second.median) == ("native, 1 worker", 100.0)
    assert one.ratio == Spread(0.25, 0.5, 0.5)
    assert (four.transactions_per_second, four.rows_per_second) == (Spread(100.0, 200.0, 250.0), 1000.0)
    assert four.ratio == Spread(1.0, 1.0, 1.0)
    assert ours.ratio == Spread(2.5, 4.0, 5.0)
    assert [row.windows for row in apply_rows(runs[:-1])] == [3, 3, 2]
    assert ours.seconds == Spread(1.0, 1.0, 4.0)
    assert ours.node_cpu_microseconds == Spread(500.0, 500.0, 2000.0)
    assert (ours.node_peak_resident, ours.others) == (120, 0.01)
    assert ours.equal
    assert not apply_rows([*runs, replace(runs[-1], equal=False)])[2].equal


def test_without_native_replication_there_is_no_ratio() -> None:
    (row,) = apply_rows([apply_run("hedgerow", 2.0)])
    assert (row.ratio, row.transactions_per_second.median) == (None, 500.0)


def test_an_aim_is_met_or_missed() -> None:
    rows = apply_rows([apply_run("native, 4 workers", 4.0), apply_run("hedgerow", 1.0, peak=149_000_000)])
    assert met(list(judge_apply("mariadb", "small", True, rows))) == [True, False, True]
    assert met(list(judge_apply("mysql", "small", True, rows))) == [False, False, True]
    assert met(list(judge_apply("mysql", "hot", True, rows))) == [True]
    larger = [replace(row, node_peak_resident=151_000_000) for row in rows if row.contender == "hedgerow"]
    assert met(list(judge_apply("mariadb", "bulk", True, larger))) == [True, False]


def test_a_sink_that_is_not_durable_has_an_aim_of_its_own() -> None:
    rows = apply_rows([apply_run("native, 4 workers", 1.1), apply_run("hedgerow", 1.0)])
    assert met(list(judge_apply("mariadb", "bulk", True, rows))) == [False]
    assert met(list(judge_apply("mariadb", "bulk", False, rows))) == [True]


def test_latency_takes_the_worst_of_all_rounds_and_ratios_of_the_same_round() -> None:
    runs = [latency_run("native, 1 worker", 0.002, 0.010, 0.5, n) for n in (1, 2, 3)]
    runs += [latency_run("native, 4 workers", 0.004, 0.008, 0.02, n) for n in (1, 2, 3)]
    ours_of = ((1, 0.012, 0.05), (2, 0.016, 0.09), (3, 0.2, 0.3))
    runs += [latency_run("hedgerow", 0.003, p99, most, n) for n, p99, most in ours_of]
    ours = latency_rows(runs)[2]
    assert (ours.p50_ratio, ours.p99_ratio, ours.most) == (Spread(1.5, 1.5, 1.5), Spread(1.5, 2.0, 25.0), 0.3)
    assert met(list(judge_latency([ours]))) == [True, True, False, True]
    slower = replace(ours, p99_ratio=Spread(1.0, 2.1, 2.2), most=0.1)
    assert met(list(judge_latency([slower]))) == [True, False, True, True]
    transaction = replace(ours, contender="hedgerow --consistency transaction")
    assert [one.text.partition(":")[0] for one in judge_latency([transaction])][:3] == [transaction.contender] * 3
    assert list(judge_latency([replace(ours, contender="native, 1 worker")])) == []


def test_percentiles_are_by_nearest_rank() -> None:
    values = [float(number) for number in range(100)]
    assert [percentile(values, share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 99.0]


def test_one_huge_transaction_may_take_more_memory() -> None:
    run = HugeRun("hedgerow", 8192, 2 << 30, 30.0, 299_000_000, True)
    assert met(list(judge_huge([run, replace(run, node_peak_resident=301_000_000)]))) == [True, False]
    assert list(judge_huge([replace(run, node_peak_resident=None)])) == []
