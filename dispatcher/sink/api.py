"""What a stream asks of a sink, whatever kind of sink it is: source transactions, rows events and positions go in, what
is durable comes back. A kind of sink implements `Sink`; it alone knows what a server, a file or a topic wants.

The rules that every kind keeps, and that tests.unit.dispatcher.sink.sink_rules.py tries:

- a lane applies what it is handed in that order. A final batch is applied whole or not at all, and the positions that
  it reaches become durable with its rows, so that each source transaction is applied exactly once;
- nothing becomes durable for a dispatcher that another incarnation has claimed since, nor below the changefeed's fence:
  the lane ends then with Fenced;
- a lane never retries what may have been applied. It ends with an error; whoever claims anew learns where to begin;
- what is said of the past (`Lane.applied`) is one slot in which the latest value wins: nobody waits for who reads it.

Threads: a Sink and its lanes are used by the stream's thread; `cut`, `cancel` and `give_up` may come from any.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol, TypeAlias

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import HedgerowError
from hedgerow.common.mysql.names import TableName
from hedgerow.common.pb.v1 import model_pb2 as pb

Incarnation: TypeAlias = tuple[int, int]  # epoch, generation
End: TypeAlias = tuple[int, bytes, str]  # of a source transaction: rows events up to it, its GTID event, its file

# Items of a lane's queue.


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows events with the table maps that they need, framed as in the source's binlog, in the order of the source."""

    events: bytearray


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows events of one dispatcher in an XA transaction that is not decided: they are stored, not applied.

    `number` orders them within the XA transaction; `events` are as in Rows.
    """

    xid: str
    dispatcher: str
    number: int
    events: bytearray


@dataclass(frozen=True, slots=True)
class Decided:
    """XA COMMIT (or ROLLBACK): what was stored of `xid` for these dispatchers is applied (or not), and deleted."""

    xid: str
    commit: bool
    dispatchers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Marker:
    """Writes nothing. Answered (`Applied.marker`) when everything before it in the lane is durable. `attempt` and
    `nonce` tell it from any other of the same changefeed and node."""

    epoch: int
    attempt: int
    nonce: int


Item: TypeAlias = Rows | Prepared | Decided | Marker


@dataclass(frozen=True, slots=True)
class Batch:
    """What a lane applies in one sink transaction, or, where not final, one part of it.

    `progress` has the position that each dispatcher has reached when it is durable; a part of an unfinished source
    transaction names its dispatchers in `touched` only. `format_description`: the source's event, in whose format the
    rows are. `ends`, for errors, of each source transaction; the GTID event is empty where there is none.
    """

    format_description: bytes
    items: tuple[Item, ...]
    progress: Mapping[str, Position]
    touched: frozenset[str]
    tables: frozenset[TableName]
    transactions: int
    rows_events: int
    bytes: int
    final: bool = True
    ends: tuple[End, ...] = ()

    @property
    def marker(self) -> Marker | None:
        """The last one."""
        return next((item for item in reversed(self.items) if isinstance(item, Marker)), None)

    @property
    def writes(self) -> bool:
        """Whether it changes anything in the sink."""
        return bool(self.progress) or any(not isinstance(item, Marker) for item in self.items)


class Collects(Protocol):
    """What the router does with a collector."""

    def add(self, dispatcher: str, table_map: bytes, rows_event: bytes) -> None:
        """Per rows event, with the table map that was in force where the source had it. Raises SinkRefused where the
        sink cannot take it."""

    def end_transaction(self, position: Position, gtid: bytes = b"", file: str = "") -> None: ...

    def prepare(self, xid: str) -> None:
        """The rows until the end of the source transaction are of this XA transaction."""

    def decide(self, xid: str, dispatchers: Collection[str], *, commit: bool) -> None: ...


class Collector(Collects, Protocol):
    """Collects what a lane is handed next: whole source transactions, of the lane's dispatchers only."""

    def advance(self, dispatchers: Collection[str], position: Position) -> None:
        """Let dispatchers without rows reach `position`, the end of the last transaction that was read."""

    def mark(self, marker: Marker) -> None: ...

    def describe(self, format_description: bytes) -> None:
        """What follows is in the format of this event. Nothing is collected."""

    @property
    def empty(self) -> bool: ...

    @property
    def transactions(self) -> int: ...

    @property
    def bytes(self) -> int: ...

    @property
    def open_bytes(self) -> int:
        """Of the source transaction that has not ended."""

    def take(self, final: bool = True) -> Batch:
        """What was collected; not final: a part of a source transaction that goes on in the next batch."""


# What is said of a lane.


