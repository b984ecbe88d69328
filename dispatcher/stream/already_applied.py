"""Dispatchers that have applied more than their stream has read, and which transactions they are to skip.

A stream begins at the least of its dispatchers' positions. The others skip what they have applied: that is judged once
per transaction and position, and only until the stream has read everything that they had applied.
"""

from __future__ import annotations

from collections.abc import Iterable

from hedgerow.common.binlog.gtid import gtid_set
from hedgerow.common.binlog.position import Position, has_reached
from hedgerow.common.mysql.connect import Flavour
from hedgerow.dispatcher.source.transactions import Tracker
from hedgerow.dispatcher.stream.intake import Target


class _Group:
    """Targets that have reached the same position; `reached` are its GTIDs."""

    __slots__ = ("position", "reached", "targets")

    def __init__(self, flavour: Flavour, position: Position) -> None:
        self.position = position
        self.reached = gtid_set(flavour, position.gtid_set)
        self.targets: list[Target] = []

    @property
    def covered(self) -> bool:
        return self.targets[0].covered

    def cover(self, covered: bool) -> None:
        for target in self.targets:
            target.covered = covered


class AlreadyApplied:
    """`groups`: of targets that are ahead; empty almost always, so that asking it costs the router nothing else."""

    def __init__(
        self, flavour: Flavour, tracker: Tracker, *, by_gtid: bool, start: Position, targets: Iterable[Target]
    ) -> None:
        self._flavour: Flavour = flavour
        self._tracker = tracker
        self._by_gtid = by_gtid
        groups: dict[Position, _Group] = {}
        for target in targets:
            target.ahead = target.position != start
            if target.ahead:
                groups.setdefault(target.position, _Group(flavour, target.position)).targets.append(target)
        self.groups = list(groups.values())
        if not by_gtid and self.groups:
            # A stream may begin inside a transaction, after a CREATE TABLE ... SELECT: then no beginning is seen.
            self._compare(1)

    def add(self, target: Target, position: Position) -> None:
        """It has reached `position`, which is the end of the transaction at hand, or inside it."""
        self.drop(target)
        target.position = position
        target.ahead = target.covered = True
        group = _Group(self._flavour, position)
        group.targets.append(target)
        self.groups.append(group)

    def drop(self, target: Target) -> None:
        """It is as if it were not ahead."""
        target.ahead = target.covered = False
        for group in self.groups:
            if target in group.targets:
                group.targets.remove(target)
        self.groups = [group for group in self.groups if group.targets]

    def begin(self) -> None:
        """A transaction begins: which of them have applied it? The tracker's position is before it."""
        self._compare(1)

    def finished(self) -> None:
        """The same, where the tracker's position is after the transaction already."""
        self._compare(0)

    def end(self) -> None:
        """The transaction has ended, and the tracker's position is after it."""
        for group in list(self.groups):
            covered = group.covered
            group.cover(False)
            # Who has applied this one is at its end at the earliest, and the next transaction tells.
            if self._by_gtid and not covered and self._tracker.has_read(group.reached):
                self._forget(group)

    def _compare(self, least: int) -> None:
        """Without GTIDs, those have applied it that are `least` bytes after the tracker's position."""
        if self._by_gtid and self._tracker.has_gtid:
            for group in self.groups:
                group.cover(self._tracker.is_in(group.reached))
            return
        at = self._tracker.position()
        for group in list(self.groups):
            covered = bool(at.file) and has_reached(
                group.position,
                gtid="",
                file=at.file,
                offset=at.offset + least,
                source_id=at.source_id,
                flavour=self._flavour,
            )
            group.cover(covered)
            if not covered:
                self._forget(group)

    def _forget(self, group: _Group) -> None:
        for target in group.targets:
            target.ahead = target.covered = False
        self.groups.remove(group)
