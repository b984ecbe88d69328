"""What a node answers to hedgerow.v1.Dispatch: who is obeyed for which changefeed, and what follows. Pure.

Nothing here waits, so each request is judged and carried out as one step of the event loop; what is slow (reading a
password, stopping a stream) happens before or after, in the service. A request that is not admitted is answered with
the verdict and the current owner. A takeover validates first, then changes the owner, then acts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from hedgerow.common.control.owners import OwnerRecord
from hedgerow.common.epoch import NOBODY, Owner, Stamp, Verdict
from hedgerow.common.errors import BadInput
from hedgerow.common.lag import Lag
from hedgerow.common.pb.v1 import dispatch_pb2 as pb
from hedgerow.common.pb.v1 import model_pb2
from hedgerow.common.reporting import report_error
from hedgerow.dispatcher.control.core import Core
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.table import Placement


class Shell(Protocol):
    """Carries out what its core decides."""

    core: Core

    def wake(self) -> None:
        """The core has heard of something."""

    def lag(self) -> Lag | None: ...


M = TypeVar("M", bound=Shell)


@dataclass(eq=False, slots=True)
class Record(OwnerRecord, Generic[M]):
    """One changefeed on this node."""

    service: ClassVar[str] = "Dispatch"

    manager: M | None = None
    closed_by: Owner | None = None
    closing: M | None = None  # the manager that `closed_by` closed

    def bury(self, owner: Owner) -> None:
        """Leaves `owner`'s tombstone, at which nobody owns the changefeed here, and closes the manager."""
        self.close(owner.epoch)
        self.owner, self.closed_by = NOBODY, owner
        if self.manager is not None:
            self.closing, self.manager = self.manager, None
            self.closing.core.close()
            self.closing.wake()


class Handlers(Generic[M]):
    """`open_manager` makes the manager of a core. Its streams start after those of the former one have ended."""

    def __init__(
        self,
        node: str,
        open_manager: Callable[[Core, M | None], M],
        make_record: Callable[[str], Record[M]] = Record,
    ) -> None:
        self._node = node
        self._open_manager = open_manager
        self._make_record = make_record
        self._records: dict[str, Record[M]] = {}

    def record(self, uid: str) -> Record[M]:
        """Records are never forgotten while the process lives."""
        found = self._records.get(uid)
        if found is None:
            found = self._records[uid] = self._make_record(uid)
        return found

    def managers(self) -> Iterator[M]:
        """Those that are not closing."""
        for record in self._records.values():
            if record.manager is not None:
                yield record.manager

    def bootstrap(self, stamp: Stamp, spec: Spec | BadInput, now: float) -> pb.BootstrapResponse:
        """`spec`: or what is wrong with it. `now` in seconds since 1970."""
        record = self.record(stamp.uid)
        rejection = record.judge(stamp, may_take_over=True)
        if rejection is not None:
            return pb.BootstrapResponse(stamp=record.stamp(), rejection=rejection)
        if isinstance(spec, BadInput):
            return pb.BootstrapResponse(stamp=record.stamp(), error=report_error(spec, self._node, at=now))
        record.owner = stamp.owner
        removing: list[Placement] = []
        if record.manager is not None:
            removing = record.manager.core.take_over(stamp.owner, spec)
            record.manager.wake()
        else:
            record.manager = self._open_manager(Core(self._node, spec, stamp.owner), record.closing)
        core = record.manager.core
        return pb.BootstrapResponse(
            stamp=record.stamp(), dispatchers=core.statuses(), removing=_written(removing), version=core.version
        )

    def schedule(self, stamp: Stamp, request: pb.ScheduleRequest) -> pb.ScheduleResponse:
        record, manager, rejection = self.admit(stamp)
        if manager is not None:
            manager.core.schedule(_read(request.create), _read(request.remove))
            manager.wake()
        return pb.ScheduleResponse(stamp=record.stamp(), rejection=rejection)

    def heartbeat(self, stamp: Stamp, request: pb.HeartbeatRequest) -> pb.HeartbeatResponse:
        record, manager, rejection = self.admit(stamp)
        if manager is None:
            return pb.HeartbeatResponse(stamp=record.stamp(), rejection=rejection)
        core, lag = manager.core, manager.lag()
        since = request.seen_version if request.changes and core.can_tell_since(request.seen_version) else 0
        return pb.HeartbeatResponse(
            stamp=record.stamp(),
            version=core.version,
            dispatchers=core.statuses(since),
            lag_seconds=lag.seconds if lag is not None else 0.0,
            rows=core.rows,
            lag=lag.write() if lag is not None else None,
            changes=bool(since),
            gone=_written(core.gone_since(since)),
        )

    def close(self, stamp: Stamp) -> tuple[pb.CloseResponse, M | None]:
        """The answer, and the manager that it has to wait for. A close that is asked again by the owner that closed
        waits for the same end and is answered as done."""
        record = self.record(stamp.uid)
        if stamp.owner != record.closed_by or record.manager is not None:
            rejection = record.judge(stamp, may_take_over=True)
            if rejection is not None:
                return pb.CloseResponse(stamp=record.stamp(), rejection=rejection), None
            record.bury(stamp.owner)
        return pb.CloseResponse(stamp=stamp.write()), record.closing

    def admit(self, stamp: Stamp) -> tuple[Record[M], M | None, model_pb2.Rejection | None]:
        """For requests that may not take over: the manager, or the rejection to answer with."""
        record = self.record(stamp.uid)
        rejection = record.judge(stamp, may_take_over=False)
        if rejection is None and record.manager is None:  # an epoch 0 that has not bootstrapped
            rejection = record.rejection(Verdict.AHEAD)
        return record, record.manager if rejection is None else None, rejection


def _read(messages: Iterable[Any]) -> list[Placement]:
    return [Placement(message.dispatcher, message.generation, message.lane) for message in messages]


def _written(placements: Iterable[Placement]) -> list[pb.DispatcherPlacement]:
    return [pb.DispatcherPlacement(dispatcher=p.dispatcher, generation=p.generation, lane=p.lane) for p in placements]
