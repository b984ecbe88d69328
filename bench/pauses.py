"""What an interruption did to applying, from samples of the sink. Pure.

A sample is what one query saw: for each table how far it was applied, and at which epoch its dispatcher wrote last. A
table's pause is the time between two samples in which it had advanced; the longest one is what an application that
reads the sink would have felt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Sample:
    """`at` in seconds of a clock that does not go back; `applied` and `epochs` in one order of tables."""

    at: float
    applied: tuple[int, ...]
    epochs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Interruption:
    """Seconds. `first`: until a table was applied by an owner of a later epoch. `last`: until all were. Both None where
    the owner did not change. `pause`: the longest of any table; `steady`: the same before the interruption."""

    pause: float
    steady: float
    first: float | None
    last: float | None


def measure(samples: Sequence[Sample], begun: float, epoch: int) -> Interruption:
    """`begun`: when it happened; `epoch`: the changefeed's until then. Samples are in order and cover both sides.

    Raises ValueError where they end before every table was applied again.
    """
    before = [sample for sample in samples if sample.at < begun]
    tables = range(len(samples[0].applied))
    advances = [_advances(samples, table) for table in tables]
    if not before or not all(times and times[-1] > begun for times in advances):
        raise ValueError("the samples do not cover the time before the interruption, or not its end")
    successions = [_succeeded(samples, table, epoch) for table in tables]
    times = [at for at in successions if at is not None]
    return Interruption(
        pause=max(_longest(times, begun, samples[-1].at) for times in advances),
        steady=max(_longest([at for at in times if at < begun], samples[0].at, begun) for times in advances),
        first=min(times) - begun if times else None,
        last=max(times) - begun if len(times) == len(successions) else None,
    )


@dataclass(frozen=True, slots=True)
class Pause:
    """`begun` on the samples' clock; both in seconds."""

    begun: float
    seconds: float


def pauses(samples: Sequence[Sample], since: float, until: float) -> tuple[Pause, ...]:
    """Of each table, the longest time between two advances that reaches into the time from `since` to `until`; a table
    that does not advance any more is paused until then."""
    return tuple(_longest_of(_advances(samples, table), since, until) for table in range(len(samples[0].applied)))


def _longest_of(advances: Sequence[float], since: float, until: float) -> Pause:
    times = [since, *(at for at in advances if since < at < until), until]
    found = [Pause(before, after - before) for before, after in pairwise(times)]
    return max(found, key=lambda pause: pause.seconds)


def _advances(samples: Sequence[Sample], table: int) -> list[float]:
    return [after.at for before, after in pairwise(samples) if after.applied[table] > before.applied[table]]


def _longest(advances: Sequence[float], since: float, until: float) -> float:
    """The longest time without an advance that ends after `since` and begins before `until`; at the latest there."""
    gaps = zip(advances, [*advances[1:], until], strict=True)
    return max((after - before for before, after in gaps if after > since and before < until), default=0.0)


def _succeeded(samples: Sequence[Sample], table: int, epoch: int) -> float | None:
    """When something was first seen applied after the dispatcher's row was at a later epoch. A claim alone, which
    raises the row too, applies nothing."""
    claimed_at: int | None = None
    for sample in samples:
        if claimed_at is None and sample.epochs[table] > epoch:
            claimed_at = sample.applied[table]
        elif claimed_at is not None and sample.applied[table] > claimed_at:
            return sample.at
    return None


def summary(values: Sequence[float]) -> Mapping[str, float]:
    """Percentiles by nearest rank: with 20 values p95 is the 19th."""
    ordered = sorted(values)

    def rank(share: float) -> float:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    return {"least": ordered[0], "p50": rank(0.5), "p95": rank(0.95), "most": ordered[-1]}
