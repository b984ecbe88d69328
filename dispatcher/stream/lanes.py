"""The lanes of one attempt together: opening them, how much fits into them, what is asked of their sink, ending them.

Used by the stream's thread, but for `cut`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import pymysql
import structlog
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from hedgerow.common.binlog.position import Position
from hedgerow.common.ddlscope import dropped, touched
from hedgerow.common.errors import Fenced, HedgerowError
from hedgerow.common.ledger.progress import list_progress
from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.common.ledger.xa import list_prepared
from hedgerow.common.mysql.catalog import charsets_by_collation, foreign_key_edges
from hedgerow.common.mysql.connect import connect, server_info
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.sink.columns.shapes import Shapes
from hedgerow.dispatcher.sink.columns.tables import read_shapes
from hedgerow.dispatcher.sink.kill_switch import KillSwitch
from hedgerow.dispatcher.sink.refusals import refusal
from hedgerow.dispatcher.sink.token import CurrentToken
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.stream.definitions import Definitions
from hedgerow.dispatcher.stream.intake import Target
from hedgerow.dispatcher.stream.lane_queue import LaneQueue
from hedgerow.dispatcher.stream.standing import Standing
from hedgerow.dispatcher.stream.wake import Wake
from hedgerow.dispatcher.table import by_lane

log = structlog.get_logger()

QUESTION_SECONDS = 10.0
LOOK_AGAIN_SECONDS = 300.0  # between two readings of the tables' columns, without a DDL
_AT_ONCE = 100  # tables whose columns are read together
ASK_AGAIN_SECONDS = 30.0  # where a server did not answer
FINISH_SECONDS = 1.0  # that lanes have to finish what they were given, when the stream ends


class Lanes:
    """Iterates over the lanes that have claimed. `others` are the connections to the sink that are no lanes'."""

    def __init__(self, spec: Spec, token: CurrentToken, standings: Mapping[str, Standing], wake: Wake) -> None:
        self._spec = spec
        self._token = token
        self._standings = standings
        self._wake = wake
        self._all: list[LaneQueue] = []
        self._opening: list[LaneQueue] = []  # has not claimed yet
        self._shapes: Shapes | None = None
        self._definitions = Definitions(spec, self.ask)
        self._look_again_at = time.monotonic() + LOOK_AGAIN_SECONDS
        self._ask_again_at = 0.0
        self.others = KillSwitch()

    def __iter__(self) -> Iterator[LaneQueue]:
        return iter(self._all)

    @property
    def targets(self) -> list[Target]:
        return [target for queue in self._all for target in queue.targets.values()]

    # Opening.

    def open(self, between: Callable[[], None]) -> dict[str, Position]:
        """Claims every dispatcher that can be claimed; the others are broken. `between` is called around each claim
        and raises when the opening is to end. Raises LaneFailed, LaneStopped, SinkUnavailable, SinkRefused."""
        lanes = by_lane((standing.placement for standing in self._standings.values()), self._spec.lanes)
        starts: dict[str, Position] = {}
        for number, generations in sorted(lanes.items()):
            starts.update(self._open(number, generations, between))
        return starts

    def _open(self, number: int, generations: dict[str, int], between: Callable[[], None]) -> Mapping[str, Position]:
        while generations:
            between()
            queue = LaneQueue(number, self._spec, self._token, self._wake)
            self._opening = [queue]
            between()  # a cut from here on sees the lane
            try:
                positions = queue.claim(generations)
            except Fenced as error:
                queue.lane.stop()
                lost = self._find_lost(generations) or generations.keys()
                for key in lost:
                    self._standings[key].give_up(error)
                generations = {key: value for key, value in generations.items() if key not in lost}
                continue
            self._all.append(queue)
            self._opening = []
            for key, position in positions.items():
                if key == SCHEMA_DISPATCHER:
                    self._standings[key].execute(position)
                else:
                    self._standings[key].reach(position)
            return positions
        return {}

    def _find_lost(self, generations: Mapping[str, int]) -> set[str]:
        with self.ask() as connection:
            return self._token().lost(generations, list_progress(connection, self._spec.uid))

    def prepared(self) -> dict[str, set[str]]:
        """Of the XA transactions that have rows in the sink, by xid, the dispatchers concerned."""
        with self.ask() as connection:
            return list_prepared(connection, self._spec.uid)

    def connect(self, description: bytes, ddl: pb.Ddl | None = None) -> None:
        """Tells the lanes what the sink's tables are like now: which ones foreign keys tie to others, because the
        sink's engine carries out the cascades, and what columns they have: first those of some tables, of others when
        their first rows come, and after a DDL those of the tables that it has touched. The source's are compared."""
        with self.ask() as connection:
            tied = {table.key for edge in foreign_key_edges(connection) for table in edge}
            if self._shapes is None:
                self._shapes = Shapes(
                    self._spec.flavour,
                    server_info(connection).version,
                    charsets_by_collation(connection),
                    self._learn,
                    self._definitions.source_key,
                )
        known = self._shapes.known
        changed = self._some() if ddl is None else touched(ddl, known) | dropped(ddl, known)
        self._read_columns(changed)
        check_rows = self._shapes.check_rows if self._shapes.searches else None
        for queue in self._all:
            queue.connect(tied, self._shapes.check, check_rows, description)

    def _learn(self, key: str) -> None:
        """A table's first rows come: its columns are read, with some that may be next."""
        self._read_columns(self._some() | {key})

    def _some(self) -> set[str]:
        """Of those not known yet: a stream may have thousands, and begins again with each that is created."""
        assert self._shapes is not None
        keys = {key for queue in self._all for key in queue.targets} - {SCHEMA_DISPATCHER}
        return set(sorted(keys - self._shapes.known)[:_AT_ONCE])

    def _read_columns(self, keys: Collection[str]) -> None:
        if not keys:
            return
        assert self._shapes is not None
        with self.ask() as connection:
            self._shapes.update(read_shapes(connection, self._spec.flavour, keys))
        self._definitions.compare(keys)

    def look_again(self, position: Position, now: float) -> None:
        """At columns: those that somebody may have changed in the sink, now and then, and those that differ from the
        source's, when the stream is at `position`. `now` is monotonic. Raises SinkRefused. A server that does not
        answer is asked again later: whatever needs it says so."""
        if self._shapes is None or now < self._ask_again_at:
            return
        try:
            for key, found in self._definitions.judge(position):
                self._shapes.forbid(key, found)
            if now >= self._look_again_at:
                self._read_columns(self._shapes.known)
                self._look_again_at = time.monotonic() + LOOK_AGAIN_SECONDS
        except HedgerowError as error:
            if not error.retriable:
                raise
            self._ask_again_at = time.monotonic() + ASK_AGAIN_SECONDS
            log.warning("columns-not-compared", changefeed=self._spec.name, error=str(error))

    @contextmanager
    def ask(self) -> Iterator[Connection[Cursor]]:
        """A connection for a question or two."""
        try:
            with connect(self._spec.sink, "sink", read_timeout=QUESTION_SECONDS) as connection:
                self.others.attach(connection)
                yield connection
        except (pymysql.MySQLError, OSError) as error:
            raise refusal(self._spec.sink, self._spec.flavour, error) from error

    def drop(self, key: str) -> None:
        """This dispatcher is gone: its progress row is not there any more. Nothing is pending."""
        for queue in self._all:
            queue.drop(key)

    # Filling.

    @property
    def idle(self) -> bool:
        return all(queue.idle for queue in self._all)

    def check(self) -> None:
        """Raises LaneFailed where one has ended."""
        for queue in self._all:
            queue.check()

    def is_full(self, queue: LaneQueue) -> bool:
        """A batch ends where a source transaction ends, but for one that fills a batch alone."""
        if queue.intake.open:
            return queue.open_bytes >= self._spec.batch_bytes
        return queue.transactions >= self._spec.batch_transactions or queue.bytes >= self._spec.batch_bytes

    @property
    def rows(self) -> int:
        """That the sink's server has changed for the lanes."""
        return sum(queue.lane.applied.rows for queue in self._all)

    @property
    def have_room(self) -> bool:
        return not any(self.is_full(queue) for queue in self._all)

    def room(self) -> tuple[int, int]:
        """Transactions and bytes that can be routed before a batch is full; only to the end of the transaction where
        one has enough bytes."""
        over = [queue for queue in self._all if queue.bytes >= self._spec.batch_bytes]
        transactions = min(self._spec.batch_transactions - queue.transactions for queue in self._all)
        size = min(self._spec.batch_bytes - (queue.open_bytes if queue in over else queue.bytes) for queue in self._all)
        return 1 if over else transactions, size

    # Ending.

    @property
    def is_cut(self) -> bool:
        return self.others.is_cut

    def cut(self) -> None:
        """From any thread: when it returns, nothing more is sent to the sink. Returns at once."""
        self.others.cut()
        for queue in (*self._opening, *self._all):
            queue.lane.cancel()

    def close(self) -> None:
        """Lets the lanes finish what they have, for a short while, and awaits their threads."""
        for queue in self._opening:
            queue.lane.stop()
        deadline = time.monotonic() + FINISH_SECONDS
        for queue in self._all:
            while not (self.is_cut or queue.idle or queue.lane.error) and time.monotonic() < deadline:
                self._wake.wait(deadline - time.monotonic())
            queue.lane.stop()
            queue.harvest(self._standings)
