"""What a writer shows the sink: whose changefeed it writes for, and at which epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class FencingToken:
    """Never changed, only replaced: whoever has read one acts at one epoch from beginning to end."""

    uid: str
    epoch: int


# The token as of now. A takeover replaces it while lanes run: read it once per operation.
CurrentToken: TypeAlias = Callable[[], FencingToken]
