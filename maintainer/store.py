"""What a maintainer asks of the sink and, once, of the source. Every call runs its blocking SQL in a thread.

The sink is the truth about what is replicated: the progress rows are the list of dispatchers. They come from:

- the first maintainer: the schema dispatcher, and all tables that match the filter and that the source has now or had
  at the start position, as far as the sink tells, which was loaded as of then: a table may have been renamed or dropped
  since. All at the start position, all or none. Once the coordinator knows that the changefeed has `begun`, a sink
  without rows has lost them: to begin again would apply everything a second time, so it is refused;
- DDL, in the transaction that finishes it (dispatchers do that);
- an updated filter, in the transaction in which the next maintainer raises the fence: rows of tables that no longer
  match are deleted; a table of the sink that matches, that a former filter did not match, and that has no row begins at
  the schema dispatcher's position. (A table that the sink does not have yet is not new to the filter: its CREATE TABLE
  is still to come, with its row.) One that both servers have and every filter has matched has lost its row:
  SinkRefused;
- a dispatcher's stream that meets rows of a table without one (dispatcher.stream.net): it begins before them, and the
  changefeed stops.

A call that is cancelled leaves its thread to end by itself, bounded by the time-outs below; whatever it still writes is
fenced. Errors: SinkUnavailable and SourceUnavailable, Fenced, SinkRefused where the server refuses a statement.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, cast

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from hedgerow.common.binlog.position import Position
from hedgerow.common.binlog.skips import Skip
from hedgerow.common.epoch import Stamp
from hedgerow.common.errors import Fenced, SinkRefused, SourceUnavailable
from hedgerow.common.ledger.ddl import STARTED, unfinished
from hedgerow.common.ledger.ddllock import end_ddl
from hedgerow.common.ledger.fence import check_fence, check_not_above
from hedgerow.common.ledger.ownership import raise_fence, remove_changefeed
from hedgerow.common.ledger.progress import (
    ProgressRow,
    add_progress,
    delete_progress,
    dispatchers_of_others,
    insert_progress,
    list_progress,
)
from hedgerow.common.ledger.schema import SCHEMA, SCHEMA_DISPATCHER, ensure_schema
from hedgerow.common.ledger.sessions import SessionRecord, kill_session, transaction
from hedgerow.common.metrics import rejected
from hedgerow.common.mysql.catalog import foreign_key_edges, schema_names, user_tables
from hedgerow.common.mysql.connect import Flavour, What, connect, unavailable
from hedgerow.common.mysql.error_codes import NOT_GRANTED
from hedgerow.common.mysql.filter import TableFilter
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.common.pb.v1 import model_pb2 as pb

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0  # above PATIENCE, so that its clearer error comes first

T = TypeVar("T")
Incarnation: TypeAlias = tuple[str, int]  # a dispatcher and its generation


@dataclass(frozen=True, slots=True)
class SinkView:
    """One reading of the sink: the dispatchers, and (child, parent) of its foreign keys, as dispatcher keys."""

    rows: tuple[ProgressRow, ...]
    edges: tuple[tuple[str, str], ...]


class SinkStore:
    """One changefeed's sink, for one owner."""

    def __init__(self, spec: pb.ChangefeedSpec, stamp: Stamp, *, begun: bool = False) -> None:
        """`begun`: a former owner has inserted the progress rows. Raises BadInput when a URI or the filter cannot be
        read."""
        self._name = spec.name
        self._begun = begun
        self._uid = stamp.uid
        self._epoch = stamp.epoch
        self._owner = stamp.node
        self._source = ServerUri.parse(spec.source)
        self._sink = ServerUri.parse(spec.sink)
        self._filter = TableFilter.parse(spec.filter)
        self._formers = [TableFilter.parse(former.rules) for former in spec.former_filters]
        self._start = Position.read(spec.start_position)
        self._skips = [Skip.read(skip) for skip in spec.skips]
        self.flavour = cast(Flavour, spec.flavour)

    async def take_over(self, served: Collection[Incarnation] = ()) -> SinkView:
        """Raises the fence to this owner's epoch; from then on no older writer commits. The progress rows then agree
        with the filter; the first time they come from the tables. Raises SinkRefused where the sink has lost them.

        Sessions recorded for an incarnation that is not `served` by a node that answered are ended first: a frozen
        node's transaction would hold the fence row, and with it everybody who needs it, until a lock times out. An
        owner that is below the fence ends nobody: Fenced.
        """
        return await asyncio.to_thread(self._take_over, frozenset(served))

    async def end_sessions(self, lost: Collection[Incarnation]) -> None:
        """Ends the sessions of incarnations whose node is out of reach, so that their successors need not wait for the
        locks of a frozen one. They are fenced anyway. Raises Fenced, and ends nobody, where this owner is."""
        await asyncio.to_thread(self._end_sessions, frozenset(lost))

    async def read(self) -> SinkView:
        """Raises Fenced where this owner's epoch is no longer the sink's."""
        return await asyncio.to_thread(self._read)

    async def check_rows(self) -> None:
        """Raises SinkRefused where a table that is not new to the filter has lost its row. Needs the source."""
        await asyncio.to_thread(self._check_rows)

    async def close(self, *, forget: bool) -> tuple[ProgressRow, ...]:
        """Raises the fence for the last time, and with `forget` deletes the progress. Returns the final progress."""
        return await asyncio.to_thread(self._close, forget)

    async def end_ddl(self) -> str:
        """Ends what executes DDL in the sink for an owner up to this one; what still runs there, or nothing."""
        return await asyncio.to_thread(self._end_ddl)

    def _take_over(self, served: frozenset[Incarnation]) -> SinkView:
        with self._connected() as sink:
            ensure_schema(sink)
            check_not_above(sink, self._uid, self._epoch, self._owner)
            self._end_rows_sessions(sink, lambda incarnation: incarnation not in served)
            new = [key for key in self._named(sink) if self._may_be_new(key)] if self._formers else []

            def agree(cursor: Cursor) -> None:
                self._agree(cursor, new)

            raise_fence(sink, self._uid, self._epoch, self._owner, also=agree)
            rows = list_progress(sink, self._uid)
            if not rows and self._begun:
                raise SinkRefused(
                    f"schema {SCHEMA} of sink {self._sink.address} has no progress rows of changefeed "
                    f"{self._name} (uid {self._uid}), which has replicated before: they were deleted, or this is "
                    "another server or a restored copy without them. Nothing was applied. Fix: restore schema "
                    f"{SCHEMA} as it was together with the tables, and resume; or remove the changefeed and "
                    "create it again with --start at the position that the sink's tables are at"
                )
            if not rows:
                keys = [*self._first_tables(sink), SCHEMA_DISPATCHER]
                insert_progress(sink, self._uid, self._epoch, keys, self._start)
            return self._view(sink)

    def _agree(self, cursor: Cursor, new: list[str]) -> None:
        """With the filter; `new`: tables of the sink that former filters did not match."""
        rows = {row.dispatcher: row for row in list_progress(cursor.connection, self._uid)}
        leaving = [key for key in rows if not _matches(self._filter, key)]
        delete_progress(cursor, self._uid, leaving)
        if SCHEMA_DISPATCHER in rows:
            position = rows[SCHEMA_DISPATCHER].position
            joining = [key for key in new if key not in rows]
            add_progress(cursor, self._uid, self._epoch, joining, position)

    def _first_tables(self, sink: Connection[Cursor]) -> set[str]:
        """Those of the source, and those that it may have had at the start: of the sink's, in schemas that the source
        has, what no other changefeed replicates to."""

        def ask(source: Connection[Cursor]) -> tuple[set[str], set[str]]:
            return set(self._named(source)), set(schema_names(source))

        found, schemas = _with("source", self._source, ask)
        of_others = dispatchers_of_others(sink, self._uid)
        in_sink = {table.name.key for table in user_tables(sink, self._filter) if table.name.schema in schemas}
        return found | (in_sink - of_others)

    def _end_sessions(self, lost: frozenset[Incarnation]) -> None:
        with self._connected() as sink:
            check_not_above(sink, self._uid, self._epoch, self._owner)
            self._end_rows_sessions(sink, lost.__contains__)

    def _end_rows_sessions(self, sink: Connection[Cursor], is_lost: Callable[[Incarnation], bool]) -> None:
        """A session that also serves an incarnation that is not lost, or that a later owner has placed, is left
        alone."""
        lost: dict[SessionRecord, bool] = {}
        for row in list_progress(sink, self._uid):
            ours = row.epoch <= self._epoch and is_lost((row.dispatcher, row.generation))
            lost[row.session] = lost.get(row.session, True) and ours
        with sink.cursor() as cursor:
            for session in (session for session, all_lost in lost.items() if all_lost):
                kill_session(cursor, session)

    def _read(self) -> SinkView:
        with self._connected() as sink:
            with transaction(sink) as cursor:
                check_fence(cursor, self._uid, self._epoch)
            return self._view(sink)

    def _check_rows(self) -> None:
        with self._connected() as sink:
            before = self._known(sink)
        in_source = self._source_tables()
        with self._connected() as sink:
            in_both = set(in_source) & set(self._named(sink))
            after = self._known(sink)
        if before is not None and after is not None:
            self._check_none_lost(sorted(in_both - before - after))

    def _known(self, sink: Connection[Cursor]) -> set[str] | None:
        """The tables that have rows; None while a DDL statement is under way, whose rows come with its end: also one
        that a user has executed, and the schema dispatcher has not come to yet."""
        states = unfinished(sink, self._uid)
        rows = {row.dispatcher: row.position for row in list_progress(sink, self._uid)}
        if STARTED in states.values():
            return None
        by_hand = [Skip.of_key(key) for key in states] + list(self._skips)
        at = rows.get(SCHEMA_DISPATCHER)
        if at is not None and any(not skip.is_before(at, self.flavour) for skip in by_hand):
            return None
        return set(rows)

    def _check_none_lost(self, missing: list[str]) -> None:
        lost = [key for key in missing if not self._may_be_new(key)]
        if lost:
            raise SinkRefused(
                f"schema {SCHEMA} of sink {self._sink.address} has no progress rows of {', '.join(lost)}, "
                f"which changefeed {self._name} (uid {self._uid}) has always replicated: they were deleted, or the "
                "tables were created in the sink by somebody else. Where they are to begin cannot be told. Fix: "
                "restore the rows, and resume; or exclude the tables (changefeed update --filter), bring them in line, "
                "and include them again"
            )

    def _may_be_new(self, key: str) -> bool:
        return any(not _matches(former, key) for former in self._formers)

    def _close(self, forget: bool) -> tuple[ProgressRow, ...]:
        with self._connected() as sink:
            ensure_schema(sink)
            raise_fence(sink, self._uid, self._epoch, self._owner)
            rows = tuple(list_progress(sink, self._uid))
            if forget:
                remove_changefeed(sink, self._uid, self._epoch, self._owner)
            return rows

    def _end_ddl(self) -> str:
        with self._connected() as sink:
            check_not_above(sink, self._uid, self._epoch, self._owner)
            return end_ddl(sink, self._uid, self._epoch)

    def _view(self, sink: Connection[Cursor]) -> SinkView:
        rows = list_progress(sink, self._uid)
        edges = [(child.key, parent.key) for child, parent in foreign_key_edges(sink)]
        return SinkView(tuple(rows), tuple(edges))

    def _source_tables(self) -> list[str]:
        return _with("source", self._source, self._named)

    def _named(self, connection: Connection[Cursor]) -> list[str]:
        return [table.name.key for table in user_tables(connection, self._filter)]

    @contextmanager
    def _connected(self) -> Iterator[Connection[Cursor]]:
        try:
            with _connection("sink", self._sink) as connection:
                yield connection
        except Fenced as error:
            rejected("sink", "stale", uid=self._uid, epoch=self._epoch, what="maintainer", reason=str(error))
            raise


