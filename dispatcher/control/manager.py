"""One changefeed on one node: its owner, the dispatchers placed here, and the stream that serves them.

The manager lives in the event loop. It owns one stream at a time; a task (`_run`) compares the dispatchers that are
wanted with those that the stream serves, and when they differ stops the stream, awaits its threads, and starts another:
all creates and removes that came in meanwhile are one restart. A removed dispatcher is reported as gone only after the
stream that wrote for it has ended.

Order: the fencing token is replaced before `take_over` returns, so a Bootstrap is answered by lanes of the new epoch. A
report of a stream that is no longer the manager's is ignored, but for its last one, which is taken when it ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

import structlog

from hedgerow.common.epoch import Owner
from hedgerow.common.lag import Lag
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher import metrics
from hedgerow.dispatcher.control.board import Dispatcher
from hedgerow.dispatcher.control.pending import PendingRequests, Placement, RequestKind
from hedgerow.dispatcher.sink.token import CurrentToken, FencingToken
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.stream.decision import BarrierDecision
from hedgerow.dispatcher.stream.report import Mailbox, Report

log = structlog.get_logger()

# A stop lets the lanes end what they do; after this many seconds it cuts their connections.
STOP_GRACE_SECONDS = 2.0

# Dispatchers that join a running stream restart it; that may take this part of the time, and is looked at so often.
RESTART_SHARE = 10
LOOK_SECONDS = 0.1
START_SECONDS = 5.0  # a stream that has not begun for so long is restarted at once

# Who has not heard of so many removals is told everything.
MOST_GONE = 1000


class StreamLike(Protocol):
    """What a manager needs of a stream. Every method returns at once and may be called from any thread."""

    def start(self) -> None: ...

    def cancel(self) -> None:
        """Asks it to end."""

    def abort(self) -> None:
        """Asks it to end, and cuts its connections."""

    def decide(self, decision: BarrierDecision) -> None: ...

    def lag(self) -> Lag | None:
        """As it is now; None where nothing is known of it."""


class OpenStream(Protocol):
    """Makes a stream. It calls `post` with reports, and `ended` once, last, when all its threads have ended."""

    def __call__(
        self,
        spec: Spec,
        token: CurrentToken,
        placements: tuple[Placement, ...],
        *,
        post: Callable[[Report], None],
        ended: Callable[[], None],
    ) -> StreamLike: ...


class Manager:
    """Created, used and closed in the event loop; `abort` is for any thread."""

    def __init__(
        self,
        node: str,
        spec: Spec,
        owner: Owner,
        open_stream: OpenStream,
        *,
        after: Awaitable[None] | None = None,
        stop_grace_seconds: float = STOP_GRACE_SECONDS,
    ) -> None:
        """`after`: no stream starts before this has ended (the former manager's close)."""
        self.node = node
        self.spec = spec
        self.owner = owner
        self.version = 1
        self._token = FencingToken(spec.uid, owner.epoch)
        self._open_stream = open_stream
        self._stop_grace = stop_grace_seconds
        self._pending = PendingRequests()
        self._dispatchers: dict[str, Dispatcher] = {}
        self._changed_at: dict[str, int] = {}  # the version with which each last changed
        self._gone: deque[tuple[int, Placement]] = deque(maxlen=MOST_GONE)  # with the version without it
        self._rows = self._rows_before = 0  # of the stream, and of those that have ended
        self._stream: StreamLike | None = None
        self._stream_spec = spec
        self._served: tuple[Placement, ...] = ()
        self._mailbox: Mailbox[Report] | None = None
        self._stream_ended = asyncio.Event()
        self._began_at: float | None = None  # when all that the stream serves had begun
        self._restart_at = self._restart_took = 0.0  # when the former stream was stopped, and the seconds until then
        self._aborted = False
        self._closing = False
        self._poked = asyncio.Event()
        self._changed = asyncio.Event()
        self._log = log.bind(changefeed=spec.name, uid=spec.uid)
        self._task = asyncio.create_task(self._run(after), name=f"dispatchers-{spec.name}")

    # What the service asks for. None of these waits, so each is atomic in the event loop.

    def take_over(self, owner: Owner, spec: Spec) -> list[Placement]:
        """Makes `owner` the owner, or confirms it, and returns the removes that it inherits.

        Dispatchers that are healthy go on at its epoch; with another spec they restart.
        """
        former, self.owner = self.owner, owner
        self._token = FencingToken(spec.uid, owner.epoch)
        for dispatcher in self._dispatchers.values():
            dispatcher.take_over(owner.epoch)
        dropped, removing = self._pending.take_over(owner, self._dispatchers)
        for placement in dropped:
            self._dispatchers[placement.dispatcher].leaving = True
        self.spec = spec
        if former != owner:
            self._log.info("owner-changed", epoch=owner.epoch, owner=owner.node, former_epoch=former.epoch)
        self._poked.set()
        self._touch(self._dispatchers)
        return removing

    def schedule(self, create: Iterable[Placement], remove: Iterable[Placement]) -> None:
        """Journals creates and removes; heartbeats tell when they are done.

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
            self._dispatchers[placement.dispatcher] = Dispatcher(placement, self.owner.epoch)
        self._poked.set()
        self._touch(placement.dispatcher for placement in (*create, *remove))

    def _is_timely(self, placement: Placement) -> bool:
        existing = self._dispatchers.get(placement.dispatcher)
        return existing is None or placement.generation >= existing.placement.generation

    def barrier(
        self,
        ddl: pb.Ddl,
        action: dispatch_pb2.BarrierAction,
        dispatchers: Iterable[str],
        flushed: Mapping[str, int],
    ) -> None:
        """Passes a decision on to the stream, which ignores one that is not about what it waits for."""
        if self._stream is not None:
            decision = BarrierDecision(ddl, action, frozenset(dispatchers), self.owner.epoch, dict(flushed))
            self._stream.decide(decision)

    def statuses(self, since: int = 0) -> list[pb.DispatcherStatus]:
        """Of those that have changed since version `since`."""
        changed_at = self._changed_at
        return [one.status(self.node) for key, one in self._dispatchers.items() if changed_at[key] > since]

    def can_tell_since(self, version: int) -> bool:
        """Whether all that has gone since is known."""
        is_full = len(self._gone) == MOST_GONE
        return 0 < version <= self.version and not (is_full and version < self._gone[0][0])

    def gone_since(self, version: int) -> list[Placement]:
        """What has been removed since, unless `version` is 0."""
        return [placement for at, placement in self._gone if at > version] if version else []

    def lag(self) -> Lag | None:
        """As it is now; None where nothing is known of it."""
        return self._stream.lag() if self._stream is not None else None

    @property
    def rows(self) -> int:
        """Changed in the sink since the changefeed came to this node."""
        return self._rows_before + self._rows

    @property
    def dispatcher_count(self) -> int:
        return len(self._dispatchers)

    async def wait_for_change(self, seen_version: int, seconds: float) -> None:
        """Returns as soon as `version` is not `seen_version`, or the manager closes, or the time is over."""
        if self.version != seen_version or self._closing:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    async def close(self) -> None:
        """Stops the stream and awaits its threads. Ends within the grace, plus what cutting a connection takes."""
        self._closing = True
        self._poked.set()
        self._touch()
        await asyncio.shield(self._task)
        metrics.hide_lag(self.spec.name)

    def abort(self) -> None:
        """From any thread: cuts the stream's sink connections at once, and lets no other stream start."""
        self._aborted = True
        stream = self._stream
        if stream is not None:
            stream.abort()

    # The task.

    async def _run(self, after: Awaitable[None] | None) -> None:
        loop = asyncio.get_running_loop()
        if after is not None:
            await after
        while True:
            await self._poked.wait()
            self._poked.clear()
            if self._stream is not None and (self._closing or self._is_outdated()):
                if not self._closing and (seconds := self._may_wait()) > 0:
                    loop.call_later(seconds, self._poked.set)
                    continue
                await self._stop_stream()
            if self._closing:
                return
            self._drop_leavers()
            if self._stream is None and not self._aborted:
                self._start_stream()
            if self._stream is None:
                metrics.hide_lag(self.spec.name)

    def _wanted(self) -> tuple[Placement, ...]:
        return tuple(sorted((d.placement for d in self._dispatchers.values() if d.is_wanted), key=_by_name))

    def _is_outdated(self) -> bool:
        over = {d.placement for d in self._dispatchers.values() if d.is_over and not d.leaving}
        served = tuple(placement for placement in self._served if placement not in over)
        return self._stream_spec != self.spec or self._wanted() != served

    def _may_wait(self) -> float:
        """Seconds for which dispatchers that are to join wait for more: a restart costs as much as there are served, so
        it is made for as many as come in ten times as long. Where one waits at a DDL, it may be for these."""
        is_longing = any(dispatcher.is_blocked for dispatcher in self._dispatchers.values())
        if is_longing or self._stream_spec != self.spec or not set(self._served) <= set(self._wanted()):
            return 0.0
        now = asyncio.get_running_loop().time()
        if self._began_at is None:
            return LOOK_SECONDS if self._restart_at and now < self._restart_at + START_SECONDS else 0.0
        return self._began_at + RESTART_SHARE * self._restart_took - now

    def _start_stream(self) -> None:
        placements = self._wanted()
        if not placements:
            return
        loop = asyncio.get_running_loop()
        ended = self._stream_ended = asyncio.Event()
        mailbox = Mailbox[Report](loop, lambda report: self._take(report) if mailbox is self._mailbox else None)
        self._mailbox = mailbox
        self._served, self._stream_spec = placements, self.spec
        self._began_at = None
        self._stream = self._open_stream(
            self.spec,
            lambda: self._token,
            placements,
            post=mailbox.put,
            ended=lambda: _call(loop, ended.set),
        )
        if self._aborted:  # a local fence came while the stream was made, and did not see it
            self._stream.abort()
        metrics.show_lag(self.spec.name, self._stream.lag)
        self._stream.start()

    async def _stop_stream(self) -> None:
        assert self._stream is not None
        assert self._mailbox is not None
        self._restart_at = asyncio.get_running_loop().time()
        self._stream.cancel()
        try:
            async with asyncio.timeout(self._stop_grace):
                await self._stream_ended.wait()
        except TimeoutError:
            self._log.warning("stream-cut", why="it did not end within the grace", seconds=self._stop_grace)
            self._stream.abort()
            await self._stream_ended.wait()
        self._mailbox.flush()
        self._mailbox = self._stream = None
        self._served = ()
        self._rows_before, self._rows = self.rows, 0
        for dispatcher in self._dispatchers.values():
            dispatcher.stream_ended()
        self._touch(self._dispatchers)

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

    def _take(self, report: Report) -> None:
        self._rows = report.rows
        changed = []
        begun = []
        for one in report.dispatchers:
            key = one.placement.dispatcher
            dispatcher = self._dispatchers.get(key)
            if dispatcher is not None and dispatcher.placement == one.placement and dispatcher.take(one):
                changed.append(key)
                if one.position is not None or one.state == pb.BROKEN:  # its progress row is claimed, or never will be
                    begun.append(key)
        self._pending.finish(RequestKind.CREATE, begun)
        self._touch(changed)
        if self._began_at is None and not any(one.state == pb.STARTING for one in report.dispatchers):
            self._began_at = asyncio.get_running_loop().time()
            self._restart_took = self._began_at - self._restart_at if self._restart_at else 0.0

    def _touch(self, changed: Iterable[str] = ()) -> None:
        """There is something new to tell, about these dispatchers among other things."""
        self.version += 1
        self._changed_at.update((key, self.version) for key in changed if key in self._dispatchers)
        self._changed.set()
        self._changed = asyncio.Event()


def _by_name(placement: Placement) -> str:
    return placement.dispatcher


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:  # the loop is closed: nobody waits any more
        return
