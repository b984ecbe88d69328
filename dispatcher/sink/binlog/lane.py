"""A lane: one thread, one sink connection, the events of some dispatchers in order.

The stream's thread submits batches, the lane's thread applies them. There is one slot between them: while the server
executes one batch the stream collects the next, and blocks when that waits too (back-pressure down to the
source's socket). A small batch for a lane that waits is sent by the stream's thread at once, so that the server works
while the lane's thread wakes up.

Batches are applied in the order of submit(); each final one is one sink transaction, or is not applied at all. The lane
tries a batch again only where nothing of it can have been committed (deadlock, lock wait). Anything else ends the lane
with an `error`: whoever owns it makes a new one and claims again, and the progress rows tell where each dispatcher is,
also when it is unknown whether a COMMIT arrived.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pymysql
import structlog

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import Fenced, HedgerowError, SinkRefused
from hedgerow.common.ledger.progress import claim_dispatchers
from hedgerow.common.mysql.connect import Flavour, set_timeouts
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.dispatcher.sink.api import Applied, Batch, Incarnation, LaneStopped, Marker, Rows
from hedgerow.dispatcher.sink.binlog import diagnosis
from hedgerow.dispatcher.sink.binlog.apply import Transaction
from hedgerow.dispatcher.sink.binlog.coalesce import Coalescer
from hedgerow.dispatcher.sink.binlog.session import PING_INTERVAL, SinkSession
from hedgerow.dispatcher.sink.columns.watch import WatchedTables
from hedgerow.dispatcher.sink.inquiry import SessionInquiry
from hedgerow.dispatcher.sink.kill_switch import KillSwitch
from hedgerow.dispatcher.sink.lockwaits import lock_wait
from hedgerow.dispatcher.sink.refusals import LOCK_WAIT_TIMEOUT, TRY_AGAIN, Refused, code, may_find, refusal
from hedgerow.dispatcher.sink.token import CurrentToken

log = structlog.get_logger()

ATTEMPTS = 10  # of a batch that meets locks
LOCK_WAITS = 2  # the same, of LOCK_WAIT seconds each; then the lane's owner tells about it, and tries again
CLAIM_SECONDS = 15.0  # that a statement of a claim may take; it waits for locks for a second at a time
COUNT_SECONDS = 1.0  # between two questions how many rows were written
STOP_SECONDS = 0.5  # that an idle lane has to end in order
AT_ONCE = 4 << 10  # bytes of events that an idle connection's buffers take without waiting


@dataclass(slots=True)
class _Claim:
    generations: Mapping[str, int]
    positions: dict[str, Position] | None = None


@dataclass(frozen=True, slots=True)
class _Work:
    """`sent`: the transaction that has sent the beginning of the batch already."""

    batch: Batch
    sent: Transaction | None


class Lane:
    """Every method may be called from any thread but the lane's own."""

    def __init__(
        self,
        uri: ServerUri,
        flavour: Flavour,
        token: CurrentToken,
        number: int,
        wake: Callable[[], None] = lambda: None,
        tables: WatchedTables | None = None,
    ) -> None:
        """`wake` is called, from the lane's thread, after each piece of work and when the lane fails. It must not
        block. `tables`: what rows are judged by."""
        self._uri, self._flavour, self._token, self._wake = uri, flavour, token, wake
        self._tables = tables
        self._condition = threading.Condition()
        self._slot: deque[_Work | _Claim] = deque()
        self._busy = False
        self._stopping = False
        self._error: HedgerowError | None = None
        self._applied = Applied()
        self._cut = KillSwitch()
        self._session: SinkSession | None = None
        self._transaction: Transaction | None = None
        self._recorded: dict[str, Incarnation] = {}
        self._not_rows = 0  # what the server counts that is no row of a table: claims and progress
        self._counted_at = 0.0  # on time.monotonic()
        self._uncounted = False
        self._thread = threading.Thread(target=self._run, name=f"lane-{number}", daemon=True)
        self._thread.start()

    # For the stream.

    def claim(self, generations: Mapping[str, int]) -> dict[str, Position]:
        """Take charge of dispatchers, at the token's epoch, and learn where each begins. Connects where needed.

        Raises Fenced, SinkUnavailable, SinkRefused (the lane has ended then), LaneStopped.
        """
        claim = _Claim(generations)
        with self._condition:
            self._await_slot()
            self._put(claim)
            self._condition.wait_for(lambda: claim.positions is not None or not self._alive)
            if claim.positions is None:
                self._raise()
                raise LaneStopped
            return claim.positions

    def collector(self) -> Coalescer:
        limit, tables = self.max_allowed_packet, self._tables
        if tables is None:
            return Coalescer(limit)
        return Coalescer(limit, tables.tied & self._recorded.keys(), tables.check, tables.check_rows)

    def submit(self, batch: Batch) -> None:
        """Hand over a batch; blocks while the one before it waits. Raises the lane's error, LaneStopped."""
        with self._condition:
            self._await_slot()
            self._put(_Work(batch, self._send(batch)))

    def drain(self, timeout: float) -> bool:
        """Wait until all that was submitted is durable; False after `timeout` seconds. Raises as submit() does."""
        with self._condition:
            self._condition.wait_for(lambda: self.idle or not self._alive, timeout)
            self._raise()
            return self.idle

    @property
    def idle(self) -> bool:
        """Nothing is waiting or being applied."""
        return not self._slot and not self._busy

    @property
    def applied(self) -> Applied:
        return self._applied

    @property
    def error(self) -> HedgerowError | None:
        """Why the lane has ended, None while it has not."""
        return self._error

    @property
    def max_allowed_packet(self) -> int:
        """Of the sink, in bytes; known after the first claim."""
        if self._session is None:
            raise ValueError("claim first: the lane has not met its sink")
        return self._session.max_allowed_packet

    def cancel(self) -> None:
        """End now, without waiting for anything: when this returns nothing more is sent to the sink, and what it has
        not committed it rolls back. The thread ends by itself; stop() awaits it."""
        self._stopping = True  # first: the thread that finds its connection cut knows then why
        self._cut.cut()
        with self._condition:
            self._condition.notify_all()

    def give_up(self, error: HedgerowError) -> None:
        """End now with `error`, which its thread cannot find: it waits for an answer that does not come."""
        with self._condition:
            if self._alive:
                self._error = error
        self._cut.cut()

    @property
    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def inquire(self, done: Callable[[], None]) -> SessionInquiry | None:
        """What the sink says of the lane's session; None before there is one."""
        session = self._session
        if session is None:
            return None
        return SessionInquiry(self._uri, self._flavour, session.record, session.server, self._cut, done)

    def stop(self) -> None:
        """End, wait for the thread, close the connection. What is at work is cancelled."""
        with self._condition:
            self._stopping = True
            idle = self.idle and self._transaction is None
            self._condition.notify_all()
        if idle:
            self._thread.join(STOP_SECONDS)
        self.cancel()
        self._thread.join()

    @property
    def _alive(self) -> bool:
        return self._error is None and not self._stopping

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
        if self._stopping:
            raise LaneStopped

    def _await_slot(self) -> None:
        self._condition.wait_for(lambda: not self._slot or not self._alive)
        self._raise()

    def _put(self, work: _Work | _Claim) -> None:
        self._slot.append(work)
        self._condition.notify_all()

    def _send(self, batch: Batch) -> Transaction | None:
        """The lane's thread has no work, so it does not use the session. A lost connection is for it to find."""
        session = self._session
        if not self.idle or self._transaction is not None or session is None:
            return None
        if batch.bytes > AT_ONCE or not batch.writes or not _is_plain(batch):
            return None
        if not session.knows(batch.format_description):
            return None
        transaction = Transaction(session, self._token(), self._recorded)
        try:
            transaction.send(batch)
        except pymysql.MySQLError:
            return None
        return transaction

    # The lane's thread.

    def _run(self) -> None:
        try:
            while (work := self._next()) is not None:
                if isinstance(work, _Claim):
                    self._claim(work)
                else:
                    self._apply(work.batch, work.sent)
                with self._condition:
                    self._busy = False
                    self._condition.notify_all()
                self._wake()
            if self._session is not None and self._can_count and not self._slot:  # what waits there may be sent already
                with contextlib.suppress(pymysql.MySQLError, OSError):  # it may have been cut
                    self._count(self._session)
        except Exception as error:  # nobody else would tell those who wait
            self._fail(error)
        finally:
            if self._session is not None:
                self._session.close()

    def _next(self) -> _Work | _Claim | None:
        """The next piece of work; None when the lane is to stop. Keeps the session alive meanwhile."""
        while True:
            with self._condition:
                pause = COUNT_SECONDS if self._can_count else PING_INTERVAL
                self._condition.wait_for(lambda: self._slot or self._stopping, pause)
                if self._stopping:
                    return None
                self._busy = True
                if self._slot:
                    work = self._slot.popleft()
                    self._condition.notify_all()
                    return work
            if self._session is not None:
                self._keep_alive(self._session)
            with self._condition:
                self._busy = False
                self._condition.notify_all()

    def _keep_alive(self, session: SinkSession) -> None:
        if self._can_count:
            self._count(session)
        else:
            session.ping()

    @property
    def _can_count(self) -> bool:
        """What an open transaction has written in progress is known to be no row only when it commits."""
        return self._uncounted and self._transaction is None

    def _count(self, session: SinkSession) -> None:
        self._counted_at, self._uncounted = time.monotonic(), False
        rows = session.rows_written() - self._not_rows
        self._applied = replace(self._applied, rows=max(rows, self._applied.rows))

    def _claim(self, claim: _Claim) -> None:
        token, session = self._token(), self._session
        if session is None:
            session = self._session = SinkSession(self._uri, self._flavour, self._cut)
        set_timeouts(session.connection, CLAIM_SECONDS)
        positions = claim_dispatchers(session.connection, token.uid, token.epoch, claim.generations)
        set_timeouts(session.connection, None)
        self._recorded.update({key: (token.epoch, generation) for key, generation in claim.generations.items()})
        self._not_rows = session.rows_written() - self._applied.rows
        with self._condition:
            self._applied = replace(self._applied, positions={**self._applied.positions, **positions})
            claim.positions = positions

    def _apply(self, batch: Batch, sent: Transaction | None) -> None:
        session = self._session
        if session is None:
            raise ValueError("a batch before the first claim")
        if batch.final and self._transaction is None and not batch.writes:
            self._pass(batch.marker)
            return
        for attempt in range(1, ATTEMPTS + 1):
            transaction = sent or self._transaction
            try:
                if transaction is None:
                    session.describe(batch.format_description)
                    transaction = Transaction(session, self._token(), self._recorded)
                if sent is None:
                    transaction.send(batch)
                sent = None
                transaction.finish(batch)
            except pymysql.MySQLError as error:
                begun = transaction is not None and transaction.begun
                attempts = LOCK_WAITS if code(error) == LOCK_WAIT_TIMEOUT else ATTEMPTS
                if code(error) not in TRY_AGAIN or begun or attempt >= attempts:
                    found = None if begun or not may_find(error) else diagnosis.find(session, batch, code(error))
                    raise self._refusal(error, batch, found) from error
                log.info("sink transaction met a lock, tried again", error=str(error), attempt=attempt)
                session.rollback()
                self._applied = replace(self._applied, retries=self._applied.retries + 1)
                time.sleep(0.01 * attempt)
            except Fenced:
                if transaction is not None and self._is_overtaken(transaction) and attempt < ATTEMPTS:
                    session.rollback()
                    self._applied = replace(self._applied, retries=self._applied.retries + 1)
                    continue
                self._applied = replace(self._applied, refused=self._applied.refused + max(1, batch.transactions))
                with contextlib.suppress(pymysql.MySQLError, OSError):
                    session.rollback()
                raise
            else:
                self._transaction = None if batch.final else transaction
                if batch.final:
                    self._commit(transaction, batch)
                    if time.monotonic() - self._counted_at >= COUNT_SECONDS:
                        self._count(session)
                return

    def _pass(self, marker: Marker | None) -> None:
        """Everything before it is durable."""
        with self._condition:
            self._applied = replace(self._applied, marker=marker or self._applied.marker)

    def _is_overtaken(self, transaction: Transaction) -> bool:
        """Whether a takeover has replaced the token since the transaction began, so that it was not this node that was
        fenced. Nothing of it is committed: it can begin again, and is judged at the new epoch."""
        return not transaction.begun and self._token().epoch > transaction.epoch

    def _commit(self, transaction: Transaction, batch: Batch) -> None:
        try:
            durable = transaction.commit()
        except pymysql.MySQLError as error:
            raise self._refusal(error, batch) from error
        self._not_rows += transaction.progress_updates
        self._uncounted = True
        for key in durable:
            self._recorded[key] = (transaction.epoch, self._recorded[key][1])
        done = self._applied
        with self._condition:
            self._applied = replace(
                done,
                batches=done.batches + 1,
                transactions=done.transactions + batch.transactions,
                rows_events=done.rows_events + batch.rows_events,
                bytes=done.bytes + batch.bytes,
                positions={**done.positions, **durable},
                marker=transaction.marker or done.marker,
            )

    def _refusal(self, error: Exception, batch: Batch, found: Refused | None = None) -> HedgerowError:
        if isinstance(error, pymysql.MySQLError) and code(error) == LOCK_WAIT_TIMEOUT:
            return lock_wait(self._uri, error, batch.tables, self._cut)
        return refusal(self._uri, self._flavour, error, batch.tables, found)

    def _fail(self, error: Exception) -> None:
        with self._condition:
            if self._alive:
                self._error = self._known(error)
                log.warning("lane ended", error=str(self._error), code=self._error.code)
            self._condition.notify_all()
        self._wake()

    def _known(self, error: Exception) -> HedgerowError:
        if isinstance(error, HedgerowError):
            return error
        if isinstance(error, (pymysql.MySQLError, OSError)):
            known = refusal(self._uri, self._flavour, error)
        else:
            log.exception("lane met a defect")
            known = SinkRefused(f"a defect of Hedgerow while it wrote to sink {self._uri.address}: {error!r}")
        known.__cause__ = error
        return known


def _is_plain(batch: Batch) -> bool:
    """Without XA transactions."""
    return all(isinstance(item, Rows | Marker) for item in batch.items)
