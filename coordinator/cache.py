"""The coordinator's view of all changefeeds: a mirror of etcd, ahead of it by the coordinator's own writes.

Revisions only grow here. An own write is seen at once, so that the next decision is not made from what it replaced; a
write whose answer was lost is seen when the mirror shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from hedgerow.common.etcd import Mirror, Snapshot
from hedgerow.coordinator.changefeed import Changefeed
from hedgerow.coordinator.store import Written, read_changefeeds


class ChangefeedCache:
    """`changed` is called after every change. `follow` runs as one task of the term."""

    def __init__(self, mirror: Mirror, directory: str, changed: Callable[[], None]) -> None:
        self._mirror = mirror
        self._directory = directory
        self._changed = changed
        self._mine: dict[str, tuple[int, Changefeed | None]] = {}  # name: the revision of our write, and what it left
        self._seen = mirror.snapshot.revision
        self._changefeeds: Mapping[str, Changefeed] = MappingProxyType({})
        self._merge(mirror.snapshot)

    @property
    def changefeeds(self) -> Mapping[str, Changefeed]:
        return self._changefeeds

    def wrote(self, name: str, written: Written) -> None:
        """After each write of our own, also one that was refused: then it tells what is there."""
        if written.revision > self._seen and written.revision > self._mine.get(name, (0, None))[0]:
            self._mine[name] = (written.revision, written.changefeed)
            self._merge(self._mirror.snapshot)
            self._changed()

    async def follow(self) -> None:
        """Until cancelled. Raises what ends the mirror."""
        while True:
            snapshot = await self._mirror.changed(self._seen)
            self._seen = snapshot.revision
            self._mine = {name: mine for name, mine in self._mine.items() if mine[0] > snapshot.revision}
            self._merge(snapshot)
            self._changed()

    def _merge(self, snapshot: Snapshot) -> None:
        changefeeds = read_changefeeds(self._directory, snapshot.items, self._changefeeds)
        for name, (_, changefeed) in self._mine.items():
            if changefeed is None:
                changefeeds.pop(name, None)
            else:
                changefeeds[name] = changefeed
        self._changefeeds = MappingProxyType(changefeeds)
