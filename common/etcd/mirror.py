"""Mirror: a range of etcd kept in memory, published as immutable snapshots.

One task lists the range and then follows its changes; where history was compacted under it, it lists again. Readers see
a snapshot or the next one, never something in between, and revisions only grow. A reader that is slow misses snapshots
in between, never the latest: there is one slot and no queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

import structlog

from hedgerow.common.errors import EtcdUnavailable, HedgerowError
from hedgerow.common.etcd.client import Etcd
from hedgerow.common.etcd.errors import Compacted
from hedgerow.common.etcd.values import KeyRange, Snapshot
from hedgerow.common.etcd.watch import Watch
from hedgerow.common.signal import Signal

log = structlog.get_logger()


class Mirror:
    """Use `await Mirror.open(...)`; close() ends its task and its waiters."""

    def __init__(self, etcd: Etcd, keys: KeyRange, first: Snapshot) -> None:
        self._etcd = etcd
        self._keys = keys
        self._snapshot = first
        self._published = Signal()
        self._ended: HedgerowError | None = None
        self._task = asyncio.create_task(self._run(), name=f"etcd-mirror-{keys.start.decode()}")

    @classmethod
    async def open(cls, etcd: Etcd, keys: KeyRange) -> Self:
        """Lists the range. Raises EtcdUnavailable, EtcdRefused."""
        return cls(etcd, keys, await etcd.range(keys))

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    async def changed(self, since: int) -> Snapshot:
        """The latest snapshot, as soon as it is of a later revision than `since`.

        Raises what ended the mirror: EtcdRefused, or EtcdUnavailable where it was closed.
        """
        return await self.until(lambda snapshot: snapshot.revision > since)

    async def until(self, condition: Callable[[Snapshot], bool]) -> Snapshot:
        """The latest snapshot, as soon as the condition holds. Raises as `changed` does."""
        while not condition(self._snapshot):
            if self._ended is not None:
                raise self._ended
            await self._published.wait(self._published.version)
        return self._snapshot

    async def close(self) -> None:
        """Idempotent."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._end(EtcdUnavailable(f"the mirror of {self._keys.start.decode()} is closed"))

    async def _run(self) -> None:
        try:
            while True:
                try:
                    async with Watch(self._etcd, self._keys, self._snapshot.revision + 1) as watch:
                        async for batch in watch:
                            self._publish(self._snapshot.after(batch.revision, batch.events))
                except Compacted as compacted:
                    log.info("etcd-mirror-lists-again", keys=self._keys.start.decode(), cause=str(compacted))
                    await self._list_again()
        except HedgerowError as error:
            log.error("etcd-mirror-failed", keys=self._keys.start.decode(), error=str(error))
            self._end(error)

    async def _list_again(self) -> None:
        while True:
            try:
                self._publish(await self._etcd.range(self._keys))
                return
            except EtcdUnavailable as error:
                log.warning("etcd-mirror-waits", keys=self._keys.start.decode(), error=str(error))

    def _publish(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._published.notify()

    def _end(self, error: HedgerowError) -> None:
        self._ended = self._ended or error
        self._published.notify()
