"""The coordinator's view of all changefeeds: a mirror of etcd, ahead of it by the coordinator's own writes.

Revisions only grow here. An own write is seen at once, so that the next decision is not made from what it replaced; a
write whose answer was lost is seen when the mirror shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from hedgerow.common.etcd import Mirror, Snapshot
from hedgerow.coordinator.changefeed import Feed
from hedgerow.coordinator.store import Written, read_feeds


class FeedTable:
    """`changed` is called after every change. `follow` runs as one task of the term."""

    def __init__(self, mirror: Mirror, directory: str, changed: Callable[[], None]) -> None:
        self._mirror = mirror
        self._directory = directory
        self._changed = changed
        self._mine: dict[str, tuple[int, Feed | None]] = {}  # name: the revision of our write, and what it left
        self._seen = mirror.snapshot.revision
        self._feeds: Mapping[str, Feed] = MappingProxyType({})
        self._merge(mirror.snapshot)

    @property
    def feeds(self) -> Mapping[str, Feed]:
        return self._feeds

    def wrote(self, name: str, written: Written) -> None:
        """After each write of our own, also one that was refused: then it tells what is there."""
        if written.revision > self._seen and written.revision > self._mine.get(name, (0, None))[0]:
            self._mine[name] = (written.revision, written.feed)
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
        feeds = read_feeds(self._directory, snapshot.items, self._feeds)
        for name, (_, feed) in self._mine.items():
            if feed is None:
                feeds.pop(name, None)
            else:
                feeds[name] = feed
        self._feeds = MappingProxyType(feeds)