def _matches(table_filter: TableFilter, key: str) -> bool:
    """A key is schema.table, and either name may hold a dot: it matches if any reading of it does."""
    parts = key.split(".")
    splits = ((".".join(parts[:at]), ".".join(parts[at:])) for at in range(1, len(parts)))
    return key == SCHEMA_DISPATCHER or any(table_filter.matches(schema, table) for schema, table in splits)


def _with(what: What, uri: ServerUri, ask: Callable[[Connection[Cursor]], T]) -> T:
    with _connection(what, uri) as connection:
        return ask(connection)


@contextmanager
def _connection(what: What, uri: ServerUri) -> Iterator[Connection[Cursor]]:
    """A connection whose server errors come out as ours."""
    with closing(connect(uri, what, timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)) as connection:
        try:
            yield connection
        except (pymysql.OperationalError, pymysql.InterfaceError, OSError) as error:
            if what == "sink" and error.args and error.args[0] in NOT_GRANTED:
                raise SinkRefused(
                    f"{what} {uri.address} refuses a statement of {uri.user} ({error.args[0]}: {error.args[1]}). Fix: "
                    f"GRANT CREATE, ALTER, SELECT, INSERT, UPDATE, DELETE ON hedgerow.* TO {uri.user} in the sink"
                ) from error
            if error.args and error.args[0] in NOT_GRANTED:
                raise SourceUnavailable(
                    f"{what} {uri.address} refuses a statement of {uri.user} ({error.args[0]}: {error.args[1]}). Fix: "
                    f"GRANT SELECT ON *.* TO {uri.user} in the source"
                ) from error
            raise unavailable(uri, what, error) from error
        except pymysql.MySQLError as error:
            if what == "source":
                raise unavailable(uri, what, error) from error
            raise SinkRefused(f"{what} {uri.address} refuses a statement: {error.args}") from error
