"""What a measurement gives, and how several rounds of one become one row: by medians.

Everything here is written to the JSON file as it is; times are in seconds, memory in bytes.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApplyRun:
    """One binlog applied once by one contender: the `transactions` and `rows` that took `seconds`.

    `node_cpu_seconds`: of the node's process while applying, `node_cpu_seconds_total`: since it was started, election
    and preflight included. Both None for native replication, whose work is part of `sink_cpu_seconds`.
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
    equal: bool
    difference: str = ""


@dataclass(frozen=True, slots=True)
class ApplyRow:
    """The medians over the rounds of one contender; `ratio` is how many times as fast as the best native setting."""

    contender: str
    transactions_per_second: float
    rows_per_second: float
    ratio: float | None
    sink_cpu_microseconds: float  # per transaction
    node_cpu_microseconds: float | None  # per transaction
    node_peak_resident: int | None  # the worst round's
    equal: bool


def apply_rows(runs: Sequence[ApplyRun]) -> list[ApplyRow]:
    """In the order in which contenders first appear."""
    rates = {name: median(_rate(run) for run in group) for name, group in _grouped(runs).items()}
    best = max((rates[run.contender] for run in runs if run.native), default=None)
    return [_apply_row(group, best) for group in _grouped(runs).values()]


def _rate(run: ApplyRun) -> float:
    return run.transactions / run.seconds


def _apply_row(runs: Sequence[ApplyRun], best_native: float | None) -> ApplyRow:
    rate = median(_rate(run) for run in runs)
    node_cpu = [run.node_cpu_seconds / run.transactions for run in runs if run.node_cpu_seconds is not None]
    return ApplyRow(
        runs[0].contender,
        rate,
        median(run.rows / run.seconds for run in runs),
        rate / best_native if best_native is not None else None,
        median(run.sink_cpu_seconds / run.transactions for run in runs) * 1e6,
        median(node_cpu) * 1e6 if node_cpu else None,
        max((run.node_peak_resident for run in runs if run.node_peak_resident is not None), default=None),
        all(run.equal for run in runs),
    )


def _grouped(runs: Iterable[ApplyRun]) -> dict[str, list[ApplyRun]]:
    groups: dict[str, list[ApplyRun]] = {}
    for run in runs:
        groups.setdefault(run.contender, []).append(run)
    return groups


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
    equal: bool
    difference: str = ""


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """Medians over the rounds; `most` is the greatest of all. Ratios: times the best native p50 and p99."""

    contender: str
    samples: int
    p50: float
    p95: float
    p99: float
    most: float
    p50_ratio: float | None
    p99_ratio: float | None
    node_cpu_share: float | None
    node_peak_resident: int | None
    equal: bool


def latency_rows(runs: Sequence[LatencyRun]) -> list[LatencyRow]:
    groups: dict[str, list[LatencyRun]] = {}
    for run in runs:
        groups.setdefault(run.contender, []).append(run)
    native = [group for group in groups.values() if group[0].native]
    best_p50 = min((median(run.p50 for run in group) for group in native), default=None)
    best_p99 = min((median(run.p99 for run in group) for group in native), default=None)
    return [_latency_row(group, best_p50, best_p99) for group in groups.values()]


def _latency_row(runs: Sequence[LatencyRun], best_p50: float | None, best_p99: float | None) -> LatencyRow:
    p50, p99 = median(run.p50 for run in runs), median(run.p99 for run in runs)
    shares = [run.node_cpu_share for run in runs if run.node_cpu_share is not None]
    return LatencyRow(
        runs[0].contender,
        sum(run.samples for run in runs),
        p50,
        median(run.p95 for run in runs),
        p99,
        max(run.most for run in runs),
        p50 / best_p50 if best_p50 else None,
        p99 / best_p99 if best_p99 else None,
        median(shares) if shares else None,
        max((run.node_peak_resident for run in runs if run.node_peak_resident is not None), default=None),
        all(run.equal for run in runs),
    )


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
    """mysql-replication reading a binlog and applying nothing. `failure`: why it could not."""

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


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank, of values in ascending order."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
