"""Executes a DDL statement in the sink exactly once, whoever dies in the middle. Design: "DDL".

    GET_LOCK('hedgerow:<uid>')                     one at a time; the lock dies with the session that executes
    fenced transaction: `started`, record          who executes, and what the sink was like before
    the statement, as the source logged it
    fenced transaction: `done`, progress           the schema dispatcher's position, rows of created and dropped tables

A successor that finds `started` first gets the lock, and so knows that nobody executes; for that it kills the recorded
session, if it is still that one. Then it looks for evidence (dispatcher.sink.ddl.recovery): executed is what only this
statement can have done, never what merely looks different. A statement of which nothing can be known stops the
changefeed (DdlUncertain) until the user has said which: `done`, or `refused`. A statement that the server refused is
`refused`, in a fenced transaction, before anybody hears of it, and begins again: what the user changes meanwhile is
none of its effects. A statement that left a table in an engine without transactions is `executed`, and not `done`
before the user has changed that.

Blocking: call it from a thread. The caller has claimed the schema dispatcher.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import pymysql
import structlog
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from hedgerow.common.binlog.position import Position, advanced, has_reached
from hedgerow.common.ddlscope import exactly_touched, touched
from hedgerow.common.errors import DdlFailed, DdlUncertain, HedgerowError, SinkUnavailable
from hedgerow.common.ledger import ddl as sinkjournal
from hedgerow.common.ledger.ddllock import lock_name, take_lock
from hedgerow.common.ledger.fence import check_fence
from hedgerow.common.ledger.sessions import kill_session, this_session, transaction
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.names import TableName
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.sink.api import NotFlushed
from hedgerow.dispatcher.sink.ddl.engines import without_transactions
from hedgerow.dispatcher.sink.ddl.evidence import Evidence, StartedStatement
from hedgerow.dispatcher.sink.ddl.fills import check_fills
from hedgerow.dispatcher.sink.ddl.kept import KeptSession
from hedgerow.dispatcher.sink.ddl.recovery import BeforeImage, Recovery
from hedgerow.dispatcher.sink.ddl.session import become_executor, drops_in_part, execute_as_logged, open_session
from hedgerow.dispatcher.sink.ddl.storage import by_any_method, rebuild
from hedgerow.dispatcher.sink.kill_switch import KillSwitch
from hedgerow.dispatcher.sink.lockwaits import lock_wait
from hedgerow.dispatcher.sink.refusals import LOCK_WAIT_TIMEOUT, TRY_AGAIN, code, lost, refusal
from hedgerow.dispatcher.sink.token import FencingToken

log = structlog.get_logger()

LOCK_PATIENCE = 30.0  # seconds for the changefeed's lock, more than IDLE_TIMEOUT
_SHOWN = 200  # characters of a statement in an error


def execute_ddl(
    uri: ServerUri,
    flavour: Flavour,
    token: FencingToken,
    generation: int,
    ddl: pb.Ddl,
    position: Position,
    session: Mapping[str, int | float | str],
    *,
    begin: Position | None = None,
    cut: KillSwitch | None = None,
    executed: bool = False,
    raw: bytes | None = None,
    error_code: int = 0,
    flushed: Mapping[str, int] | None = None,
    kept: KeptSession | None = None,
) -> None:
    """Returns when the statement is in the sink and the schema dispatcher's progress row is at `position`, its end.

    `generation` is that of the schema dispatcher, claimed at the token's epoch. `session`: the variables that the
    statement was executed with on the source. `begin`: where the dispatchers that it creates begin, if not at
    `position`; that is before it, where rows follow it in its own transaction. `cut` ends it from another thread, with
    SinkUnavailable: the server may go on with a statement that it has. `executed`: the statement came from the sink, by
    a changefeed in the opposite direction; it is only recorded as done. `raw`: the statement's bytes, in the character
    set that `session` names; `error_code`: that of the query event. `flushed`: the generation of every dispatcher that
    the statement touches, all of which have applied what is before it; None where that is not to be checked. `kept`:
    a session for Hedgerow's own statements, from the statement before and for the next.
    Raises Fenced, SinkUnavailable (call it again), DdlFailed, DdlUncertain, SinkRefused; NotFlushed.
    """
    if not ddl.gtid and not position.file:
        raise ValueError("a DDL statement has a GTID, or a file and an offset")
    execution = _Execution(
        uri,
        flavour,
        token,
        generation,
        ddl,
        position,
        begin or position,
        session,
        cut or KillSwitch(),
        executed,
        flushed,
    )
    if raw is not None:
        execution.raw = raw
    execution.error_code = error_code
    execution.kept = kept
    try:
        execution.run()
    except (pymysql.MySQLError, OSError) as error:
        raise execution.judge(error) from error
    finally:
        execution.close()


@dataclass(frozen=True, slots=True)
class _Begun:
    record: BeforeImage | None  # None: it is executed, and not done
    again: bool = False  # it was begun before, and may have been executed


class _Execution:
    def __init__(
        self,
        uri: ServerUri,
        flavour: Flavour,
        token: FencingToken,
        generation: int,
        ddl: pb.Ddl,
        position: Position,
        begin: Position,
        session: Mapping[str, int | float | str],
        cut: KillSwitch,
        executed: bool,
        flushed: Mapping[str, int] | None,
    ) -> None:
        self._flushed = flushed
        self._is_executed = executed
        self._begins_at = begin
        self._cut = cut
        self._uri, self._flavour, self._ddl, self._position = uri, flavour, ddl, position
        self._uid, self._epoch, self._generation = token.uid, token.epoch, generation
        self._variables = session
        self._key = ddl.gtid or f"{position.file}:{position.offset}"
        self._creates = [TableName.read(name) for name in ddl.creates]
        self._drops = [TableName.read(name) for name in ddl.drops]
        self.affected = {*map(TableName.read, ddl.touches), *self._creates, *self._drops}
        statement = StartedStatement.read(
            ddl.statement,
            ddl.default_schema,
            flavour,
            self.affected,
            self._creates,
            self._drops,
            sql_mode=int(session.get("sql_mode", 0)),
        )
        self._recovery = Recovery(uri, flavour, statement, self.affected)
        self._connections: list[Connection[Cursor]] = []
        self.raw = ddl.statement.encode()
        self.error_code = 0
        self.kept: KeptSession | None = None

    def _connect(self) -> Connection[Cursor]:
        connection = self._open()
        self._connections.append(connection)
        return connection

    def _open(self) -> Connection[Cursor]:
        return open_session(self._uri, self._cut)

    def close(self) -> None:
        """Releases the lock with the executor's session."""
        for connection in self._connections:
            if connection.open:
                connection.close()

    def run(self) -> None:
        self._journal = self.kept.take(self._open) if self.kept is not None else self._open()
        self._connections.append(self._journal)
        self._executor = self._connect()
        with self._executor.cursor() as executor:
            become_executor(executor)
            self._lock(executor)
            begun = self._begin()
            if begun is not None:
                if begun.record is not None:
                    self._execute(executor, begun.record, begun.again)
                self._check_engines()
                self._finish()
        if self.kept is not None:
            self._connections.remove(self._journal)
            self.kept.keep(self._journal)

    def _lock(self, executor: Cursor) -> None:
        deadline = time.monotonic() + LOCK_PATIENCE
        while not take_lock(executor, self._uid, 1):
            if time.monotonic() >= deadline:
                name = lock_name(self._uid)
                raise SinkUnavailable(
                    f"sink {self._uri.address}: another session executes DDL of changefeed {self._uid} and holds "
                    f"GET_LOCK('{name}') for more than {LOCK_PATIENCE:g} s; IS_USED_LOCK('{name}') there names it"
                )
            with transaction(self._journal) as cursor:
                check_fence(cursor, self._uid, self._epoch)
                for recorded in sinkjournal.sessions_of_started(cursor, self._uid, self._epoch):
                    kill_session(cursor, recorded)

    def _begin(self) -> _Begun | None:
        """Write `started`, unless it is executed. None if it is done."""
        with transaction(self._journal) as cursor:
            check_fence(cursor, self._uid, self._epoch)
            reached = self._lock_dispatcher(cursor)
            if self._is_covered(reached):
                return None
            entry = sinkjournal.entry(cursor, self._uid, self._key)
            if entry is None or entry.state not in (sinkjournal.STARTED, sinkjournal.EXECUTED):
                self._check_flushed(cursor)
            if entry is not None and entry.state == sinkjournal.DONE:  # said so by hand
                self._write_done(cursor, reached)
                return None
            if self._is_executed or (entry is not None and entry.state == sinkjournal.EXECUTED):
                return _Begun(None)
            again = entry is not None and entry.state == sinkjournal.STARTED
            if not again:
                check_fills(cursor, self._ddl)
            record = (
                BeforeImage.parse(entry.fingerprint) if entry is not None and again else self._recovery.record(cursor)
            )
            self._write_started(cursor, record)
        return _Begun(record, again)

    def _write_started(self, cursor: Cursor, record: BeforeImage) -> None:
        """With the session that holds the lock, so that a successor can end it."""
        session = this_session(self._executor)
        sinkjournal.write_started(cursor, self._uid, self._key, self._ddl.statement, str(record), self._epoch, session)

    def _check_flushed(self, cursor: Cursor) -> None:
        """The caller has locked the schema dispatcher's row, without which no dispatcher comes or goes. One that was
        flushed stays so: its rows and its position are durable, whoever claims it next."""
        if self._flushed is None:
            return
        known = sinkjournal.generations(cursor, self._uid, exactly_touched(self._ddl))
        found = {key: known[key] for key in touched(self._ddl, known)}
        if found != self._flushed:
            other = sorted(set(found.items()) ^ set(self._flushed.items()))
            raise NotFlushed(
                f"a DDL statement was decided over before all that it touches was known in sink {self._uri.address} "
                f"(dispatcher and generation: {other[:5]}); another decision is awaited: {_start(self._ddl.statement)}"
            )

    def _lock_dispatcher(self, cursor: Cursor) -> Position:
        return sinkjournal.lock_schema_dispatcher(cursor, self._uid, self._epoch, self._generation)

    def _is_covered(self, reached: Position) -> bool:
        return has_reached(
            reached,
            gtid=self._ddl.gtid,
            file=self._position.file,
            offset=self._position.offset,
            source_id=self._position.source_id,
            flavour=self._flavour,
        )

    def _execute(self, executor: Cursor, record: BeforeImage, again: bool) -> None:
        if again:
            if self._was_executed(executor, record):
                return
            record = self._begin_anew()
        try:
            self._send(executor, record)
        except pymysql.MySQLError as error:
            if lost(error):
                raise self._failure(error) from error
            if again and self._drops and not self._creates and self._was_executed(executor, record):  # the rest of it
                return
            failure = self._failure(error)  # first: who is in the way may be asked
            self._write_outcome(sinkjournal.REFUSED)
            raise failure from error

    def _send(self, executor: Cursor, record: BeforeImage) -> None:
        try:
            execute_as_logged(
                executor,
                self._flavour,
                self.raw,
                self._ddl.default_schema,
                self._variables,
                record.mark.thread_id,
                in_part=drops_in_part(self._flavour, self.raw, len(self._ddl.touches), self.error_code),
            )
        except pymysql.MySQLError as error:
            text = self._ddl.statement
            other = by_any_method(code(error), text, self._flavour, int(self._variables.get("sql_mode", 0)))
            if other is None or text.encode() != self.raw:
                raise
            log.info("ddl-executed-by-another-method", statement=_start(text), refused=str(error.args[-1]))
            executor.execute(other.encode())  # type: ignore[call-overload]  # as the session is, PyMySQL sends bytes

    def _was_executed(self, executor: Cursor, record: BeforeImage) -> bool:
        """Raises DdlUncertain."""
        with self._journal.cursor() as cursor:
            finding = self._recovery.judge(
                cursor, record, self._ddl.default_schema, self.raw, self._cut, lambda: _ping(executor)
            )
        if finding.verdict is Evidence.UNKNOWN:
            raise DdlUncertain(
                f"cannot tell whether sink {self._uri.address} has executed a DDL statement of the source before its "
                f"session ended: {_start(self._ddl.statement)}. Seen there: {finding.seen}. Look whether the tables "
                f"are as the statement leaves them. If it was executed: {self._says(sinkjournal.DONE)}; if it was not, "
                f"make them as they were before it, and {self._says(sinkjournal.REFUSED)}, so that it is executed; "
                "either in the sink, and then resume"
            )
        return finding.verdict is Evidence.EXECUTED

    def _begin_anew(self) -> BeforeImage:
        with transaction(self._journal) as cursor:
            check_fence(cursor, self._uid, self._epoch)
            self._lock_dispatcher(cursor)
            self._check_flushed(cursor)
            check_fills(cursor, self._ddl)
            record = self._recovery.record(cursor)
            self._write_started(cursor, record)
        return record

    def _says(self, state: str) -> str:
        return (
            f"UPDATE hedgerow.ddl SET state = '{state}' WHERE changefeed_uid = '{self._uid}' AND ddl_key = "
            f"'{self._key}'"
        )

    def _check_engines(self) -> None:
        names = {name for name in self.affected if name.table}
        if self._ddl.scope == pb.EVERYTHING and self._ddl.default_schema:
            names.add(TableName(self._ddl.default_schema, ""))
        with self._journal.cursor() as cursor:
            found = without_transactions(cursor, names)
        if found:
            self._write_outcome(sinkjournal.EXECUTED)
            tables = ", ".join(f"{name.key} has ENGINE={engine}" for name, engine in found)
            fix = " ".join(f"ALTER TABLE {name.quoted} ENGINE=InnoDB;" for name, _ in found)
            raise DdlFailed(
                f"sink {self._uri.address} has executed a DDL statement of the source, and now {tables}, which has no "
                f"transactions: rows and position could not be committed together. {fix} there, then resume; the "
                f"statement is not executed again: {_start(self._ddl.statement)}"
            )

    def _write_outcome(self, state: str) -> None:
        with transaction(self._journal) as cursor:
            check_fence(cursor, self._uid, self._epoch)
            self._lock_dispatcher(cursor)
            sinkjournal.write_outcome(cursor, self._uid, self._key, state)

    def _finish(self) -> None:
        with transaction(self._journal) as cursor:
            check_fence(cursor, self._uid, self._epoch)
            self._write_done(cursor, self._lock_dispatcher(cursor))

    def _write_done(self, cursor: Cursor, reached: Position) -> None:
        sinkjournal.write_done(
            cursor,
            self._uid,
            self._key,
            self._epoch,
            advanced(reached, self._position, self._flavour),
            self._begins_at,
            creates=[name.key for name in self._creates],
            drops=[name.key for name in self._drops if name.table],
            dropped_schemas=[name.schema for name in self._drops if not name.table],
        )

    def judge(self, error: Exception) -> HedgerowError:
        if isinstance(error, pymysql.MySQLError) and code(error) == LOCK_WAIT_TIMEOUT:
            return lock_wait(self._uri, error, self.affected, self._cut, ddl=_start(self._ddl.statement))
        return refusal(self._uri, self._flavour, error, self.affected)

    def _failure(self, error: pymysql.MySQLError) -> HedgerowError:
        known = self.judge(error)
        if known.retriable or code(error) in TRY_AGAIN:
            return known
        statements = rebuild(code(error), str(error.args[-1]), self.affected)
        way = f"Execute there: {statements}" if statements else "Change there what it says,"
        return DdlFailed(
            f"sink {self._uri.address} refuses a DDL statement of the source ({code(error)}: {error.args[-1]}): "
            f"{_start(self._ddl.statement)}. {way} then resume: the statement is executed again. "
            f"If you execute it there yourself, then also {self._says(sinkjournal.DONE)} there before you resume"
        )


def _ping(executor: Cursor) -> None:
    executor.execute("DO 0")


def _start(statement: str) -> str:
    flat = " ".join(statement.split())
    return flat if len(flat) <= _SHOWN else f"{flat[:_SHOWN]}..."
