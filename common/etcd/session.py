"""Session: a lease, and this node's right to act under it.

The right ends before the lease does: `valid` is judged by the local clock, 0.8 of the TTL after the keepalive that was
acknowledged last was *sent*. etcd counts the TTL from when it received that one, so as long as the two clocks run
equally fast (to 20 %) nobody sees our keys vanish while we still think that we may act. A process that was frozen finds
`valid` False in the first instruction after it thaws, whatever tasks and timers have not run yet; `lost` is set as soon
as any task of the session looks, 0.2 s later at the most, also where the machine was suspended.

A session that was lost never comes back: an acknowledgement that arrives after the end is ignored.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Self

import structlog

from hedgerow.common.errors import EtcdUnavailable, HedgerowError, SessionLost
from hedgerow.common.etcd.channels import EtcdStream, StreamBroken, silent
from hedgerow.common.etcd.client import Etcd
from hedgerow.common.etcd.errors import EtcdRefused
from hedgerow.common.pb.etcd import rpc_pb2

log = structlog.get_logger()

_VALID_SHARE = 0.8
_BEATS_PER_TTL = 6
_LOOK_SECONDS = 0.2  # after a suspension, the loss of a session shows this late at the most


def monotonic() -> float:
    """Seconds that go on while the machine is suspended, where the system has such a clock."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Validity:
    """Until when a session is valid. Any thread may ask; one renews."""

    def __init__(self, sent: float, ttl: float) -> None:
        self._end = sent + _VALID_SHARE * ttl

    def remaining(self, now: float) -> float:
        """Seconds; 0 or less once it is lost."""
        return self._end - now

    def renew(self, sent: float, ttl: float, now: float) -> None:
        """An acknowledgement of what was sent at `sent` arrived at `now`. Changes nothing once the end has passed."""
        if now < self._end:
            self._end = max(self._end, sent + _VALID_SHARE * ttl)

    def end(self) -> None:
        self._end = float("-inf")


class Session:
    """Use `await Session.open(...)`. Owns its tasks; close() ends them and revokes the lease."""

    def __init__(self, etcd: Etcd, lease: int, ttl: int, validity: Validity, clock: Callable[[], float]) -> None:
        self.lease = lease
        self.ttl = ttl
        self.lost = asyncio.Event()
        self.reason = ""
        self._etcd = etcd
        self._validity = validity
        self._clock = clock
        self._tasks = [
            asyncio.create_task(self._keep_alive(), name=f"etcd-session-{lease:x}"),
            asyncio.create_task(self._watch_clock(), name=f"etcd-session-clock-{lease:x}"),
        ]

    @classmethod
    async def open(cls, etcd: Etcd, ttl: int, *, clock: Callable[[], float] = monotonic) -> Self:
        """A lease of `ttl` seconds, or more where etcd's election timeout asks for more.

        Raises EtcdUnavailable, EtcdRefused.
        """
        while True:
            sent = clock()
            lease, granted = await etcd.grant_lease(ttl)
            validity = Validity(sent, granted)
            # An answer that came after a long search for a living endpoint may have been sent too long ago.
            if validity.remaining(clock()) > 0:
                return cls(etcd, lease, granted, validity, clock)

    @property
    def valid(self) -> bool:
        """Whether this node may act, now. May be called from any thread."""
        return self._validity.remaining(self._clock()) > 0

    def check(self) -> None:
        """Raises SessionLost where it is not valid."""
        if not self.valid:
            raise SessionLost(f"the etcd session {self.lease:x} is over: {self.reason or 'not kept alive in time'}")

    def declare_lost(self, reason: str) -> None:
        """Ends the session at once: somebody knows that the lease is gone. Called in the event loop."""
        self._validity.end()
        if not self.lost.is_set():
            self.reason = reason
            log.warning("etcd-session-lost", lease=f"{self.lease:x}", reason=reason)
            self.lost.set()

    async def close(self) -> None:
        """Ends the session and revokes the lease, if etcd can be reached; else it expires. Idempotent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        revoke = self.valid
        self._validity.end()
        self.reason = self.reason or "closed"
        self.lost.set()
        if revoke:
            with contextlib.suppress(EtcdUnavailable, EtcdRefused):
                await self._etcd.revoke_lease(self.lease, timeout=min(self.ttl, self._etcd.config.timeout))

    async def _watch_clock(self) -> None:
        while (remaining := self._validity.remaining(self._clock())) > 0:  # noqa: ASYNC110 - the end moves
            # Timers stand still while the machine is suspended, and the validity's clock does not.
            await asyncio.sleep(min(remaining, _LOOK_SECONDS))
        self._declare_late()

    def _declare_late(self) -> None:
        self.declare_lost(f"no keepalive was acknowledged within {_VALID_SHARE * self.ttl:g} s")

    async def _keep_alive(self) -> None:
        beat = self.ttl / _BEATS_PER_TTL
        while self.valid:
            stream: EtcdStream | None = None
            try:
                stream = await self._etcd.open_stream(lambda endpoint: endpoint.lease.LeaseKeepAlive, beat)
                while self.valid:
                    await self._beat(stream, beat)
                    await asyncio.sleep(beat)
            except StreamBroken as broken:
                log.debug("etcd-keepalive-failed", lease=f"{self.lease:x}", cause=str(broken))
                if stream is not None:
                    self._etcd.stream_failed(stream, broken)
                await asyncio.sleep(min(0.05, beat))
            except HedgerowError as error:  # the password cannot be had
                self.declare_lost(f"it cannot be kept alive: {error}")
            finally:
                if stream is not None:
                    await stream.close()
        self._declare_late()

    async def _beat(self, stream: EtcdStream, timeout: float) -> None:
        sent = self._clock()
        await stream.write(rpc_pb2.LeaseKeepAliveRequest(ID=self.lease), timeout)
        answer = await stream.read(timeout)
        if answer is None:
            raise silent(timeout)
        if answer.TTL <= 0:
            self.declare_lost("etcd says that its lease is over")
        else:
            self._validity.renew(sent, answer.TTL, self._clock())
