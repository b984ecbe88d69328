"""How rounds become rows, and which aims a row meets."""

from __future__ import annotations

from dataclasses import replace

from bench.aims import Judged, judge_apply, judge_huge, judge_latency
from bench.results import ApplyRun, HugeRun, LatencyRun, apply_rows, latency_rows, percentile


def apply_run(contender: str, seconds: float, *, number: int = 1, peak: int | None = None) -> ApplyRun:
    ours = contender == "hedgerow"
    cpu = 0.5 * seconds if ours else None
    return ApplyRun(contender, not ours, number, seconds, 1000, 5000, 0.1, 0.0, cpu, cpu, peak, True)


def latency_run(contender: str, p50: float, p99: float, most: float, number: int = 1) -> LatencyRun:
    ours = contender == "hedgerow"
    share, peak = (0.1, 100_000_000) if ours else (None, None)
    return LatencyRun(contender, not ours, number, 500, 50.0, p50, p99, p99, most, share, peak, True)


def met(judged: list[Judged]) -> list[bool]:
    return [one.met for one in judged]


def test_rows_are_medians_and_ratios_take_the_best_native_setting() -> None:
    runs = [apply_run("native, 1 worker", seconds) for seconds in (9.0, 10.0, 30.0)]
    runs += [apply_run("native, 4 workers", seconds) for seconds in (4.0, 5.0, 5.5)]
    runs += [apply_run("hedgerow", seconds, peak=size) for seconds, size in ((1.0, 90), (1.25, 120), (2.0, 110))]
    one, four, ours = apply_rows(runs)
    assert (one.contender, one.transactions_per_second, one.ratio) == ("native, 1 worker", 100.0, 0.5)
    assert (four.transactions_per_second, four.rows_per_second, four.ratio) == (200.0, 1000.0, 1.0)
    assert (ours.ratio, ours.node_cpu_microseconds, ours.node_peak_resident) == (4.0, 625.0, 120)
    assert ours.equal
    assert not apply_rows([*runs, replace(runs[-1], equal=False)])[2].equal


def test_an_aim_is_met_or_missed() -> None:
    rows = apply_rows([apply_run("native, 4 workers", 4.0), apply_run("hedgerow", 1.0, peak=149_000_000)])
    assert met(list(judge_apply("mariadb", "small, sink durable", rows))) == [True, False, True]
    assert met(list(judge_apply("mysql", "small, sink durable", rows))) == [False, False, True]
    assert met(list(judge_apply("mysql", "hot, sink durable", rows))) == [True]
    larger = [replace(row, node_peak_resident=151_000_000) for row in rows if row.contender == "hedgerow"]
    assert met(list(judge_apply("mariadb", "bulk, sink durable", larger))) == [True, False]


def test_latency_takes_the_worst_of_all_rounds_and_ratios_of_medians() -> None:
    runs = [latency_run("native, 1 worker", 0.002, 0.010, 0.5), latency_run("native, 4 workers", 0.004, 0.008, 0.02)]
    runs += [latency_run("hedgerow", 0.003, p99, most) for p99, most in ((0.012, 0.05), (0.016, 0.09), (0.2, 0.3))]
    ours = latency_rows(runs)[2]
    assert (ours.p50_ratio, ours.p99_ratio, ours.most) == (1.5, 2.0, 0.3)
    assert met(list(judge_latency([ours]))) == [True, True, False, True]
    assert met(list(judge_latency([replace(ours, p99_ratio=2.1, most=0.1)]))) == [True, False, True, True]
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
