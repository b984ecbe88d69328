"""What the figures of `make bench` are wanted to be, and whether they are. Pure. `--quick` figures are not judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.results import ApplyRow, HugeRun, LatencyRow

OURS = "hedgerow"
MEMORY = 150e6  # bytes, of the node
HUGE_MEMORY = 300e6  # the same, while it applies one transaction of 2 GiB
SMALL_CPU = 20.0  # microseconds of the node, per transaction of scenario small
P50_RATIO, P99_RATIO, MOST = 1.5, 2.0, 0.1

# By scenario and whether the sink is durable: how many times as fast as the best native setting, per flavour.
SPEED: Mapping[tuple[str, bool], Mapping[str, float]] = {
    ("small", True): {"mariadb": 4.0, "mysql": 7.0},
    ("bulk", True): {"mariadb": 1.2, "mysql": 1.2},
    ("bulk", False): {"mariadb": 1.0, "mysql": 1.0},
    ("wide", True): {"mariadb": 1.0, "mysql": 1.0},
}


@dataclass(frozen=True, slots=True)
class Judged:
    """One aim: its text with what was found, and whether it is met."""

    text: str
    met: bool


def judge_apply(flavour: str, scenario: str, durable: bool, rows: Sequence[ApplyRow]) -> Iterator[Judged]:
    """By medians."""
    for row in rows:
        if row.contender != OURS:
            continue
        wanted = SPEED.get((scenario, durable), {}).get(flavour)
        if wanted is not None and row.ratio is not None:
            found = row.ratio.median
            yield Judged(f"at least {wanted:g} times the best native setting: {found:.2f}", found >= wanted)
        if scenario == "small" and row.node_cpu_microseconds is not None:
            found = row.node_cpu_microseconds.median
            yield Judged(f"at most {SMALL_CPU:g} µs of the node's CPU per transaction: {found:.1f}", found <= SMALL_CPU)
        yield from _judge_memory(row.node_peak_resident)


def judge_latency(rows: Sequence[LatencyRow]) -> Iterator[Judged]:
    """With every setting of ours that was measured."""
    for row in rows:
        if not row.contender.startswith(OURS):
            continue
        ours = row.contender
        for name, ratio, wanted in (("p50", row.p50_ratio, P50_RATIO), ("p99", row.p99_ratio, P99_RATIO)):
            if ratio is not None:
                text = f"{ours}: {name} at most {wanted:g} times the best native setting's: {ratio.median:.2f}"
                yield Judged(text, ratio.median <= wanted)
        yield Judged(f"{ours}: never above {MOST * 1000:g} ms: {row.most * 1000:.1f}", row.most <= MOST)
        yield from _judge_memory(row.node_peak_resident)


def judge_huge(runs: Sequence[HugeRun]) -> Iterator[Judged]:
    for run in runs:
        yield from _judge_memory(run.node_peak_resident, HUGE_MEMORY)


def _judge_memory(peak: int | None, most: float = MEMORY) -> Iterator[Judged]:
    if peak is not None:
        yield Judged(f"at most {most / 1e6:g} MB of the node's memory: {peak / 1e6:.0f}", peak <= most)
