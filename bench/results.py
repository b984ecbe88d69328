"""What a measurement gives, and how several rounds of one become one row: by medians, with the least and the most.

Everything here is written to the JSON file as it is; times are in seconds, memory in bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.machine import Noise
from bench.spread import Spread, maybe_spread, ratios, spread


@dataclass(frozen=True, slots=True)
class ApplyRun:
    """One binlog applied once by one contender: its window is the `seconds` from the gate to the last row visible.

    `node_cpu_seconds`: user and system time of the processes that replicate, in the window; `node_cpu_seconds_total`:
    since they were started, election and preflight included. Both None for native replication, whose work is part of
    `sink_cpu_seconds`.
    """

    contender: str
    native: bool
    round: int
    seconds: float
    transactions: int
    rows: int
    sink_cpu_seconds: float
    source_cpu_seconds: float
    node_cpu_seconds: float | None
    node_cpu_seconds_total: float | None
    node_peak_resident: int | None
    noise: Noise
    equal: bool
    difference: str = ""

    @property
    def rate(self) -> float:
        """Transactions per second."""
        return self.transactions / self.seconds


@dataclass(frozen=True, slots=True)
class ApplyRow:
    """The rounds of one contender. `ratio`: how many times as fast as the best native setting in the same round; the
    best is the one with the greatest median."""

    contender: str
    windows: int
    seconds: Spread  # of a window
    transactions_per_second: Spread
    rows_per_second: float
    ratio: Spread | None
    sink_cpu_microseconds: float  # per transaction
    node_cpu_microseconds: Spread | None  # per transaction
    node_peak_resident: int | None  # the worst round's
    others: float  # the share of the machine's CPU that others used or took
    equal: bool


def apply_rows(runs: Sequence[ApplyRun]) -> list[ApplyRow]:
    """In the order in which contenders first appear."""
    groups = _grouped(runs)
    native = [{run.round: run.rate for run in group} for group in groups.values() if group[0].native]
    best = max(native, key=_median, default={})
    return [_apply_row(group, best) for group in groups.values()]


def _apply_row(runs: Sequence[ApplyRun], best_native: dict[int, float]) -> ApplyRow:
    return ApplyRow(
        runs[0].contender,
        len(runs),
        spread(run.seconds for run in runs),
        spread(run.rate for run in runs),
        spread(run.rows / run.seconds for run in runs).median,
        ratios({run.round: run.rate for run in runs}, best_native),
        spread(run.sink_cpu_seconds / run.transactions * 1e6 for run in runs).median,
        maybe_spread(
            None if run.node_cpu_seconds is None else run.node_cpu_seconds / run.transactions * 1e6 for run in runs
        ),
        _worst(run.node_peak_resident for run in runs),
        spread(run.noise.others + run.noise.stolen for run in runs).median,
        all(run.equal for run in runs),
    )


@dataclass(frozen=True, slots=True)
class LatencyRun:
    """Source commit to visible in the sink, in seconds, over one round."""

    contender: str
    native: bool
    round: int
    samples: int
    rate: float  # transactions per second that were really written
    p50: float
    p95: float
    p99: float
    most: float
    node_cpu_share: float | None  # of one core
    node_peak_resident: int | None
    noise: Noise
    equal: bool
    difference: str = ""


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """Medians over the rounds; `most` is the greatest of all. Ratios: times that of the native setting with the best
    median, in the same round."""

    contender: str
    windows: int
    samples: int
    p50: float
    p95: float
    p99: float
    most: float
    p50_ratio: Spread | None
    p99_ratio: Spread | None
    node_cpu_share: float | None
    node_peak_resident: int | None
    others: float
    equal: bool


def latency_rows(runs: Sequence[LatencyRun]) -> list[LatencyRow]:
    groups = _grouped(runs)
    native = [group for group in groups.values() if group[0].native]
    p50 = min(({run.round: run.p50 for run in group} for group in native), key=_median, default={})
    p99 = min(({run.round: run.p99 for run in group} for group in native), key=_median, default={})
    return [_latency_row(group, p50, p99) for group in groups.values()]


def _latency_row(runs: Sequence[LatencyRun], best_p50: dict[int, float], best_p99: dict[int, float]) -> LatencyRow:
    share = maybe_spread(run.node_cpu_share for run in runs)
    return LatencyRow(
        runs[0].contender,
        len(runs),
        sum(run.samples for run in runs),
        spread(run.p50 for run in runs).median,
        spread(run.p95 for run in runs).median,
        spread(run.p99 for run in runs).median,
        max(run.most for run in runs),
        ratios({run.round: run.p50 for run in runs}, best_p50),
        ratios({run.round: run.p99 for run in runs}, best_p99),
        None if share is None else share.median,
        _worst(run.node_peak_resident for run in runs),
        spread(run.noise.others + run.noise.stolen for run in runs).median,
        all(run.equal for run in runs),
    )


_Timed = TypeVar("_Timed", ApplyRun, LatencyRun)


def _grouped(runs: Iterable[_Timed]) -> dict[str, list[_Timed]]:
    groups: dict[str, list[_Timed]] = {}
    for run in runs:
        groups.setdefault(run.contender, []).append(run)
    return groups


def _median(figures: dict[int, float]) -> float:
    return spread(figures.values()).median


def _worst(peaks: Iterable[int | None]) -> int | None:
    return max((peak for peak in peaks if peak is not None), default=None)


@dataclass(frozen=True, slots=True)
class IdleRun:
    """`tables` 0: the same node before it has a changefeed. Shares are of one core."""

    tables: int
    seconds: float
    node_cpu_share: float
    etcd_cpu_share: float
    source_cpu_share: float
    sink_cpu_share: float
    node_resident: int
    node_peak_resident: int


@dataclass(frozen=True, slots=True)
class HugeRun:
    """One source transaction of so many rows with so many `bytes`. `seconds`: from the source's commit until it was
    visible in the sink."""

    contender: str
    rows: int
    bytes: int
    seconds: float
    node_peak_resident: int | None
    equal: bool
    difference: str = ""


@dataclass(frozen=True, slots=True)
class PeerRun:
    """mysql-replication reading the beginning of a binlog and applying nothing. `failure`: why it could not."""

    scenario: str
    seconds: float
    rows: int
    transactions: int
    failure: str = ""


@dataclass(frozen=True, slots=True)
class FireRun:
    """`recoveries`: seconds from each restart of the killed node until something was applied again."""

    seconds: float
    kills: int
    recoveries: tuple[float, ...]
    transactions: int
    rows: int
    compared_rows: int
    keyless_rows: int
    equal: bool
    difference: str = ""


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank, of values in ascending order."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
