"""How often dispatchers without rows are moved to where the stream is. Pure.

They are moved past what others have written, so that a restart need not read it again. To move is to write in the
sink, a row for each dispatcher: so it is done when there is much to read again, or after a minute; and soon where the
position would become useless, since the source may purge the file that it is in, or is another server now.

What our own changefeeds have written is nothing to catch up with, but it is purged like anything else: a direction that
stays idle while the other works would begin at what is gone. So it moves over those transactions as well, and rarely: a
move is a transaction of our own for the opposite direction. Two directions answer each other at most once a day, for a
lane writes fewer transactions to move than are counted as many.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hedgerow.common.binlog.position import Position

FOREIGN_SECONDS: Final = 60.0  # between two moves over what others wrote
FOREIGN_BYTES: Final = 16 << 20  # of the source's binlog, from which on a move does not wait for that
MANY: Final = 100
MANY_SECONDS: Final = 600.0  # between two moves over that many of our own
ANY_SECONDS: Final = 86_400.0  # over any


@dataclass(frozen=True, slots=True)
class Read:
    """How far a stream is. `foreign` and `own` count the transactions that it has read, of others and of our
    changefeeds; `file` and `offset` are where the last one ended, in the binlog of server `source_id`."""

    foreign: int = 0
    own: int = 0
    file: str = ""
    offset: int = 0
    source_id: str = ""


class IdleAdvance:
    """Of one lane. `now` is in seconds, by any clock that does not go back."""

    def __init__(self, now: float) -> None:
        self._moved_to: Read | None = None
        self._moved_at = now

    def begin(self, positions: Iterable[Position]) -> None:
        """Where the dispatchers are. What they do not have in common is read again at a start, so that counts too."""
        self._moved_to = min((Read(0, 0, p.file, p.offset, p.source_id) for p in positions), key=_place, default=None)

    def is_due(self, read: Read, now: float, *, leaving: bool = False) -> bool:
        """Whether to move now; if so, that is done. `leaving`: the stream ends, so this is the last chance."""
        last = self._moved_to or Read()
        seconds, more = now - self._moved_at, read.own - last.own
        over_own = (more >= MANY and seconds >= MANY_SECONDS) or (more > 0 and seconds >= ANY_SECONDS)
        elsewhere = (read.file, read.source_id) != (last.file, last.source_id)
        far = elsewhere or read.offset - last.offset >= FOREIGN_BYTES or seconds >= FOREIGN_SECONDS or leaving
        if not over_own and not (far and read.foreign != last.foreign):
            return False
        self._moved_to, self._moved_at = read, now
        return True


def _place(read: Read) -> tuple[int, str, int]:
    return len(read.file), read.file, read.offset
