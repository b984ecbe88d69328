"""How often dispatchers without rows are moved to where the stream is. Pure.

They are moved behind what others have written, so that a restart need not read it again. What our own changefeeds have
written is nothing to catch up with, but it is purged like anything else: a direction that stays idle while the other
works would begin at what is gone. So it moves over those transactions as well, and rarely: to move is to write, which
is a transaction of our own for the opposite direction. Two directions answer each other at most once a day, for a lane
writes fewer transactions to move than are counted as many.
"""

from __future__ import annotations

from typing import Final

MANY: Final = 100
MANY_SECONDS: Final = 600.0  # between two moves over that many of our own
ANY_SECONDS: Final = 86_400.0  # over any


class Pace:
    """Of one lane. `now` is in seconds, by any clock that does not go back."""

    def __init__(self, now: float) -> None:
        self._foreign = self._own = 0
        self._moved_at = now

    def is_due(self, foreign: int, own: int, now: float) -> bool:
        """Whether to move now, after so many transactions of others and of our own; if so, that is done."""
        seconds, more = now - self._moved_at, own - self._own
        over_own = (more >= MANY and seconds >= MANY_SECONDS) or (more > 0 and seconds >= ANY_SECONDS)
        if foreign == self._foreign and not over_own:
            return False
        self._foreign, self._own, self._moved_at = foreign, own, now
        return True
