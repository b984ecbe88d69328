"""What a writer shows the sink: whose changefeed it writes for, and at which epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class FencingToken:
    """Never changed, only replaced: whoever has read one acts at one epoch from beginning to end."""

    uid: str
    epoch: int

    def lost(self, generations: Mapping[str, int], found: Mapping[str, tuple[int, int]]) -> set[str]:
        """Of these dispatchers, by the incarnations in the progress rows: those that another has claimed, or whose row
        is gone."""
        gone = (self.epoch + 1, 0)
        return {key for key, generation in generations.items() if found.get(key, gone) > (self.epoch, generation)}


# The token as of now. A takeover replaces it while lanes run: read it once per operation.
CurrentToken: TypeAlias = Callable[[], FencingToken]
