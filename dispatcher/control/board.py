"""What is known of one dispatcher on this node, and how it is told to a maintainer."""

from __future__ import annotations

import math

from google.protobuf.timestamp_pb2 import Timestamp

from hedgerow.common.errors import HedgerowError
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.table import DispatcherReport, Placement


class Dispatcher:
    """Owned by a manager, in the event loop. `leaving`: it has been removed, and is here until its lane has stopped."""

    def __init__(self, placement: Placement, epoch: int) -> None:
        self.placement = placement
        self.epoch = epoch
        self.leaving = False
        self._last = DispatcherReport(placement, pb.STARTING)
        self._rows_events = 0  # of streams that have ended
        self._transactions = 0

    @property
    def is_broken(self) -> bool:
        return self._last.state == pb.BROKEN

    @property
    def is_blocked(self) -> bool:
        return self._last.state == pb.BLOCKED

    @property
    def is_over(self) -> bool:
        """Whether it is not served again: it broke, and its maintainer places it again; or a DDL has ended it."""
        return self._last.state in (pb.BROKEN, pb.ENDED)

    @property
    def is_wanted(self) -> bool:
        """Whether a stream should serve it."""
        return not self.leaving and not self.is_over

    def is_incarnation(self, placement: Placement, epoch: int) -> bool:
        """Whether a create of `placement` by the owner at `epoch` has been carried out already."""
        return not self.leaving and self.placement == placement and self.epoch == epoch

    def take_over(self, epoch: int) -> None:
        """A broken one keeps the epoch at which it broke."""
        if not self.is_broken:
            self.epoch = epoch

    def take(self, report: DispatcherReport) -> bool:
        """Whether it says anything new."""
        former, self._last = self._last, report
        return former is not report

    def stream_ended(self) -> None:
        """Its stream has ended: counts go on from here, and it starts again if it is still wanted."""
        last = self._last
        self._rows_events += last.rows_events
        self._transactions += last.transactions
        self._last = DispatcherReport(
            self.placement,
            last.state if self.is_over else pb.STARTING,
            last.position,
            error=last.error if self.is_broken else None,
            error_at=last.error_at,
            executed=last.executed,
        )

    def status(self, node: str) -> pb.DispatcherStatus:
        last = self._last
        return pb.DispatcherStatus(
            dispatcher=self.placement.dispatcher,
            epoch=self.epoch,
            generation=self.placement.generation,
            state=last.state,
            position=last.position.write() if last.position is not None else None,
            blocked=last.blocked,
            error=self._error(last, node),
            rows_events=self._rows_events + last.rows_events,
            transactions=self._transactions + last.transactions,
            node=node,
            lane=self.placement.lane,
            executed=last.executed.write() if last.executed is not None else None,
        )

    def _error(self, last: DispatcherReport, node: str) -> pb.ChangefeedError | None:
        """It tells where the dispatcher is, for when nobody reports that any more."""
        if last.error is None:
            return None
        error = write_error(last.error, node, self.placement.dispatcher, last.error_at)
        if last.position is not None:
            error.position.CopyFrom(last.position.write())
        return error


def write_error(error: HedgerowError, node: str, dispatcher: str, at: float) -> pb.ChangefeedError:
    """`at` in seconds since 1970."""
    return pb.ChangefeedError(
        code=error.code,
        message=str(error),
        retriable=error.retriable,
        node=node,
        dispatcher=dispatcher,
        at=Timestamp(seconds=math.floor(at)) if at else None,
    )
