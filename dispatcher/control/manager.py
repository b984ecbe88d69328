"""The thin shell around a core: carries out what it decides, with one stream at a time.

The manager lives in the event loop. Its task asks the core what to do, does it, and asks again after each fact. A
report of a stream that is no longer the manager's is ignored, but for its last one, which is taken when it ends.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

import structlog

from hedgerow.common.lag import Lag
from hedgerow.common.signal import Signal
from hedgerow.dispatcher import metrics
from hedgerow.dispatcher.control.core import Closed, Core, StartStream, StopStream, Wait
from hedgerow.dispatcher.control.mailbox import Mailbox
from hedgerow.dispatcher.sink.kill_switch import KillSwitch
from hedgerow.dispatcher.sink.token import CurrentToken
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.stream.decision import BarrierDecision
from hedgerow.dispatcher.table import Report, TableProgress

log = structlog.get_logger()

# A stop lets the lanes end what they do; after this many seconds it cuts their connections.
STOP_GRACE_SECONDS = 2.0


class StreamLike(Protocol):
    """What a manager needs of a stream. Every method returns at once and may be called from any thread."""

    def start(self) -> None: ...

    def decide(self, decision: BarrierDecision) -> None: ...

    def lag(self) -> Lag | None:
        """As it is now; None where nothing is known of it."""


class OpenStream(Protocol):
    """Makes a stream for these dispatchers, which `switch` ends. It calls `post` with reports, and `ended` once, last,
    when all its threads have ended."""

    def __call__(
        self,
        spec: Spec,
        token: CurrentToken,
        switch: KillSwitch,
        tables: tuple[TableProgress, ...],
        *,
        post: Callable[[Report], None],
        ended: Callable[[], None],
    ) -> StreamLike: ...


class Manager:
    """Created and used in the event loop. Where `switch` is cut, no other stream starts."""

    def __init__(
        self,
        core: Core,
        switch: KillSwitch,
        open_stream: OpenStream,
        *,
        after: Manager | None = None,
        stop_grace_seconds: float = STOP_GRACE_SECONDS,
    ) -> None:
        """`after`: the former manager, which is closing."""
        self.core = core
        self._name = core.spec.name
        self._switch = switch
        self._open_stream = open_stream
        self._stop_grace = stop_grace_seconds
        self._stream: StreamLike | None = None
        self._mailbox: Mailbox[Report] | None = None
        self._stream_ended = asyncio.Event()
        self._stream_switch = KillSwitch()
        self._poked = asyncio.Event()
        self._news = Signal()
        self._told, self._owner = core.version, core.owner
        self._log = log.bind(changefeed=self._name, uid=core.spec.uid)
        self._task = asyncio.create_task(self._run(after), name=f"dispatchers-{self._name}")

    def wake(self) -> None:
        """The core has heard of something."""
        former, self._owner = self._owner, self.core.owner
        if former != self._owner:
            owner = self._owner
            self._log.info("owner-changed", epoch=owner.epoch, owner=owner.node, former_epoch=former.epoch)
        self._poked.set()
        self._tell()

    def decide(self, decision: BarrierDecision) -> None:
        """Passes a decision on to the stream, which ignores one that is not about what it waits for."""
        if self._stream is not None:
            self._stream.decide(decision)

    def lag(self) -> Lag | None:
        """As it is now; None where nothing is known of it."""
        return self._stream.lag() if self._stream is not None else None

    async def wait_for_change(self, seen_version: int, seconds: float) -> None:
        """Returns as soon as the core's version is not `seen_version`, or the manager closes, or the time is over."""
        if self.core.version == seen_version and not self._task.done():
            await self._news.wait(self._news.version, seconds)

    async def closed(self) -> None:
        """Awaits the end of a close: within the grace, plus what cutting a connection takes."""
        await asyncio.shield(self._task)

    # The task.

    async def _run(self, after: Manager | None) -> None:
        loop = asyncio.get_running_loop()
        if after is not None:
            await after.closed()
            after = None
        while True:
            self._poked.clear()
            match self.core.decide(loop.time(), may_start=not self._switch.is_cut):
                case StartStream() as start:
                    self._start_stream(start)
                case StopStream():
                    await self._stop_stream()
                case Closed():
                    break
                case Wait(seconds):
                    self._tell()
                    timer = None if math.isinf(seconds) else loop.call_later(seconds, self._poked.set)
                    await self._poked.wait()
                    if timer is not None:
                        timer.cancel()
        metrics.hide_lag(self._name)
        self._switch.leave()
        self._tell()

    def _start_stream(self, start: StartStream) -> None:
        loop = asyncio.get_running_loop()
        ended = self._stream_ended = asyncio.Event()
        mailbox = Mailbox[Report](loop, lambda report: self._take(report) if mailbox is self._mailbox else None)
        self._mailbox = mailbox
        self._stream_switch = self._switch.below()
        self._stream = self._open_stream(
            start.spec,
            lambda: self.core.token,
            self._stream_switch,
            start.tables,
            post=mailbox.put,
            ended=lambda: _call(loop, ended.set),
        )
        metrics.show_lag(self._name, self._stream.lag)
        self._stream.start()

    async def _stop_stream(self) -> None:
        assert self._stream is not None
        assert self._mailbox is not None
        self._stream_switch.end()
        try:
            async with asyncio.timeout(self._stop_grace):
                await self._stream_ended.wait()
        except TimeoutError:
            self._log.warning("stream-cut", why="it did not end within the grace", seconds=self._stop_grace)
            self._stream_switch.cut()
            await self._stream_ended.wait()
        self._stream_switch.leave()
        self._mailbox.flush()
        self._mailbox = self._stream = None
        metrics.hide_lag(self._name)
        self.core.ended()

    def _take(self, report: Report) -> None:
        self.core.take(report, asyncio.get_running_loop().time())
        self._tell()

    def _tell(self) -> None:
        """Wakes those who wait for something new."""
        if self.core.version != self._told:
            self._told = self.core.version
            self._news.notify()


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:  # the loop is closed: nobody waits any more
        return
