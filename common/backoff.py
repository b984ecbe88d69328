"""How long a changefeed waits before its next try."""

from __future__ import annotations

import zlib

FIRST_SECONDS = 1.0
MOST_SECONDS = 60.0
JITTER = 0.1


def backoff(attempts: int, jitter: float) -> float:
    """Seconds to wait after the `attempts`-th failure in a row (from 1): 1, 2, 4 … 60, spread by up to a tenth.

    `jitter` is in [-1, 1].
    """
    doublings = min(max(attempts - 1, 0), 16)
    return float(min(FIRST_SECONDS * 2**doublings, MOST_SECONDS) * (1 + JITTER * max(-1.0, min(1.0, jitter))))


def jitter_of(uid: str, attempts: int) -> float:
    """A number in [-1, 1] that differs between changefeeds, but not between coordinators: a successor waits as long."""
    return zlib.crc32(f"{uid}/{attempts}".encode()) / 0x7FFFFFFF - 1.0
