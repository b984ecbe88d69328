"""Who is obeyed on this node for which changefeed: the owner on record, the tombstone, and the manager.

Every handler of the Dispatch service asks `Record.admit` under the record's lock and answers with `Record.rejection`
when it is not admitted. The lock belongs to one changefeed, is a context manager, and is only held to read and change
the record: never across a close, a stop, an RPC or any other I/O. So a changefeed whose close hangs delays no other,
and no exception leaves a lock held.

Records are never forgotten while the process lives: a tombstone must outlive every message that was sent before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from hedgerow.common.epoch import NOBODY, Owner, Stamp, Verdict, admit, rejection
from hedgerow.common.metrics import rejected
from hedgerow.common.pb.v1 import model_pb2 as pb

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Record(Generic[T]):
    """One changefeed on this node. Change it only inside `Registry.locked`."""

    uid: str
    owner: Owner = NOBODY
    closed: int | None = None
    closed_by: Owner | None = None
    closing: Awaitable[None] | None = None  # ends when the manager that `closed_by` closed has stopped
    manager: T | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def admit(self, stamp: Stamp, *, may_take_over: bool) -> Verdict:
        verdict = admit(self.owner, self.closed, stamp.owner, may_take_over=may_take_over)
        if not verdict.admits:
            rejected(
                "rpc",
                verdict.name,
                service="Dispatch",
                uid=self.uid,
                epoch=stamp.epoch,
                node=stamp.node,
                current_epoch=self.owner.epoch,
                current_node=self.owner.node,
                closed=self.closed,
            )
        return verdict

    def rejection(self, verdict: Verdict) -> pb.Rejection:
        return rejection(verdict, self.owner, self.closed)

    def bury(self, owner: Owner) -> T | None:
        """Leaves `owner`'s tombstone, at which nobody owns the changefeed here; returns the manager to be closed."""
        manager, self.manager = self.manager, None
        self.owner = NOBODY
        self.closed = max(self.closed or 0, owner.epoch)
        self.closed_by = owner
        return manager

    def stamp(self) -> pb.Stamp:
        """The owner on record, for responses."""
        return Stamp(self.uid, self.owner.epoch, self.owner.node).write()


class Registry(Generic[T]):
    """The records of one node, by changefeed uid. Used from the event loop only, but for `managers`."""

    def __init__(self) -> None:
        self._records: dict[str, Record[T]] = {}

    @asynccontextmanager
    async def locked(self, uid: str) -> AsyncIterator[Record[T]]:
        """The changefeed's record, alone. Do no I/O inside."""
        record = self._records.get(uid)
        if record is None:
            record = self._records[uid] = Record(uid)
        async with record._lock:
            yield record

    def managers(self) -> Iterator[T]:
        """The managers at this moment. Safe from any thread."""
        for record in tuple(self._records.values()):
            manager = record.manager
            if manager is not None:
                yield manager
