"""The hot path of a stream: which event goes to which lane.

`Router.route` is one function with local variables on purpose: it runs once per event, and everything per transaction
has to fit in a few microseconds. It is pure: events in; rows into coalescers; positions, DDL and errors out.

A transaction that writes hedgerow.progress is a lane's own, of a changefeed into this source: it is skipped whole, so
that two changefeeds in opposite directions do not loop. Lanes write progress before any row, so that it is known first.

Rows of an XA transaction are handed over as prepared (their lane stores them), and its decision goes to the lanes of
those dispatchers that have some. What was prepared before the stream began is known from the sink.

The schema dispatcher's stream has a net (stream.net) for rows of tables that no dispatcher replicates; what it has
applied already, and what is another changefeed's, is not caught.

Rows of a transaction that a user has left out go to nobody, or not to the dispatchers that the user named; that is
judged where their table maps come. DDL of it is met like any other, so that the list of dispatchers follows it.

A dispatcher whose progress row is ahead of where the stream began skips the transactions that it has applied.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from hedgerow.common.binlog.events import HEADER
from hedgerow.common.binlog.gtid import gtid_set
from hedgerow.common.binlog.position import Position
from hedgerow.common.binlog.skips import Skip
from hedgerow.common.binlog.table_map import TableMap
from hedgerow.common.errors import BinlogCorrupt, UnsupportedEvent
from hedgerow.common.ledger.schema import SCHEMA, SCHEMA_DISPATCHER
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.names import TableName
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.source.statements import Statement
from hedgerow.dispatcher.source.transactions import (
    BEGIN,
    DDL,
    DESCRIPTION,
    END,
    MARKER,
    NOTHING,
    ROLLED_BACK,
    ROWS,
    TABLE_MAP,
    UNDONE,
    XA_BEGIN,
    XA_COMMIT,
    XA_ONE_PHASE,
    XA_PREPARE,
    Tracker,
)
from hedgerow.dispatcher.stream.already_applied import AlreadyApplied
from hedgerow.dispatcher.stream.intake import Event, LaneIntake, Target
from hedgerow.dispatcher.stream.prepared import PreparedTransactions
from hedgerow.dispatcher.stream.undo import RolledBack, Undone

_PENDING: Final = Position()  # the coalescer learns the position when its batch is taken: one per batch, not one each
_MOST_KNOWN_TABLES: Final = 10_000

# The DDL without its position, None for a statement without effect on what is replicated; raises UnsupportedEvent.
Classify = Callable[[Statement], "pb.Ddl | None"]


class Catches(Protocol):
    """What the router needs of a net."""

    def suspects(self, table: TableName) -> bool: ...

    def catch(self, table: TableName, before: Position, gtid: str) -> None: ...

    def forget(self, ddl: pb.Ddl) -> None: ...


class Router:
    """One per connection to the source, used by the stream's thread."""

    def __init__(
        self,
        flavour: Flavour,
        start: Position,
        source_id: str,
        targets: Iterable[Target],
        classify: Classify,
        prepared: Mapping[str, Collection[str]],
        net: Catches | None = None,
        undone: Undone | None = None,
        skips: Iterable[Skip] = (),
    ) -> None:
        """`start`: where the reader starts, the least of the targets' positions. `prepared`: of the XA transactions
        that have rows in the sink, by xid, the dispatchers concerned. `net`: where the schema dispatcher is a target.
        `undone`: rows that are known not to hold. `skips`: transactions that users have left out."""
        self.tracker = Tracker(flavour, start, source_id, skips)
        # Without a set to begin with, the GTIDs that are read are not all that was executed: they say nothing.
        self.by_gtid = bool(start.gtid_set) or not start.file
        self.ddl: pb.Ddl | None = None
        self.description: Event = b""  # a FORMAT_DESCRIPTION event that is to be accepted before anything after it
        self.commit_floor = -math.inf  # no transaction that is routed was committed before
        self.foreign = self.own = 0  # transactions read so far: those of others, and those of our changefeeds
        self._flavour: Flavour = flavour
        self._classify = classify
        self._net = net
        self._statement: Statement | None = None
        self._targets = {target.key: target for target in targets}
        self._ahead = AlreadyApplied(
            flavour, self.tracker, by_gtid=self.by_gtid, start=start, targets=self._targets.values()
        )
        self._known: dict[TableMap, Target | None] = {}
        self._maps: dict[TableMap, tuple[Target, Event]] = {}
        self._accepted: Event = b""
        self._skip = False
        self._undone = Undone() if undone is None else undone
        self._withheld: dict[str, frozenset[str]] = {}  # dispatchers whose rows since these markers are left out
        self._open: list[LaneIntake] = []
        self._prepared = PreparedTransactions(prepared, self._targets)
        self._xid = ""  # of the XA transaction that is being read, up to its PREPARE
        self._number = 0

    @property
    def position(self) -> Position:
        """The end of the last whole transaction."""
        return self._without_gtids(self.tracker.position())

    def targets(self) -> list[Target]:
        return list(self._targets.values())

    def drop(self, key: str) -> None:
        """Routes nothing to this dispatcher any more."""
        target = self._targets.pop(key, None)
        if target is not None:
            self._ahead.drop(target)
        self._prepared.drop(key)
        self._known.clear()
        self._maps.clear()

    def route(self, events: Sequence[Event], at: int, transactions: int, size: int) -> int:
        """Routes events from index `at`; returns the index of the first that is left.
        Returns early when `transactions` source transactions have ended, or rows events of `size` bytes were added;
        with `ddl` set after a DDL that is to be decided over, which `end_ddl` ends; with `description` set, which
        `accept_description` ends. Raises UnsupportedEvent, BinlogCorrupt, HistoryDiverged; SinkRefused from a lane's
        coalescer; RolledBack where rows that were added do not hold.
        """
        try:
            return self._route(events, at, transactions, size)
        except (LookupError, ValueError, struct.error) as error:  # an event is shorter than what it has to hold
            raise BinlogCorrupt(f"an event after {self._place()} does not hold together: {error!r}") from error

    def _route(self, events: Sequence[Event], at: int, transactions: int, size: int) -> int:
        tracker, maps, opened, ahead = self.tracker, self._maps, self._open, self._ahead
        take = tracker.feed
        count = len(events)
        while at < count:
            event = events[at]
            at += 1
            what = take(event)
            if what == ROWS:
                found = maps.get(tracker.table)  # type: ignore[arg-type]
                if found is None or self._skip:
                    continue
                target, table_map = found
                if target.covered:
                    continue
                intake = target.intake
                if not intake.open:
                    intake.open = True
                    opened.append(intake)
                    if not intake.oldest:
                        intake.begins = tracker.file, tracker.offset
                    if self._xid:
                        intake.prepare(self._xid)
                if target.number != self._number:
                    target.number = self._number
                    target.transactions += 1
                target.rows_events += 1
                intake.add(target.key, table_map, event)
                size -= len(event)
                if size <= 0:
                    return at
            elif what == TABLE_MAP:
                table: TableMap = tracker.table  # type: ignore[assignment]
                known = self._known.get(table, self)
                if known is self:
                    known = self._resolve(table)
                skipping = tracker.skipping
                if known is not None and (skipping is None or not self._is_left_out(table, skipping)):
                    maps[table] = known, event  # type: ignore[assignment]
            elif what == NOTHING:
                continue
            elif what == BEGIN:
                if ahead.groups:
                    ahead.begin()
                if self._undone:
                    self._withhold(tracker.marker)
            elif what == END:
                self._end()
                transactions -= 1
                if transactions <= 0:
                    return at
            elif what == DDL:
                self._ddl()
                if self.ddl is not None:
                    return at
            elif what == DESCRIPTION:
                if tracker.torn:
                    self._tear()
                if event[HEADER:] != self._accepted[HEADER:]:
                    self.description = event
                    return at
            elif what == XA_BEGIN:
                self._xid = tracker.xid
                if ahead.groups:
                    ahead.begin()
                if self._undone:
                    self._withhold(tracker.marker)
            elif what == MARKER:
                self._withhold(tracker.marker)
            elif what == UNDONE:
                self._undo(tracker.undone)
                self._withhold(tracker.marker)
            elif what == ROLLED_BACK:
                self._undo(tracker.undone)
                self._end()
                transactions -= 1
                if transactions <= 0:
                    return at
            else:
                self._xa(what)
                transactions -= 1
                if transactions <= 0:
                    return at
        return at

    def accept_description(self) -> Event:
        self._accepted, self.description = self.description, b""
        return self._accepted

    def end_ddl(self) -> None:
        """The DDL has been decided over."""
        if self._net is not None and self.ddl is not None:
            self._net.forget(self.ddl)
        self.ddl = None
        rows_follow = self.rows_follow
        self.tracker.finish_statement()
        if not rows_follow:
            self._end()
        self._known.clear()
        self._maps.clear()

    @property
    def rows_follow(self) -> bool:
        """Whether the DDL is at the beginning of a transaction that goes on with rows (CREATE TABLE ... SELECT)."""
        return self.tracker.statement is not None and self.tracker.statement.rows_follow

    def overtake(self, key: str, position: Position) -> None:
        """This dispatcher has reached `position`, which the stream has not."""
        self._ahead.add(self._targets[key], position)

    def position_after_ddl(self) -> Position:
        """Where the DDL ends that `route` has returned for."""
        assert self._statement is not None
        statement, before = self._statement, self.tracker.position()
        gtids = before.gtid_set
        if self.by_gtid and statement.gtid:
            whole = gtid_set(self._flavour, gtids)
            whole.add_gtid(statement.gtid)
            gtids = str(whole)
        mark = self.tracker.mark_of(statement)
        place = Position(gtids, statement.file, statement.offset, before.source_id, float(statement.timestamp), mark)
        return self._without_gtids(place)

    # What happens once per transaction or less.

    def _end(self) -> None:
        self._number += 1
        if self._skip:
            self._skip = False
            self.own += 1
        else:
            self.foreign += 1
        for intake in self._open:
            intake.open = False
            intake.end(_PENDING, self.tracker.end_gtid, self.tracker.file)
            if not intake.oldest:
                intake.oldest = max(self.tracker.commit_time, self.commit_floor)
        self._open.clear()
        self._maps.clear()
        if self._withheld:
            self._withheld.clear()
            self._known.clear()
        if self._ahead.groups:
            self._ahead.end()

    def _withhold(self, marker: str) -> None:
        """What comes is to be left out, if that is known."""
        if keys := self._undone.of(marker):
            self._withheld[marker] = keys
            self._known.clear()
            self._maps.clear()

    def _undo(self, marker: str, *, torn: bool = False) -> None:
        """What came since the marker does not hold. Raises RolledBack, unless it was left out."""
        keys = [key for key, target in self._targets.items() if target.number == self._number]
        if not self._undone.knows(marker, keys):
            ended_at = 0.0 if torn else self.tracker.commit_time
            raise RolledBack(marker, keys, ended_at, f"transaction {self.tracker.gtid} after {self._place()}")
        if self._withheld.pop(marker, None):
            self._known.clear()
            self._maps.clear()

    def _tear(self) -> None:
        """The transaction at hand was never ended."""
        self._undo(self.tracker.torn, torn=True)
        self._withheld.clear()
        self._known.clear()
        self._number += 1
        self._skip, self._xid = False, ""
        self._maps.clear()

    def _xa(self, what: int) -> None:
        """An XA transaction has been prepared or decided; the tracker's position is after it."""
        xid = self.tracker.xid
        if what in (XA_PREPARE, XA_ONE_PHASE):
            self._xid = ""
            self._prepared.add(xid, self._number)
            if what == XA_ONE_PHASE:
                self._settle(xid, commit=True)
        else:
            if self._ahead.groups:
                self._ahead.finished()
            self._settle(xid, commit=what == XA_COMMIT)
        self._end()

    def _settle(self, xid: str, *, commit: bool) -> None:
        begins = self.tracker.file, self.tracker.offset
        self._open += self._prepared.settle(xid, self._number, begins, commit=commit)

    def _resolve(self, table: TableMap) -> Target | None:
        """A table that was not met before: its dispatcher here, if there is one."""
        if table.schema == SCHEMA and table.table == "progress":
            if self._open:
                raise UnsupportedEvent(
                    f"a transaction near {self._place()} changes {SCHEMA}.progress after rows of replicated tables: "
                    f"only Hedgerow may write to schema {SCHEMA}, and it writes progress first"
                )
            self._skip = True
            return None  # and not remembered: the next transaction has to come here as well
        name = TableName(table.schema, table.table)
        if self._withheld and any(name.key in keys for keys in self._withheld.values()):
            return None
        target = self._targets.get(name.key)
        skipping = self.tracker.skipping
        if skipping is not None and self._is_left_out(table, skipping):
            return target  # and not remembered
        if target is None and self._net is not None and self._net.suspects(name):
            if self._skip or self._targets[SCHEMA_DISPATCHER].covered:
                return None  # and not remembered
            self._net.catch(name, self.position, self.tracker.gtid if self.by_gtid else "")
        if len(self._known) >= _MOST_KNOWN_TABLES:
            self._known.clear()
        self._known[table] = target
        return target

    @staticmethod
    def _is_left_out(table: TableMap, skipping: frozenset[str]) -> bool:
        return not skipping or TableName(table.schema, table.table).key in skipping

    def _ddl(self) -> None:
        statement = self.tracker.statement
        assert statement is not None
        if self._ahead.groups and not statement.rows_follow:
            self._ahead.begin()
        everyone_has_it = all(target.covered for target in self._targets.values())
        ddl = None if self._skip or everyone_has_it else self._classify(statement)
        if ddl is None:
            self.tracker.finish_statement()
            if not statement.rows_follow:
                self._end()
            return
        if self._open:
            raise UnsupportedEvent(
                f"a statement near {self._place()} comes after rows of the same transaction, which it would commit in "
                f"the sink: {statement.text[:200]}. Apply the transaction in the sink by hand"
            )
        self._statement = statement
        ddl.gtid = statement.gtid if self.by_gtid else ""
        ddl.position.CopyFrom(replace(self.position_after_ddl(), gtid_set="").write())
        self.ddl = ddl

    def _without_gtids(self, position: Position) -> Position:
        return position if self.by_gtid else replace(position, gtid_set="")

    def _place(self) -> str:
        return f"{self.tracker.file}:{self.tracker.offset}"
