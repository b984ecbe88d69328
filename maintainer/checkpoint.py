"""How far the changefeed is: the position up to which everything is durable in the sink. Pure.

The checkpoint is the least position of all dispatchers, and a report of the sink, never a promise: it stays where it is
when a dispatcher is silent, missing or new to a node, and never goes back. While the set of dispatchers is about to
change (a DDL is in the sink whose new progress rows were not read yet) it does not advance either, because a dispatcher
that nobody here knows of could be behind it.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Mapping

from hedgerow.common.binlog.position import Position, covers, least
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import model_pb2 as pb


class Checkpoint:
    """Owned by one maintainer."""

    def __init__(self, flavour: Flavour) -> None:
        self._flavour = flavour
        self._positions: dict[str, Position] = {}
        self._counts: Counter[Position] = Counter()  # most dispatchers are at one of few
        self.reported: Position | None = None

    def set_dispatchers(self, rows: Mapping[str, Position]) -> None:
        """All dispatchers, with the positions of their progress rows; who is not listed is gone."""
        for key in self._positions.keys() - rows.keys():
            self._put(key, None)
        for key, row in rows.items():
            self._put(key, _later(self._positions.get(key, row), row, self._flavour))

    def observe(self, statuses: Iterable[pb.DispatcherStatus]) -> None:
        """Heartbeats of the incarnations that are in charge. Others, and unknown dispatchers, must not come here."""
        for status in statuses:
            known = self._positions.get(status.dispatcher)
            if known is not None and status.HasField("position"):
                self._put(status.dispatcher, _later(known, Position.read(status.position), self._flavour))

    def advance(self) -> Position | None:
        """The checkpoint now; None before there are dispatchers. Raises HistoryDiverged (common/binlog/position.py)."""
        if self._positions:
            found = least(list(self._counts), self._flavour)
            self.reported = _later(self.reported or found, found, self._flavour)
        return self.reported

    def _put(self, key: str, position: Position | None) -> None:
        former = self._positions.pop(key, None)
        if former is not None:
            self._counts[former] -= 1
            if not self._counts[former]:
                del self._counts[former]
        if position is not None:
            self._positions[key] = position
            self._counts[position] += 1


@functools.lru_cache(maxsize=1024)
def _later(known: Position, found: Position, flavour: Flavour) -> Position:
    """`found` if it covers `known`. Cached: most dispatchers advance together."""
    return found if covers(found, known, flavour) else known


class AppliedTotals:
    """Counts what was applied since this maintainer began, over dispatchers that come and go.

    A source transaction counts once for each dispatcher that it has rows for."""

    def __init__(self) -> None:
        self.rows = 0
        self.transactions = 0
        self._rows: dict[str, int] = {}  # by node
        self._last: dict[str, dict[tuple[str, int], int]] = {}  # by node

    def adopt(self, node: str, statuses: Iterable[pb.DispatcherStatus]) -> None:
        """What was applied before this maintainer began, or while a node was out of reach, does not count."""
        self._rows.pop(node, None)
        self._last[node] = {(one.dispatcher, one.generation): one.transactions for one in statuses}

    def observe(
        self, node: str, statuses: Iterable[pb.DispatcherStatus], rows: int, gone: Iterable[tuple[str, int]] = ()
    ) -> None:
        """A heartbeat of one node. Counters that went back were reset there. `rows` count from its first one; `gone`
        are the incarnations that it has removed."""
        self.rows += _step(self._rows.get(node, rows), rows)
        self._rows[node] = rows
        last = self._last.setdefault(node, {})
        for incarnation in gone:
            last.pop(incarnation, None)
        for status in statuses:
            index = (status.dispatcher, status.generation)
            self.transactions += _step(last.get(index, 0), status.transactions)
            last[index] = status.transactions


def _step(last: int, now: int) -> int:
    return now - last if now >= last else now
