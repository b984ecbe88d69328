"""The arithmetic of windows: the middle one, how far apart they are, how much is to be written for a long one. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MARGIN = 1.25  # what a window is made longer than it must be, since the next one may be faster
GROWTH = 10.0  # at most at once: a short window says little about a long one


@dataclass(frozen=True, slots=True)
class Spread:
    """Of several windows."""

    least: float
    median: float
    most: float


def spread(values: Iterable[float]) -> Spread:
    """Raises ValueError where there are none."""
    some = sorted(values)
    if not some:
        raise ValueError("no values: there is no spread of nothing")
    return Spread(some[0], statistics.median(some), some[-1])


def maybe_spread(values: Iterable[float | None]) -> Spread | None:
    """Of those that are known; None where none is."""
    known = [value for value in values if value is not None]
    return spread(known) if known else None


def ratios(these: Mapping[int, float], those: Mapping[int, float]) -> Spread | None:
    """These figures as multiples of those of the same round, which the same noise has hit; None where no round has
    both."""
    return maybe_spread(these[number] / those[number] for number in these.keys() & those.keys())


def wanted_size(size: int, seconds: float, wanted: float) -> int:
    """How much to write so that whoever needs `seconds` for `size` needs `wanted` and a margin. Never less than more
    of what there is."""
    if seconds <= 0:
        return math.ceil(size * GROWTH)
    return max(size + 1, math.ceil(size * min(GROWTH, MARGIN * wanted / seconds)))


def close(seconds: Mapping[str, float]) -> set[str]:
    """Who may turn out to be the fastest over a longer time: all within twice the least."""
    least = min(seconds.values())
    return {name for name, each in seconds.items() if each <= 2 * least}
