"""Lanes and dispatchers as the router sees them."""

from __future__ import annotations

from hedgerow.common.binlog.position import Position
from hedgerow.dispatcher.sink.api import Collects

Event = bytes


class LaneIntake:
    """The router's side of one lane. `open`: the source transaction that is being read has rows in it. `oldest`: commit
    time of the first transaction since the last batch was taken, 0 where there was none; `begins`: the file and offset
    where it begins."""

    __slots__ = ("add", "begins", "decide", "end", "oldest", "open", "prepare")

    def __init__(self, collector: Collects) -> None:
        self.open = False
        self.oldest = 0.0
        self.begins = ("", 0)
        self.connect(collector)

    def connect(self, collector: Collects) -> None:
        self.add = collector.add
        self.end = collector.end_transaction
        self.prepare = collector.prepare
        self.decide = collector.decide


class Target:
    """A dispatcher as the router sees it.

    `ahead`: it has applied more than the stream has read, up to `position`; then `covered` says whether the transaction
    that is being read is among what it has applied. `rows_events` and `transactions` count what was routed to it.
    """

    __slots__ = ("ahead", "covered", "intake", "key", "number", "position", "rows_events", "transactions")

    def __init__(self, key: str, intake: LaneIntake, position: Position) -> None:
        self.key = key
        self.intake = intake
        self.position = position
        self.ahead = False
        self.covered = False
        self.rows_events = self.transactions = 0
        self.number = -1  # of the last transaction that had rows of it
