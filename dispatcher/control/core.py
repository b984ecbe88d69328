"""One changefeed on one node: its owner, the dispatchers placed here, and which of them a stream is to serve. Pure.

Facts come in by the methods: what the owner asks for, what the stream reports, that it has ended. `decide` compares the
dispatchers that are wanted with those that are served, and returns one instruction. Whoever carries it out (the
manager; in the model of the fence, the test) asks again afterwards, and after each fact; after a report when the time
of a `Wait` is over.

1. One stream at a time, which is never changed: where others are wanted than it serves it is stopped, and another is
   started after it has ended. All creates and removes that came in meanwhile are one restart.
2. A removed dispatcher is told as gone only after the stream that wrote for it has ended.
3. `token` is replaced before `take_over` returns: a Bootstrap is answered by lanes of the new epoch.

`now` is in seconds, by a clock that does not go back; nothing here decides over safety by it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from hedgerow.common.epoch import Owner
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.control.pending import PendingRequests, RequestKind
from hedgerow.dispatcher.control.placed import Placed
from hedgerow.dispatcher.sink.token import FencingToken
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.table import Placement, Report, TableProgress

# Dispatchers that join a running stream restart it; that may take this part of the time, and is looked at so often.
# They wait no longer than the bound, however slow restarts are here: DDL on other nodes may wait for them.
RESTART_SHARE = 10
MOST_WAIT_SECONDS = 5.0
LOOK_SECONDS = 0.1
START_SECONDS = 5.0  # a stream that has not begun for so long is restarted at once

# Who has not heard of so many removals is told everything.
MOST_GONE = 1000


@dataclass(frozen=True, slots=True)
class StartStream:
    """There is none. From now on these are served."""

    spec: Spec
    tables: tuple[TableProgress, ...]


@dataclass(frozen=True, slots=True)
class StopStream:
    """End the stream, wait until nothing writes for it any more, and tell `ended`."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is to be done before the next fact, or for so long."""

    seconds: float = math.inf


@dataclass(frozen=True, slots=True)
class Closed:
    """The close is done: nothing runs, and nothing will."""


Instruction: TypeAlias = StartStream | StopStream | Wait | Closed


