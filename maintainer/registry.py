"""Who is obeyed on this node as the maintainer of which changefeed: the owner on record, the tombstone, the worker.

A record's lock belongs to one changefeed, so one whose close hangs delays no other; it is a context manager, so no
exception leaves it held. Nothing is locked across changefeeds. Owners and tombstones are kept while the process lives
(a few words per changefeed), because they must outlive every message that was sent before them; reports of workers
that have ended are kept for the `REPORTS_KEPT` that ended last, and one that is gone is made again for whoever asks
again: a coordinator that has not seen it repeats its request.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from hedgerow.common.control.owners import OwnerRecord
from hedgerow.common.epoch import Owner, Stamp
from hedgerow.common.pb.v1 import maintainer_pb2

REPORTS_KEPT = 256

_ENDS = itertools.count(1)

ENDED = frozenset((maintainer_pb2.CLOSED, maintainer_pb2.ERRED, maintainer_pb2.SUPERSEDED))


class Worker(Protocol):
    """A Maintainer or a Closing."""

    def cancel(self) -> None: ...
    async def stop(self) -> None: ...
    def status(self) -> maintainer_pb2.MaintainerStatus: ...


@dataclass(eq=False, slots=True)
class Record(OwnerRecord):
    """One changefeed on this node. `started` is the owner that the last worker was started for, `closing` whether that
    was a Closing: a request that is repeated finds its work begun or done."""

    service: ClassVar[str] = "MaintainerHost"

    started: Owner | None = None
    closing: bool = False
    worker: Worker | None = None
    last: maintainer_pb2.MaintainerStatus | None = None  # of a worker that has ended
    ended: int = 0  # which end on this node that was, counted
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def status(self) -> maintainer_pb2.MaintainerStatus | None:
        return self.worker.status() if self.worker is not None else self.last

    @property
    def forgotten(self) -> bool:
        """Its worker has ended, and the report is gone."""
        return self.started is not None and self.worker is None and self.last is None

    def settle(self) -> None:
        """Lets go of a worker that has ended; a confirmed close leaves its tombstone."""
        if self.worker is None:
            return
        status = self.worker.status()
        if status.phase in ENDED:
            self.worker, self.last, self.ended = None, status, next(_ENDS)
            if status.phase == maintainer_pb2.CLOSED:
                self.close(status.stamp.epoch)

    def confirm_close(self, stamp: Stamp) -> None:
        """Reports a close again that is confirmed by the tombstone, to a coordinator that has not seen it."""
        self.last = maintainer_pb2.MaintainerStatus(stamp=stamp.write(), phase=maintainer_pb2.CLOSED)
        self.ended = next(_ENDS)


class Registry:
    """The records of one node, by changefeed uid. Used in the event loop only."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}

    def record(self, uid: str) -> Record:
        """The changefeed's record; a changefeed that nobody spoke of yet gets one."""
        return self._records.setdefault(uid, Record(uid))

    def settle(self) -> None:
        """Takes note of workers that have ended, and forgets the reports of those that ended first."""
        ended = []
        for record in self._records.values():
            record.settle()
            if record.last is not None and record.worker is None:
                ended.append(record)
        ended.sort(key=lambda record: record.ended)
        for record in ended[:-REPORTS_KEPT]:
            record.last = None

    def statuses(self) -> list[maintainer_pb2.MaintainerStatus]:
        return [status for record in self._records.values() if (status := record.status()) is not None]

    def workers(self) -> Iterator[Worker]:
        for record in list(self._records.values()):
            if record.worker is not None:
                yield record.worker
