"""A dispatcher that was placed on this node, as the core keeps it."""

from __future__ import annotations

from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.table import Event, Placement, TableProgress


class Placed:
    """`leaving`: it has been removed, and is here until its lane has stopped."""

    def __init__(self, placement: Placement, epoch: int) -> None:
        self.epoch = epoch
        self.leaving = False
        self.table = TableProgress(placement)

    @property
    def placement(self) -> Placement:
        return self.table.placement

    @property
    def is_wanted(self) -> bool:
        """Whether a stream should serve it. One that is over is not served again: it broke, and its maintainer places
        it again; or a DDL has ended it."""
        return not self.leaving and not self.table.is_final

    def is_incarnation(self, placement: Placement, epoch: int) -> bool:
        """Whether a create of `placement` by the owner at `epoch` has been carried out already."""
        return not self.leaving and self.placement == placement and self.epoch == epoch

    def take_over(self, epoch: int) -> None:
        """A broken one keeps the epoch at which it broke."""
        if self.table.state != pb.BROKEN:
            self.epoch = epoch

    def take(self, table: TableProgress) -> bool:
        """Whether it says anything new."""
        former, self.table = self.table, table
        return former is not table

    def stream_ended(self) -> None:
        """It starts again if it is still wanted."""
        self.table = self.table.after(Event.STREAM_ENDED)
