"""Dispatchers that have applied more than their stream has read, and which transactions they are to skip.

A stream begins at the least of its dispatchers' positions. The others skip what they have applied: that is judged once
per transaction, and only until the stream has read everything that they had applied.
"""

from __future__ import annotations

from collections.abc import Iterable

from common.gtid import MariadbGtidSet, MysqlGtidSet, gtid_set
from common.mysql import Flavour
from common.position import Position, has_reached
from dispatcher.feed import Target
from dispatcher.source.transactions import Tracker


class Ahead:
    """`targets` are those that are ahead; empty almost always, so that asking it costs the router nothing else."""

    def __init__(
        self, flavour: Flavour, tracker: Tracker, *, by_gtid: bool, start: Position, targets: Iterable[Target]
    ) -> None:
        self._flavour: Flavour = flavour
        self._tracker = tracker
        self._by_gtid = by_gtid
        self.targets: list[Target] = []
        for target in targets:
            target.ahead = target.position != start
            if target.ahead:
                self.targets.append(target)
        if not by_gtid and self.targets:
            # A stream may begin inside a transaction, behind a CREATE TABLE ... SELECT: then no beginning is seen.
            self._compare(1)

    def add(self, target: Target, position: Position) -> None:
        """It has reached `position`, which is the end of the transaction at hand, or inside it."""
        target.position = position
        target.ahead = target.covered = True
        self.targets.append(target)

    def drop(self, key: str) -> None:
        self.targets = [target for target in self.targets if target.key != key]

    def begin(self) -> None:
        """A transaction begins: which of them have applied it? The tracker's position is before it."""
        self._compare(1)

    def finished(self) -> None:
        """The same, where the tracker's position is behind the transaction already."""
        self._compare(0)

    def end(self) -> None:
        """The transaction has ended, and the tracker's position is behind it."""
        for target in self.targets:
            target.covered = False
        if self._by_gtid:
            reached = gtid_set(self._flavour, self._tracker.position().gtid_set)
            self._forget(
                target
                for target in self.targets
                if _is_subset(gtid_set(self._flavour, target.position.gtid_set), reached)
            )

    def _compare(self, least: int) -> None:
        """Without GTIDs, those have applied it that are `least` bytes behind the tracker's position."""
        gtid = self._tracker.gtid if self._by_gtid else ""
        at = self._tracker.position()
        for target in self.targets:
            target.covered = bool(gtid or at.file) and has_reached(
                target.position,
                gtid=gtid,
                file=at.file,
                offset=at.offset + least,
                source_id=at.source_id,
                flavour=self._flavour,
            )
        if not gtid:
            self._forget(target for target in self.targets if not target.covered)

    def _forget(self, caught_up: Iterable[Target]) -> None:
        for target in list(caught_up):
            target.ahead = target.covered = False
            self.targets.remove(target)


def _is_subset(one: MysqlGtidSet | MariadbGtidSet, other: MysqlGtidSet | MariadbGtidSet) -> bool:
    return one.is_subset(other)  # type: ignore[arg-type]
