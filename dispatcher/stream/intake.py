"""What the router intakes: lanes, and dispatchers as the router sees them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from hedgerow.common.binlog.position import Position

Event = bytes


class Collects(Protocol):
    """What the router needs of a lane's coalescer."""

    def add(self, dispatcher: str, table_map: Event, rows_event: Event) -> None: ...

    def end_transaction(self, position: Position, gtid: bytes = b"", file: str = "") -> None: ...

    def prepare(self, xid: str) -> None: ...

    def decide(self, xid: str, dispatchers: Collection[str], *, commit: bool) -> None: ...


class LaneIntake:
    """The router's side of one lane. `open`: the source transaction that is being read has rows in it. `oldest`: commit
    time of the first transaction since the last batch was taken, 0 where there was none; `begins`: the file and offset
    where it begins."""

    __slots__ = ("add", "begins", "decide", "end", "oldest", "open", "prepare")

    def __init__(self, coalescer: Collects) -> None:
        self.open = False
        self.oldest = 0.0
        self.begins = ("", 0)
        self.connect(coalescer)

    def connect(self, coalescer: Collects) -> None:
        self.add = coalescer.add
        self.end = coalescer.end_transaction
        self.prepare = coalescer.prepare
        self.decide = coalescer.decide


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
