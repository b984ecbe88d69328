"""A second operation, as small as one can be: it has the sink read now and then, while a dispatcher waits at a DDL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hedgerow.maintainer.operations.api import Command, ReadSink, View


@dataclass(slots=True)
class Reread:
    every_seconds: float
    _last: float | None = None

    def step(self, view: View, now: float) -> Sequence[Command]:
        if not view.blocked or (self._last is not None and now - self._last < self.every_seconds):
            return []
        self._last = now
        return [ReadSink()]
