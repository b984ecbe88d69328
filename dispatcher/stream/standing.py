"""How one dispatcher stands, as its stream's thread keeps it; reports are made of it."""

from __future__ import annotations

import time

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import HedgerowError
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.table import DispatcherReport, Placement


class Standing:
    """`finished`: a DDL has dropped its table; its progress row is gone and must not be written again.

    `rests_until` (monotonic): its lane has failed, and is not tried before; the others go on without it. What such a
    dispatcher has been through is over when its lane has applied something: until then it shows the error.
    """

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self.state: pb.DispatcherState = pb.STARTING
        self.finished = False
        self.failures = 0  # of its lane, in a row
        self.rests_until = 0.0
        self._position: Position | None = None
        self._executed: Position | None = None
        self._blocked: pb.Ddl | None = None
        self._error: HedgerowError | None = None
        self._error_at = 0.0
        self._before = (0, 0)  # counts of earlier connections
        self._counts = (0, 0)
        self._report: DispatcherReport | None = None  # the last one, if it is still true

    @property
    def is_broken(self) -> bool:
        return self.state == pb.BROKEN

    @property
    def position(self) -> Position | None:
        return self._position

    def rest(self, error: HedgerowError, seconds: float) -> None:
        self.retry(error)
        self.failures += 1
        self.rests_until = time.monotonic() + seconds

    def recover(self) -> None:
        """Its lane works again."""
        self.failures = 0
        if self.state == pb.RETRYING:
            self.run()

    def begin(self) -> None:
        """Connections are made again: what they count begins at 0."""
        self._report = None
        self._before = (self._before[0] + self._counts[0], self._before[1] + self._counts[1])
        self._counts = (0, 0)

    def run(self) -> None:
        self._report = None
        self.state, self._blocked, self._error = pb.RUNNING, None, None

    def block(self, ddl: pb.Ddl) -> None:
        self._report = None
        self.state, self._blocked = pb.BLOCKED, ddl

    def retry(self, error: HedgerowError) -> None:
        self._fail(pb.RETRYING, error)

    def give_up(self, error: HedgerowError) -> None:
        self._fail(pb.BROKEN, error)

    def reach(self, position: Position) -> None:
        """Everything up to there is durable."""
        if not self.finished:
            self._report = None
            self._position = position

    def execute(self, position: Position) -> None:
        """Its progress row is at `position`, and every DDL before that has been executed, perhaps just now."""
        self._report = None
        self._executed = position
        self.reach(position)

    def finish(self, position: Position) -> None:
        self._report = None
        self._position = position
        self.finished = True
        self.state, self._blocked, self._error = pb.ENDED, None, None

    def count(self, rows_events: int, transactions: int) -> None:
        """So much is durable since the connections were made."""
        self._report = None
        self._counts = (rows_events, transactions)

    def report(self) -> DispatcherReport:
        """The same object as before as long as nothing has changed."""
        if self._report is None:
            self._report = self._make_report()
        return self._report

    def _make_report(self) -> DispatcherReport:
        return DispatcherReport(
            placement=self.placement,
            state=self.state,
            position=self._position,
            blocked=self._blocked,
            error=self._error,
            error_at=self._error_at,
            rows_events=self._before[0] + self._counts[0],
            transactions=self._before[1] + self._counts[1],
            executed=self._executed,
        )

    def _fail(self, state: pb.DispatcherState, error: HedgerowError) -> None:
        self._report = None
        if self._error is None or self.state != state:
            self._error_at = time.time()
        self.state, self._error, self._blocked = state, error, None
