"""How long to wait before the next try: twice as long after each failure in a row, up to a limit. Pure."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

_MOST_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Backoff:
    """`first` and `most` in seconds; `spread` is the part by which a wait is made longer or shorter."""

    first: float
    most: float
    spread: float = 0.0

    def seconds(self, failures: int, jitter: float = 0.0) -> float:
        """To wait after the `failures`-th failure in a row (from 1). `jitter` is in [-1, 1]."""
        doubled = self.first * 2.0 ** min(max(failures - 1, 0), _MOST_DOUBLINGS)
        return min(doubled, self.most) * (1 + self.spread * max(-1.0, min(1.0, jitter)))


CHANGEFEED: Final = Backoff(1.0, 60.0, spread=0.1)  # before a changefeed is started again


def jitter_of(uid: str, attempts: int) -> float:
    """A number in [-1, 1] that differs between changefeeds, but not between coordinators: a successor waits as long."""
    return zlib.crc32(f"{uid}/{attempts}".encode()) / 0x7FFFFFFF - 1.0
