"""One life of a stream's connections: claim, read, route, hand over; until it is cancelled or something fails.

Everything here runs in the stream's thread, but for `_cut`. The order of closing: the reader, then the lanes, which
first finish what they have (for a short while, and not after an error of their own).

Flushing adapts by itself. A lane that is idle gets what is pending at once; while it is busy, transactions are
collected up to the batch limits; when those are reached and its slot is taken, nothing more is read, and the source's
socket holds the rest back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import replace

from hedgerow.common.binlog.position import Position, farthest, least, readable
from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.sink.api import Marker, Sink
from hedgerow.dispatcher.sink.kill_switch import KillSwitch
from hedgerow.dispatcher.sink.token import CurrentToken
from hedgerow.dispatcher.source.reader import Reader
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.stream.barrier import StreamBarrier
from hedgerow.dispatcher.stream.decision import BarrierDecisions
from hedgerow.dispatcher.stream.lag import StreamLag
from hedgerow.dispatcher.stream.lane_queue import LaneQueue
from hedgerow.dispatcher.stream.lanes import Lanes
from hedgerow.dispatcher.stream.left_out import learn, route
from hedgerow.dispatcher.stream.net import Net
from hedgerow.dispatcher.stream.reading import Reading
from hedgerow.dispatcher.stream.router import Router
from hedgerow.dispatcher.stream.stall import StallMonitor
from hedgerow.dispatcher.stream.standing import Standing
from hedgerow.dispatcher.stream.statements import Classifier
from hedgerow.dispatcher.stream.undo import RolledBack, Undone
from hedgerow.dispatcher.stream.wake import Wake

WAIT_SECONDS = 1.0  # at most between two looks at everything
PUBLISH_SECONDS = 0.5  # between two reports, where nothing but positions and counts has changed
CREATED_SECONDS = 0.1  # the same, where tables were created: their dispatchers are to be placed
ADVANCE_SECONDS = 3.0
PROOF_SECONDS = 2.0
WAITED_SECONDS = 0.001  # for events, so that they came just now


class Cancelled(Exception):
    """The stream is to end; nothing is wrong."""


class StreamAttempt:
    def __init__(
        self,
        spec: Spec,
        sink: Sink,
        token: CurrentToken,
        standings: Mapping[str, Standing],
        *,
        number: int,
        server_id: int,
        until: float,
        wake: Wake,
        switch: KillSwitch,
        decisions: BarrierDecisions,
        publish: Callable[[], None],
        lag: StreamLag,
        undone: Undone | None = None,
    ) -> None:
        """`sink`: of this attempt, which closes it. `standings`: the dispatchers to serve. `number`: of the attempts of
        this stream. `until` (monotonic): when it is over, because others join. `publish`
        sends a report of them; `lag` and `undone` (rows that are known not to hold) outlive the attempt."""
        self._spec = spec
        self._sink = sink
        self._token = token
        self._number = number
        self._nonce = 0  # of the last marker
        self._standings = dict(standings)
        self._server_id = server_id
        self._until = until
        self._wake = wake
        self._switch = switch
        self._decisions = decisions
        self._publish = publish
        self._lag = lag
        self._undone = Undone() if undone is None else undone
        self._lanes = Lanes(spec, sink, token, self._standings, wake)
        self._reader: Reader | None = None
        self._router: Router | None = None
        self._reading = Reading(lag)
        self._description = b""
        self._published_at = 0.0
        self._unpublished = False
        self._advance_at = time.monotonic() + ADVANCE_SECONDS
        self._unproven: list[LaneQueue] = []  # of dispatchers whose lane has failed before
        self._stall = StallMonitor(sink.address)
        self._prove_at = 0.0
        self.has_begun = False  # all connections are made
        self.has_worked = False  # something was read from the source: the errors before are over
        self._unwatch = switch.watch(self._cut)

    def run(self) -> None:
        """Raises Cancelled, LaneFailed, LaneStopped, HedgerowError; never returns otherwise, but when every dispatcher
        is broken."""
        starts = self._lanes.open(self._look)
        if not starts:
            return
        flavour, positions = self._spec.flavour, list(starts.values())
        start = least(positions, flavour)
        applied = farthest(positions, flavour)
        reader = self._reader = Reader(
            self._spec.source, flavour, readable(start), server_id=self._server_id, applied=applied
        )
        self._check()
        reader.connect()
        assert reader.clock is not None
        self._lag.connected(reader.clock, reader.source_id)
        if not reader.by_gtid:  # a set from when the source had GTIDs says nothing of what has none
            start = replace(start, gtid_set="")
        net = Net(self._spec, self._token, self._sink) if SCHEMA_DISPATCHER in starts else None
        targets, classify, prepared = self._lanes.targets, Classifier(self._spec), self._sink.ledger.prepared()
        undone, skips = self._undone, self._spec.skips
        self._router = Router(flavour, start, reader.source_id, targets, classify, prepared, net, undone, skips)
        reader.reached = self._router.tracker.position
        self._reading.begin(start.offset, self._router.tracker)
        self._sink.read_tables(self._lanes.served)
        self._lanes.connect(self._description)
        self._sink.look_again(self._router.position, time.monotonic())
        for key in starts:
            if not self._standings[key].failures:
                self._standings[key].run()
        self._unproven = [queue for queue in self._lanes if any(self._standings[key].failures for key in queue.keys)]
        self._prove_at = time.monotonic() + PROOF_SECONDS
        self.has_begun = True
        self._tell(0.0)
        try:
            self._pump(self._router, reader)
        except RolledBack as found:  # of what was read of that transaction nothing is committed: it is read again
            learn(self._undone, self._spec, found, self._router.tracker.gtid)
            self._leave(self._router)
            raise Cancelled from None
        except Cancelled:
            self._leave(self._router)
            raise

    def _cut(self) -> None:
        """By whoever ends the stream: after a cut nothing more is sent to the sink. Returns at once."""
        if not self._switch.is_cut:
            return
        self._sink.cut()
        reader = self._reader
        if reader is not None:
            threading.Thread(target=reader.close, name="reader-close", daemon=True).start()

    def close(self) -> None:
        """Awaits everything."""
        self._unwatch()
        if self._reader is not None:
            self._reader.close()
        self._lanes.close()
        self._sink.close()

    # The loop.

    def _pump(self, router: Router, reader: Reader) -> None:
        events: list[bytes] = []
        at = 0
        while True:
            self._check()
            if at < len(events):
                if not self._lanes.have_room:
                    self._wake.wait(self._timeout())
                else:
                    router.commit_floor = self._lag.commit_floor
                    at = route(router, self._spec.name, events, at, *self._lanes.room())
                    self._reading.note(router.tracker, events, at, reader.ready, time.monotonic())
                    if router.description:
                        self._flush_all(router)
                        self._description = router.accept_description()
                        for queue in self._lanes:
                            queue.describe(self._description)
                    elif router.ddl is not None:
                        self._decide(router, router.ddl)
            else:
                asked = time.monotonic()
                events, at = reader.read(self._timeout(), self._wake.fd), 0
                if events:
                    now = time.monotonic()
                    if now - asked > WAITED_SECONDS:
                        self._lag.arrived(now)
                    self.has_worked = True
                else:
                    self._wake.clear()
            self._advance(router)
            for queue in self._lanes:
                if queue.pending:
                    self._hand_over(queue, router)
            self._tell(PUBLISH_SECONDS)

    def _check(self) -> None:
        if self._switch.is_ending:
            raise Cancelled
        self._lanes.check()
        if time.monotonic() >= self._until:
            raise Cancelled

    def _look(self) -> None:
        self._check()
        self._tell(0.0)

    def _hand_over(self, queue: LaneQueue, router: Router) -> None:
        if (self._lanes.is_full(queue) or (queue.idle and not queue.intake.open)) and queue.has_room:
            queue.give(router.position)

    def _advance(self, router: Router) -> None:
        """Now and then, so that a restart need not read again what concerned others."""
        now = time.monotonic()
        if now >= self._advance_at:
            self._advance_at = now + ADVANCE_SECONDS
            self._sink.look_again(router.position, now)
            for queue in self._lanes:
                queue.advance(router.position, router.foreign + router.tracker.files, router.own, now)

    def _leave(self, router: Router) -> None:
        """Hands over what was collected, and moves those without rows to where the stream is: whoever takes them over
        begins at the least position of all. What has no room is read again."""
        if self._switch.is_cut or router.ddl is not None:  # some may be past the DDL already
            return
        for queue in self._lanes:
            queue.advance(
                router.position, router.foreign + router.tracker.files, router.own, time.monotonic(), leaving=True
            )
            if queue.pending and queue.has_room and not queue.intake.open:
                queue.give(router.position)

    def _timeout(self) -> float:
        return PUBLISH_SECONDS if self._unpublished else WAIT_SECONDS

    # Waiting for lanes.

    def _flush_all(self, router: Router) -> None:
        """Hands over everything and waits until it is durable."""
        marker = self._mark()
        for queue in self._lanes:
            while not queue.has_room:
                self._pause()
            queue.give(router.position, marker)
        self._await(list(self._lanes), marker)

    def _mark(self) -> Marker:
        self._nonce += 1
        return Marker(self._token().epoch, self._number, self._nonce)

    def _await(self, queues: Collection[LaneQueue], marker: Marker) -> None:
        while not all(queue.has_passed(marker) for queue in queues):
            self._pause()
        self._check()

    def _pause(self) -> None:
        """Until a lane has finished something, or it is time to look again. Raises when the waiting is over."""
        self._check()
        self._tell(PUBLISH_SECONDS)
        self._wake.wait(self._timeout())

    # DDL.

    def _decide(self, router: Router, ddl: pb.Ddl) -> None:
        statement = router.tracker.statement
        assert statement is not None
        # Rows that follow the DDL in its own transaction are before no position: dispatchers get them after a PASS
        # like any others, from before the transaction on. Only the schema dispatcher, which has no rows, is past it.
        rows_follow = router.rows_follow
        after = router.position_after_ddl()
        begin = router.position if rows_follow else after
        barrier = StreamBarrier(self._spec, self._sink, ddl, after, begin, statement)
        blocked = barrier.block(target for target in router.targets() if not target.covered)
        if blocked == {SCHEMA_DISPATCHER} and barrier.only_creates and self._write(barrier, router.position, {}):
            # Nobody waits for it, as the sink has confirmed: there is nothing for a maintainer to decide.
            self._pass_written(router, barrier)
            blocked = set()
            self._unpublished = True
            self._tell(CREATED_SECONDS)
        if blocked:
            self._flush_all(router)
            for key in blocked:
                self._standings[key].block(ddl)
            self._tell(0.0)
            while blocked:
                write, passed = barrier.read(self._decisions.take(ddl, self._token().epoch), blocked)
                written = write is not None and self._write(barrier, router.position, write.flushed)
                for key in passed & barrier.dropped:
                    router.drop(key)
                    self._lanes.drop(key)
                    self._standings[key].finish(barrier.position)
                if not rows_follow:
                    self._reach(passed - barrier.dropped, barrier.position)
                if written:
                    self._pass_written(router, barrier)
                done = passed | ({SCHEMA_DISPATCHER} if written else set())
                for key in done - barrier.dropped:
                    self._standings[key].pass_ddl()
                blocked -= done
                if done:
                    self._tell(0.0)
                elif blocked:
                    self._pause()
        router.end_ddl()
        if barrier.was_decided:
            self._sink.read_tables(self._lanes.served, ddl)
            self._lanes.connect(self._description)

    def _pass_written(self, router: Router, barrier: StreamBarrier) -> None:
        self._standings[SCHEMA_DISPATCHER].execute(barrier.position)
        if router.rows_follow:
            router.overtake(SCHEMA_DISPATCHER, barrier.position)

    def _write(self, barrier: StreamBarrier, before: Position, flushed: Mapping[str, int]) -> bool:
        """Executes the DDL in a thread of its own, so that reports go on meanwhile. An abort cuts its connections; what
        the server makes of the statement then is judged by whoever takes the changefeed's DDL lock next. Does nothing,
        and returns False, where the sink says that it touches others than those `flushed`."""
        # A takeover may have raised the epoch since the row was written. The lane raises it, for it has to know it.
        self._reach({SCHEMA_DISPATCHER}, before)
        generation = self._standings[SCHEMA_DISPATCHER].placement.generation
        execution: Future[bool] = Future()

        def execute() -> None:
            try:
                execution.set_result(barrier.write(generation, flushed))
            except BaseException as error:
                execution.set_exception(error)
            self._wake.set()

        thread = threading.Thread(target=execute, name="ddl", daemon=True)
        thread.start()
        while not execution.done():
            self._tell(PUBLISH_SECONDS)
            self._wake.wait(self._timeout())
        thread.join()
        if self._switch.is_cut:
            raise Cancelled
        return execution.result()

    def _reach(self, keys: Collection[str], position: Position) -> None:
        """Makes `position` durable for these dispatchers."""
        marker = self._mark()
        concerned = [queue for queue in self._lanes if not queue.keys.isdisjoint(keys)]
        for queue in concerned:
            while not queue.has_room:
                self._pause()
            queue.advance_to(queue.keys & frozenset(keys), position)
            queue.give(position, marker)
        self._await(concerned, marker)

    # Telling.

    @property
    def rows(self) -> int:
        """That were changed in the sink."""
        return self._lanes.rows

    def _judge_lag(self, now: float) -> None:
        if self._router is not None:
            undone = [undone for queue in self._lanes if (undone := queue.undone) is not None]
            self._reading.judge(self._router.tracker, undone, now)

    def _prove(self) -> None:
        """A lane that had failed works when it has applied a batch, or if it has none for a while."""
        for queue in list(self._unproven):
            is_quiet = queue.idle and not queue.pending and time.monotonic() >= self._prove_at
            if queue.lane.applied.batches or is_quiet:
                self._unproven.remove(queue)
                self._unpublished = True
                for key in queue.keys:
                    self._standings[key].recover()

    def _tell(self, least_seconds: float) -> None:
        """Sends a report if something changed and the last one is `least_seconds` old. 0: in any case."""
        for queue in self._lanes:
            if queue.harvest(self._standings):
                self._unpublished = True
        if self._stall.look(self._lanes, self._standings, time.monotonic()):
            self._unpublished = True
        if self._unproven:
            self._prove()
        now = time.monotonic()
        self._judge_lag(now)
        waited = now - self._published_at
        overdue = waited >= WAIT_SECONDS and not self._lag.is_current(now)
        if not least_seconds or overdue or (self._unpublished and waited >= least_seconds):
            self._published_at = now
            self._unpublished = False
            self._publish()
