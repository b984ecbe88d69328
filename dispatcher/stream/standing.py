"""A dispatcher as its stream's thread serves it: its progress, and how often its lane has failed.

Positions and counts come with every batch, so they are only noted; a new TableProgress is made when somebody asks.
"""

from __future__ import annotations

import time
from dataclasses import replace

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import HedgerowError
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.table import Event, Placement, State, TableProgress


class Standing:
    """`rests_until` (monotonic): its lane has failed, and is not tried before; the others go on without it. What such a
    dispatcher has been through is over when its lane has applied something: until then it shows the error.
    """

    def __init__(self, table: TableProgress) -> None:
        self.failures = 0  # of its lane, in a row
        self.rests_until = 0.0
        self._table = table
        self._has_news = False
        self._position, self._executed = table.position, table.executed
        self._before = (table.rows_events, table.transactions)  # counts of earlier connections
        self._counts = (0, 0)

    @property
    def placement(self) -> Placement:
        return self._table.placement

    @property
    def state(self) -> State:
        return self._table.state

    @property
    def is_final(self) -> bool:
        """Whether it is not served any more."""
        return self._table.is_final

    @property
    def position(self) -> Position | None:
        return self._position

    def progress(self) -> TableProgress:
        """The same object as before as long as nothing has changed."""
        if self._has_news:
            self._has_news = False
            self._table = replace(
                self._table,
                position=self._position,
                executed=self._executed,
                rows_events=self._before[0] + self._counts[0],
                transactions=self._before[1] + self._counts[1],
            )
        return self._table

    # What happens to it.

    def run(self) -> None:
        self._table = self.progress().after(Event.BEGAN)

    def block(self, ddl: pb.Ddl) -> None:
        self._table = self.progress().after(Event.MET_DDL, ddl=ddl)

    def pass_ddl(self) -> None:
        self._table = self.progress().after(Event.PASSED_DDL)

    def retry(self, error: HedgerowError) -> None:
        self._table = self.progress().after(Event.FAILED, error=error, at=time.time())

    def rest(self, error: HedgerowError, seconds: float) -> None:
        self.retry(error)
        self.failures += 1
        self.rests_until = time.monotonic() + seconds

    def recover(self) -> None:
        """Its lane works again."""
        self.failures = 0
        self._table = self.progress().after(Event.RECOVERED)

    def give_up(self, error: HedgerowError) -> None:
        self._table = self.progress().after(Event.BROKE, error=error, at=time.time())

    def finish(self, position: Position) -> None:
        """A DDL has dropped its table; its progress row is gone and must not be written again."""
        self._table = self.progress().after(Event.DROPPED, position=position)
        self._position = self._table.position

    # How far it is.

    def begin(self) -> None:
        """New connections are made: what they count begins at 0."""
        self._before = (self._before[0] + self._counts[0], self._before[1] + self._counts[1])
        self._counts = (0, 0)

    def reach(self, position: Position) -> None:
        """Everything up to there is durable."""
        if self.state != pb.ENDED:
            self._has_news = True
            self._position = position

    def execute(self, position: Position) -> None:
        """Its progress row is at `position`, and every DDL before that has been executed, perhaps just now."""
        self._executed = position
        self.reach(position)

    def count(self, rows_events: int, transactions: int) -> None:
        """So much is durable since the connections were made."""
        self._has_news = True
        self._counts = (rows_events, transactions)
