"""A sink with sessions, transactions and row locks, and the rules of common/ledger/progress.py on it.

The statements are SQL there, so what each one does is restated here, in the same order, under the same name; the
verdict on the fence row is the real `judge_fence`. A session lives until somebody kills it or the server drops it, also
when its client is frozen or dead: that is what holds locks.

The sink is also the judge: it knows every source transaction that was applied, for which changefeed, and what has been
promised about epochs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import Fenced, SinkUnavailable
from hedgerow.common.ledger.fence import judge_fence
from hedgerow.common.ledger.progress import ProgressRow
from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.common.ledger.sessions import SessionRecord
from tests.model.defects import Defect
from tests.model.source import Source

NO_SESSION = SessionRecord(0, "")


class Locked(Exception):
    """Another transaction holds a lock; the caller would wait."""


@dataclass(slots=True)
class Transaction:
    """Open: it shares the fence row and holds the progress rows of its dispatchers."""

    uid: str
    epoch: int
    keys: tuple[str, ...]
    position: Position


@dataclass(eq=False, slots=True)
class Session:
    record: SessionRecord
    alive: bool = True
    transaction: Transaction | None = None


@dataclass(slots=True)
class Judge:
    """What nobody in the cluster knows: all that was ever committed, and the epochs that may not commit any more."""

    source: Source
    starts: dict[str, int] = field(default_factory=dict)  # uid: the offset it begins at
    applied: dict[tuple[str, str], int] = field(default_factory=dict)  # the offset of the last one
    promised: dict[str, int] = field(default_factory=dict)  # below it nothing commits
    refused: int = 0

    def promise(self, uid: str, least_epoch: int) -> None:
        self.promised[uid] = max(least_epoch, self.promised.get(uid, 0))

    def check(self, uid: str, epoch: int, key: str, after: int, until: int) -> None:
        """Invariants 5 and 6: a writer of `epoch` applies what `key` has after `after`, up to `until`."""
        assert epoch >= self.promised[uid], f"{uid}: a commit at epoch {epoch}, below {self.promised[uid]}"
        for transaction in self.source.transactions(key, after, until):
            last = self.applied.get((uid, key), self.starts[uid])
            wanted = self.source.following(key, last)
            assert transaction == wanted, f"{uid} {key}: transaction {transaction} applied, {wanted} is the next"
            self.applied[uid, key] = transaction


class Sink:
    def __init__(self, source: Source, defect: Defect | None) -> None:
        self.judge = Judge(source)
        self.fences: dict[str, tuple[int, str]] = {}
        self.progress: dict[str, dict[str, ProgressRow]] = {}
        self.sessions: dict[int, Session] = {}
        self._defect = defect
        self._latest = 0

    @property
    def commits_rows_alone(self) -> bool:
        return self._defect is Defect.PROGRESS_APART

    # Sessions.

    def connect(self) -> Session:
        self._latest += 1
        session = Session(SessionRecord(self._latest, f"client:{self._latest}"))
        self.sessions[self._latest] = session
        return session

    def drop(self, session: Session) -> None:
        """Ends it; what it had not committed is rolled back."""
        session.alive, session.transaction = False, None
        self.sessions.pop(session.record.id, None)

    def _kill(self, records: Iterable[SessionRecord]) -> None:
        for record in records:
            session = self.sessions.get(record.id)
            if session is not None and session.record == record:
                self.drop(session)

    def _open(self, uid: str) -> list[Transaction]:
        found = (session.transaction for session in self.sessions.values())
        return [transaction for transaction in found if transaction is not None and transaction.uid == uid]

    def _lock(self, uid: str, blockers: Iterable[SessionRecord], keys: Iterable[str] | None) -> None:
        """As `_patiently`: waits for the fence row (`keys` None) or for progress rows, kills the blockers, waits again.
        Raises SinkUnavailable."""

        def is_free() -> bool:
            wanted = None if keys is None else frozenset(keys)
            return not any(wanted is None or wanted & set(open_.keys) for open_ in self._open(uid))

        if not is_free():
            self._kill(blockers)
            if not is_free():
                raise SinkUnavailable("a lock in the sink was not released")

    # The functions of common/ledger/progress.py.

    def raise_fence(self, uid: str, epoch: int, owner: str, *, closes: bool = False) -> None:
        rows = self.progress.get(uid, {}).values()
        self._lock(uid, [row.session for row in rows if row.epoch < epoch], None)
        found = self.fences.get(uid)
        if self._defect is Defect.NO_FENCE:
            self.fences.setdefault(uid, (1, owner))
        elif found is None or found[0] < epoch:
            self.fences[uid] = (epoch, owner)
        elif found != (epoch, owner):
            raise Fenced(f"the fence is at {found}, which is not below {(epoch, owner)}")
        self.judge.promise(uid, epoch + 1 if closes else epoch)

    def forget(self, uid: str, epoch: int, owner: str) -> None:
        rows = self.progress.get(uid, {}).values()
        self._lock(uid, [row.session for row in rows], None)
        self.raise_fence(uid, epoch, owner, closes=True)
        self.progress.pop(uid, None)

    def check_fence(self, uid: str, epoch: int) -> None:
        judge_fence(uid, epoch, [self.fences[uid]] if uid in self.fences else [])

    def list_progress(self, uid: str) -> list[ProgressRow]:
        rows = self.progress.get(uid, {})
        return [rows[key] for key in sorted(rows)]

    def insert_progress(self, uid: str, epoch: int, keys: Sequence[str], position: Position) -> None:
        self.check_fence(uid, epoch)
        rows = self.progress.setdefault(uid, {})
        for key in keys:
            rows.setdefault(key, ProgressRow(key, epoch, 0, position, NO_SESSION))

    def claim(self, session: Session, uid: str, epoch: int, generations: Mapping[str, int]) -> dict[str, Position]:
        rows = self.progress.get(uid, {})
        self._check_alive(session)
        self._lock(
            uid,
            [
                row.session
                for key, row in rows.items()
                if key in generations and (row.epoch, row.generation) <= (epoch, generations[key])
            ],
            generations,
        )
        self.check_fence(uid, epoch)
        for key, generation in generations.items():
            if key not in rows or (rows[key].epoch, rows[key].generation) > (epoch, generation):
                raise Fenced(f"dispatcher {key} of {uid} is claimed above, or gone")
        for key, generation in generations.items():
            rows[key] = replace(rows[key], epoch=epoch, generation=generation, session=session.record)
        return {key: rows[key].position for key in generations}

    # The sink transaction of dispatcher/sink/binlog/apply.py.

    def begin(
        self, session: Session, uid: str, epoch: int, recorded: Mapping[str, tuple[int, int]], position: Position
    ) -> None:
        """BEGIN, the fence row shared, the progress rows, the rows of all transactions up to `position`.

        Raises Fenced, Locked, SinkUnavailable."""
        self._check_alive(session)
        try:
            self.check_fence(uid, epoch)
        except Fenced:
            self.judge.refused += 1
            raise
        if any(set(recorded) & set(open_.keys) for open_ in self._open(uid)):
            raise Locked
        rows = self.progress.get(uid, {})
        for key, incarnation in recorded.items():
            row = rows.get(key)
            if row is None or (row.epoch, row.generation) != incarnation or not self._is_session(row, session):
                self.judge.refused += 1
                raise Fenced(f"the progress row of {key} does not carry {incarnation} any more")
        session.transaction = Transaction(uid, epoch, tuple(recorded), position)

    def commit(self, session: Session, since: Mapping[str, int]) -> None:
        """`since`: where the writer believes each dispatcher to be. Raises SinkUnavailable."""
        self._check_alive(session)
        transaction, session.transaction = session.transaction, None
        assert transaction is not None
        for key in transaction.keys:
            if key != SCHEMA_DISPATCHER:
                self.judge.check(transaction.uid, transaction.epoch, key, since[key], transaction.position.offset)
        if not self.commits_rows_alone:
            self.move(transaction)

    def move(self, transaction: Transaction) -> None:
        rows = self.progress.get(transaction.uid, {})
        for key in transaction.keys:
            if key in rows:
                rows[key] = replace(rows[key], epoch=transaction.epoch, position=transaction.position)

    def _is_session(self, row: ProgressRow, session: Session) -> bool:
        return self._defect is Defect.SESSION_NOT_CHECKED or row.session.id == session.record.id

    def _check_alive(self, session: Session) -> None:
        if not session.alive:
            raise SinkUnavailable("the session is gone")
