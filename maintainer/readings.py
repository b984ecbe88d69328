"""Which reading of the sink is the latest, and whether it is late enough: the list of dispatchers is in it. Pure.

DDL changes the list, in the sink, while heartbeats tell of other things. What a reading holds is known by when it
began: it has everything that was known, and everything that was asked for, by then.
"""

from __future__ import annotations

from collections.abc import Iterable

from hedgerow.common.pb.v1 import model_pb2 as pb

ListVersion = tuple[int, str, str, str, int]


def list_version(status: pb.DispatcherStatus) -> ListVersion:
    """By the schema dispatcher's status: what changes when a DDL may have changed the list of dispatchers in the sink.
    (A node of an earlier version tells its position alone, which changes more often.)"""
    at = status.executed if status.HasField("executed") else status.position
    return status.generation, at.gtid_set, at.source_id, at.file, at.offset


class Readings:
    """Owned by one maintainer. Statuses are the schema dispatcher's, of every incarnation that is known of."""

    def __init__(self) -> None:
        self._asked_for = self._asking = self._taken = 0
        self._asking_at: frozenset[ListVersion] = frozenset()
        self._taken_at: frozenset[ListVersion] = frozenset()

    def ask(self) -> None:
        """The progress rows may have changed."""
        self._asked_for += 1

    def begin(self, statuses: Iterable[pb.DispatcherStatus]) -> None:
        self._asking, self._asking_at = self._asked_for, frozenset(map(list_version, statuses))

    def take(self) -> None:
        """The one that began last has come."""
        self._taken, self._taken_at = self._asking, self._asking_at

    def is_latest(self, statuses: Iterable[pb.DispatcherStatus]) -> bool:
        """Whether the last one taken is from after every DDL that the schema dispatcher is known to have executed, and
        from after everything that was asked for."""
        versions = frozenset(list_version(status) for status in statuses if status.HasField("position"))
        return self._taken == self._asked_for and versions <= self._taken_at