@dataclass(frozen=True, slots=True)
class Applied:
    """What a lane has made durable since it began. `refused`: source transactions that the fence kept out. `rows`: that
    the sink has changed for it, perhaps told late. `marker`: the last one before which everything is durable."""

    batches: int = 0
    transactions: int = 0
    rows_events: int = 0
    rows: int = 0
    bytes: int = 0
    refused: int = 0
    retries: int = 0
    positions: Mapping[str, Position] = field(default_factory=dict)
    marker: Marker | None = None


class LaneStopped(Exception):
    """cancel() or stop() was called; nothing is wrong."""


class Fate(Enum):
    GONE = auto()  # the sink does not know the lane any more: whatever it had not committed is rolled back
    THERE = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Answer:
    """`text`: a sentence for messages."""

    fate: Fate
    text: str


class Inquiry(Protocol):
    """A question that is under way."""

    @property
    def answer(self) -> Answer | None: ...


class Lane(Protocol):
    """One order of transactions in the sink, for some dispatchers."""

    def claim(self, generations: Mapping[str, int]) -> dict[str, Position]:
        """Take charge of these dispatchers, all or none, and learn where each begins. Once, before anything else.
        Raises Fenced, SinkUnavailable, SinkRefused (the lane has ended then), LaneStopped."""

    def collector(self) -> Collector:
        """A new one, with what the sink's tables are like now. Nothing is in the one before."""

    def submit(self, batch: Batch) -> None:
        """Hand over; with two batches unfinished it may block. Raises the lane's error, LaneStopped."""

    @property
    def applied(self) -> Applied: ...

    @property
    def error(self) -> HedgerowError | None:
        """Why it has ended; None while it has not."""

    def inquire(self, done: Callable[[], None]) -> Inquiry | None:
        """Ask the sink what became of the lane; `done` is called, from any thread, when there is an answer."""

    def give_up(self, error: HedgerowError) -> None:
        """End now with this error."""

    def cancel(self) -> None:
        """End now; nothing more is sent. Waits for nothing."""

    def stop(self) -> None:
        """End, and wait for it."""


# Schema changes.


class NotFlushed(Exception):
    """The sink has other dispatchers that the statement touches than those that were told to be flushed. Nothing was
    done."""


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A DDL statement of the source. `position` is its end; `begin`: where the dispatchers that it creates begin, which
    is before it where rows follow in its own transaction. `session`: the variables that it was executed with on the
    source; `raw`: its bytes, in the character set that those name; `error_code`: that of its event. `executed`: it came
    from the sink, or was left out: it is only recorded."""

    ddl: pb.Ddl
    position: Position
    begin: Position
    session: Mapping[str, int | float | str]
    raw: bytes
    error_code: int = 0
    executed: bool = False


class Ledger(Protocol):
    """What the sink remembers of the changefeed. Every method raises SinkUnavailable, SinkRefused."""

    def fence(self) -> int:
        """The epoch below which nobody writes any more; 0 without one."""

    def incarnations(self) -> dict[str, Incarnation]:
        """Of every dispatcher: who is listed here is replicated."""

    def prepared(self) -> dict[str, set[str]]:
        """Of the XA transactions that have rows in the sink, by xid, the dispatchers concerned."""

    def enlist(self, dispatcher: str, epoch: int, begins: Position) -> None:
        """Add a dispatcher that is not there, for a claimant to come. Raises Fenced."""


class Sink(Protocol):
    """One sink for one attempt of a stream."""

    @property
    def address(self) -> str:
        """For messages."""

    @property
    def ledger(self) -> Ledger: ...

    def open_lane(self, number: int, done: Callable[[], None]) -> Lane:
        """`done` is called, from any thread, after each piece of work and when the lane fails. After `cut` it has ended
        already."""

    def read_tables(self, served: Collection[str], ddl: pb.Ddl | None = None) -> None:
        """Learn what the tables of these dispatchers are like: when the stream begins, and after a DDL. Collectors that
        are made from now on judge rows by it. Raises SinkUnavailable, SinkRefused, SourceUnavailable."""

    def look_again(self, position: Position, now: float) -> None:
        """At the tables, now and then; the stream is at `position`. Raises SinkRefused."""

    def has_table(self, table: TableName) -> bool: ...

    def unlisted(self) -> list[TableName]:
        """Tables that are in the sink and match the filter, and that no dispatcher replicates."""

    def execute(self, change: SchemaChange, generation: int, flushed: Mapping[str, int]) -> None:
        """Execute exactly once, whoever tries; blocks as long as it takes, or until `cut`. `generation`: the schema
        dispatcher's; `flushed`: the generation of every dispatcher that the change touches, all of which have applied
        what is before it. Raises NotFlushed, Fenced, SinkUnavailable, DdlFailed, DdlUncertain, SinkRefused."""

    @property
    def is_cut(self) -> bool: ...

    def cut(self) -> None:
        """When it returns, nothing more is sent to the sink. Waits for nothing."""

    def close(self) -> None:
        """The lanes have stopped."""