class Core:
    """`version` grows with everything that is new to tell. `spec`: as the present owner has it."""

    def __init__(self, node: str, spec: Spec, owner: Owner) -> None:
        self.node = node
        self.spec = spec
        self.owner = owner
        self.token = FencingToken(spec.uid, owner.epoch)
        self.version = 1
        self._pending = PendingRequests()
        self._dispatchers: dict[str, Placed] = {}
        self._changed_at: dict[str, int] = {}  # the version with which each last changed
        self._gone: deque[tuple[int, Placement]] = deque(maxlen=MOST_GONE)  # with the version without it
        self._rows = self._rows_before = 0  # of the stream, and of those that have ended
        self._served: tuple[Placement, ...] = ()  # empty where there is no stream
        self._stream_spec = spec
        self._began_at: float | None = None  # when all that the stream serves had begun
        self._restart_at = self._restart_took = 0.0  # when the former stream was stopped, and the seconds until then
        self._closing = False

    # What the owner asks for.

    def take_over(self, owner: Owner, spec: Spec) -> list[Placement]:
        """Makes `owner` the owner, or confirms it, and returns the removes that it inherits.

        Dispatchers that are healthy go on at its epoch; with another spec they restart.
        """
        self.owner, self.spec = owner, spec
        self.token = FencingToken(spec.uid, owner.epoch)
        for dispatcher in self._dispatchers.values():
            dispatcher.take_over(owner.epoch)
        dropped, removing = self._pending.take_over(owner, self._dispatchers)
        for placement in dropped:
            self._dispatchers[placement.dispatcher].leaving = True
        self._touch(self._dispatchers)
        return removing

    def schedule(self, create: Iterable[Placement], remove: Iterable[Placement]) -> None:
        """Journals creates and removes; `statuses` and `gone_since` tell when they are done.

        Generations only grow: what names an older one than runs here is late, and would stop or replace its successor.
        """
        create, remove = list(create), list(remove)
        for placement in filter(self._is_timely, remove):
            if placement.dispatcher not in self._dispatchers:  # who asks has to hear so
                self._gone.append((self.version + 1, placement))
            if self._pending.add(RequestKind.REMOVE, placement, self.owner, self._dispatchers):
                self._dispatchers[placement.dispatcher].leaving = True
        for placement in filter(self._is_timely, create):
            existing = self._dispatchers.get(placement.dispatcher)
            if existing is not None and existing.is_incarnation(placement, self.owner.epoch):
                continue
            self._pending.add(RequestKind.CREATE, placement, self.owner, self._dispatchers)
            self._dispatchers[placement.dispatcher] = Placed(placement, self.owner.epoch)
        self._touch(placement.dispatcher for placement in (*create, *remove))

    def close(self) -> None:
        self._closing = True
        self._touch()

    def _is_timely(self, placement: Placement) -> bool:
        existing = self._dispatchers.get(placement.dispatcher)
        return existing is None or placement.generation >= existing.placement.generation

    # What the stream tells.

    def take(self, report: Report, now: float) -> None:
        """Of the stream that was started last."""
        self._rows = report.rows
        changed = []
        begun = []
        for one in report.tables:
            key = one.placement.dispatcher
            dispatcher = self._dispatchers.get(key)
            if dispatcher is not None and dispatcher.placement == one.placement and dispatcher.take(one):
                changed.append(key)
                if one.position is not None or one.state == pb.BROKEN:  # its progress row is claimed, or never will be
                    begun.append(key)
        self._pending.finish(RequestKind.CREATE, begun)
        self._touch(changed)
        if self._began_at is None and not any(one.state == pb.STARTING for one in report.tables):
            self._began_at = now
            self._restart_took = now - self._restart_at if self._restart_at else 0.0

    def ended(self) -> None:
        """Nothing of the stream writes any more."""
        self._served = ()
        self._rows_before, self._rows = self.rows, 0
        for dispatcher in self._dispatchers.values():
            dispatcher.stream_ended()
        self._touch(self._dispatchers)

    # What follows.

    def decide(self, now: float, *, may_start: bool = True) -> Instruction:
        """What to do now. `may_start`: the node is not fenced."""
        if self._served and (self._closing or self._is_outdated()):
            if not self._closing and (seconds := self._may_wait(now)) > 0:
                return Wait(seconds)
            self._restart_at = now
            return StopStream()
        if self._closing:
            self._dispatchers.clear()
            return Closed()
        self._drop_leavers()
        if not self._served and may_start and (wanted := self._wanted()):
            self._served, self._stream_spec, self._began_at = wanted, self.spec, None
            return StartStream(self.spec, tuple(self._dispatchers[one.dispatcher].table for one in wanted))
        return Wait()

    def _wanted(self) -> tuple[Placement, ...]:
        return tuple(sorted((d.placement for d in self._dispatchers.values() if d.is_wanted), key=_by_name))

    def _is_outdated(self) -> bool:
        over = {d.placement for d in self._dispatchers.values() if d.table.is_final and not d.leaving}
        served = tuple(placement for placement in self._served if placement not in over)
        return self._stream_spec != self.spec or self._wanted() != served

    def _may_wait(self, now: float) -> float:
        """Seconds for which dispatchers that are to join wait for more: a restart costs as much as there are served, so
        it is made for as many as come in ten times as long, or in a few seconds. Where one waits at a DDL, it may be
        for these."""
        is_longing = any(dispatcher.table.state == pb.BLOCKED for dispatcher in self._dispatchers.values())
        if is_longing or self._stream_spec != self.spec or not set(self._served) <= set(self._wanted()):
            return 0.0
        if self._began_at is None:
            return LOOK_SECONDS if self._restart_at and now < self._restart_at + START_SECONDS else 0.0
        return self._began_at + min(RESTART_SHARE * self._restart_took, MOST_WAIT_SECONDS) - now

    def _drop_leavers(self) -> None:
        """Only when no stream serves them any more."""
        served = {placement.dispatcher for placement in self._served}
        gone = [key for key, dispatcher in self._dispatchers.items() if dispatcher.leaving and key not in served]
        for key in gone:
            self._gone.append((self.version + 1, self._dispatchers.pop(key).placement))
            del self._changed_at[key]
        self._pending.finish(RequestKind.REMOVE, gone)
        if gone:
            self._touch()

    # What is told.

    def statuses(self, since: int = 0) -> list[pb.DispatcherStatus]:
        """Of those that have changed since version `since`."""
        changed_at = self._changed_at
        placed = self._dispatchers.items()
        return [one.table.write(self.node, one.epoch) for key, one in placed if changed_at[key] > since]

    def can_tell_since(self, version: int) -> bool:
        """Whether all that has gone since is known."""
        is_full = len(self._gone) == MOST_GONE
        return 0 < version <= self.version and not (is_full and version < self._gone[0][0])

    def gone_since(self, version: int) -> list[Placement]:
        """What has been removed since, unless `version` is 0."""
        return [placement for at, placement in self._gone if at > version] if version else []

    @property
    def rows(self) -> int:
        """Changed in the sink since the changefeed came to this node."""
        return self._rows_before + self._rows

    @property
    def dispatcher_count(self) -> int:
        return len(self._dispatchers)

    def _touch(self, changed: Iterable[str] = ()) -> None:
        """There is something new to tell, about these dispatchers among other things."""
        self.version += 1
        self._changed_at.update((key, self.version) for key in changed if key in self._dispatchers)


def _by_name(placement: Placement) -> str:
    return placement.dispatcher
