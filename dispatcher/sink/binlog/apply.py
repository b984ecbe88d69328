"""The sink transaction of a lane: fence, progress, rows, commit.

    SELECT fence ... LOCK IN SHARE MODE; UPDATE progress ...    one packet, which begins the transaction
    BINLOG ...                                                  the first is sent at once, others after the answers
    COMMIT                                                      after all answers were read and checked

Progress is updated before the rows: the binlog of the sink shows from the first event that the transaction is ours. A
fenced writer learns that it is one when the server has tried its first rows; they are rolled back. A source transaction
in several parts keeps the sink transaction open from its first part to its final one.

COMMIT is a packet of its own: a server that finds a transaction in a dead connection's buffers can only roll it back.
BINLOG is one too, because in a packet of several statements both servers answer it twice (tried).

Rows of an XA transaction that is only prepared are stored instead of applied; see dispatcher.sink.binlog.xa.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import Fenced
from hedgerow.common.ledger.fence import fence_query, judge_fence
from hedgerow.common.ledger.progress import chunks, progress_update
from hedgerow.dispatcher.sink.api import Batch, Decided, Incarnation, Item, Marker, Prepared, Rows
from hedgerow.dispatcher.sink.binlog import xa
from hedgerow.dispatcher.sink.binlog.session import SinkSession
from hedgerow.dispatcher.sink.binlog.wire import Result
from hedgerow.dispatcher.sink.token import FencingToken


class Transaction:
    """One at a time per session. After any exception the session is to be rolled back or closed."""

    def __init__(self, session: SinkSession, token: FencingToken, recorded: Mapping[str, Incarnation]) -> None:
        """`recorded`: the incarnations in the progress rows, as of the last commit."""
        self._session = session
        self._uid, self._epoch = token.uid, token.epoch
        self._recorded = recorded
        self._locked: set[str] = set()
        self._progress: dict[str, Position] = {}
        self._begun = False
        self._marker: Marker | None = None
        self.progress_updates = 0  # rows of hedgerow.progress that were changed, some of them twice

    @property
    def begun(self) -> bool:
        """Whether an earlier part is in the open sink transaction, which a replay would lose."""
        return self._begun

    def send(self, batch: Batch) -> None:
        """Send the guard of a batch, and its first rows after it. Raises as `finish`."""
        self._progress.update(batch.progress)
        if batch.final and not self._begun:
            checks = list(self._updates(self._progress))
        else:
            new = (batch.touched | batch.progress.keys()) - self._locked
            checks = list(self._updates(dict.fromkeys(new)))
            self._locked |= new
            stamped = {key: (self._epoch, self._recorded[key][1]) for key in new}
            self._recorded = {**self._recorded, **stamped}
        head = [] if self._begun else [fence_query(self._session.connection, self._uid)]
        self._guard(head, checks)
        self._marker = batch.marker or self._marker
        if batch.items:
            self._apply(batch.items[0], batch.format_description)

    def finish(self, batch: Batch) -> None:
        """Send what is left of a batch that was sent, and check every answer. Raises Fenced, pymysql.MySQLError,
        OSError."""
        for item in batch.items[1:]:
            self._session.settle()
            self._apply(item, batch.format_description)
        if batch.final and self._begun:
            self._guard([], list(self._updates(self._progress)))
        self._session.settle()
        self._begun = True

    def commit(self) -> dict[str, Position]:
        """Returns what became durable. An exception leaves it open whether it did: only the progress row can tell."""
        self._session.execute("COMMIT")
        return self._progress

    @property
    def epoch(self) -> int:
        """What the progress rows carry after the commit."""
        return self._epoch

    @property
    def marker(self) -> Marker | None:
        """What the commit answers."""
        return self._marker

    def _apply(self, item: Item, format_description: bytes) -> None:
        if isinstance(item, Rows):
            self._session.post_events(item.events)
        elif isinstance(item, Prepared):
            xa.store(self._session, self._uid, item, format_description)
        elif isinstance(item, Decided):
            xa.decide(self._session, self._uid, item, format_description)

    def _updates(self, positions: Mapping[str, Position | None]) -> Iterator[tuple[str, int]]:
        """Statements and the number of rows that each must match."""
        groups: dict[tuple[Incarnation, Position | None], list[str]] = {}
        for key, position in positions.items():
            groups.setdefault((self._recorded[key], position), []).append(key)
        for (recorded, position), keys in groups.items():
            for chunk in chunks(sorted(keys)):
                statement = progress_update(
                    self._session.connection,
                    self._uid,
                    chunk,
                    recorded=recorded,
                    epoch=self._epoch,
                    session_id=self._session.record.id,
                    position=position,
                )
                yield statement, len(chunk)

    def _guard(self, head: list[str], checks: list[tuple[str, int]]) -> None:
        """Sends them; the rows that follow need not wait for the answer, the commit does."""
        packet = ";".join([*head, *(statement for statement, _ in checks)])
        if packet:
            self._session.post(packet, partial(self._judge, bool(head), [wanted for _, wanted in checks]))

    def _judge(self, with_fence: bool, wanted: list[int], results: list[Result]) -> None:
        if with_fence:
            fence, *results = results
            judge_fence(self._uid, self._epoch, fence.rows)
        self.progress_updates += sum(result.changed for result in results)
        for rows, result in zip(wanted, results, strict=True):
            if result.matched != rows:
                raise Fenced(
                    f"changefeed {self._uid}: {rows - result.matched} of {rows} progress rows no longer carry the "
                    f"incarnation of this writer (epoch {self._epoch}): another has claimed them; its transaction was "
                    "rolled back"
                )
