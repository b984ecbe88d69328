"""The dispatchers of one changefeed on one node, and the stream that serves them.

It mirrors dispatcher/control/manager.py and dispatcher/stream/stream.py with dispatcher/stream/attempt.py, step by step
instead of in threads; the pending, and the board are the real ones. A lane is one session in the sink with
one transaction at a time: claim, begin, commit are three steps, and anything may happen in between.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from hedgerow.common.epoch import Owner
from hedgerow.common.errors import Fenced, HedgerowError, SinkUnavailable
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.control.board import Dispatcher
from hedgerow.dispatcher.control.pending import PendingRequests, Placement, RequestKind
from hedgerow.dispatcher.sink.token import CurrentToken, FencingToken
from hedgerow.dispatcher.stream.report import DispatcherReport
from tests.unit.fence.sink import Locked, Session, Sink, Transaction
from tests.unit.fence.source import at

LANES = 2


class Lane:
    """`recorded` and `positions`: what its progress rows carry as far as it knows."""

    def __init__(self, sink: Sink, token: CurrentToken, generations: dict[str, int]) -> None:
        self._sink = sink
        self._token = token
        self.generations = generations
        self.session: Session | None = None
        self.positions: dict[str, int] = {}
        self._recorded: dict[str, tuple[int, int]] = {}
        self._late: Transaction | None = None  # seeded defect: rows are committed, their position is not yet

    def step(self, random: Random) -> None:
        """Raises Fenced, SinkUnavailable: then it is closed, and opened again by its stream."""
        if self.session is None:
            self._claim()
        elif self._late is not None:
            self._sink.move(self._late)
            self._late = None
        elif self.session.transaction is None and self.session.alive:
            self._begin(random)
        else:
            self._commit(self.session)

    def close(self) -> None:
        if self.session is not None:
            self._sink.drop(self.session)
        self.session, self._late = None, None

    def _claim(self) -> None:
        token = self._token()
        session = self._sink.connect()
        try:
            positions = self._sink.claim(session, token.uid, token.epoch, self.generations)
        except HedgerowError:
            self._sink.drop(session)
            raise
        self.session = session
        self.positions = {key: position.offset for key, position in positions.items()}
        self._recorded = {key: (token.epoch, generation) for key, generation in self.generations.items()}

    def _begin(self, random: Random) -> None:
        end = self._sink.judge.source.end
        least = min(self.positions.values())
        if least == end:
            return
        until = min(end, least + random.randint(1, 4))
        recorded = {key: self._recorded[key] for key, offset in self.positions.items() if offset < until}
        assert self.session is not None
        token = self._token()
        self._sink.begin(self.session, token.uid, token.epoch, recorded, at(until))

    def _commit(self, session: Session) -> None:
        transaction = session.transaction
        self._sink.commit(session, self.positions)
        assert transaction is not None
        for key in transaction.keys:
            self.positions[key] = transaction.position.offset
            self._recorded[key] = (transaction.epoch, self._recorded[key][1])
        if self._sink.commits_rows_alone:
            self._late = transaction


class Manager:
    """`closing`: it was buried, and its stream is still to end."""

    def __init__(self, node: str, uid: str, owner: Owner, sink: Sink, after: Manager | None) -> None:
        self.node = node
        self.uid = uid
        self.owner = owner
        self.closing = False
        self.ended = False
        self.version = 1
        self.lanes: dict[int, Lane] = {}
        self._sink = sink
        self._after = after
        self._token = FencingToken(uid, owner.epoch)
        self._pending = PendingRequests()
        self._dispatchers: dict[str, Dispatcher] = {}
        self._served: tuple[Placement, ...] = ()

    # What the service asks for.

    def take_over(self, owner: Owner) -> list[Placement]:
        self.owner = owner
        self._token = FencingToken(self.uid, owner.epoch)
        for dispatcher in self._dispatchers.values():
            dispatcher.take_over(owner.epoch)
        dropped, removing = self._pending.take_over(owner, self._dispatchers)
        for placement in dropped:
            self._dispatchers[placement.dispatcher].leaving = True
        self.version += 1
        return removing

    def schedule(self, create: Iterable[Placement], remove: Iterable[Placement]) -> None:
        for placement in filter(self._is_timely, remove):
            if self._pending.add(RequestKind.REMOVE, placement, self.owner, self._dispatchers):
                self._dispatchers[placement.dispatcher].leaving = True
        for placement in filter(self._is_timely, create):
            existing = self._dispatchers.get(placement.dispatcher)
            if existing is not None and existing.is_incarnation(placement, self.owner.epoch):
                continue
            self._pending.add(RequestKind.CREATE, placement, self.owner, self._dispatchers)
            self._dispatchers[placement.dispatcher] = Dispatcher(placement, self.owner.epoch)
        self.version += 1

    def _is_timely(self, placement: Placement) -> bool:
        existing = self._dispatchers.get(placement.dispatcher)
        return existing is None or placement.generation >= existing.placement.generation

    def statuses(self) -> list[pb.DispatcherStatus]:
        return [dispatcher.status(self.node) for dispatcher in self._dispatchers.values()]

    # Its task, and its stream's thread.

    def run(self) -> None:
        """One turn of the task: stops a stream that is outdated, starts another."""
        if self._after is not None and not self._after.ended:
            return
        if self._served and (self.closing or self._is_outdated()):
            self.cut()
            self._served = ()
            for dispatcher in self._dispatchers.values():
                dispatcher.stream_ended()
        if self.closing:
            self.ended = True
            return
        self._drop_leavers()
        if not self._served and (placements := self._wanted()):
            self._served = placements
            lanes: dict[int, dict[str, int]] = {}
            for placement in placements:
                lanes.setdefault(placement.lane % LANES, {})[placement.dispatcher] = placement.generation
            self.lanes = {number: Lane(self._sink, lambda: self._token, keys) for number, keys in lanes.items()}

    def step(self, random: Random, *, breaks: bool) -> None:
        """One step of one lane. `breaks`: its connection fails, and nobody tells the server."""
        if not self.lanes:
            return
        number = random.choice(sorted(self.lanes))
        lane = self.lanes[number]
        try:
            if breaks:
                lane.session = None  # the server keeps the session and its locks
                raise SinkUnavailable("the connection broke")
            lane.step(random)
        except Locked:
            return
        except Fenced as error:
            # The next claim tells which dispatchers another has; those are broken then.
            if lane.session is None:
                self._give_up(number, lane, error)
            lane.close()
        except SinkUnavailable as error:
            lane.close()
            self._report(lane.generations, pb.RETRYING, lane, error)
        else:
            self._report(lane.generations, pb.RUNNING if lane.session else pb.STARTING, lane, None)

    def cut(self) -> None:
        """Ends the stream and rolls back what it has not committed."""
        for lane in self.lanes.values():
            lane.close()
        self.lanes = {}

    def _give_up(self, number: int, lane: Lane, error: Fenced) -> None:
        rows = {row.dispatcher: (row.epoch, row.generation) for row in self._sink.list_progress(self.uid)}
        epoch, wanted = self._token.epoch, lane.generations
        lost = {key for key, value in wanted.items() if rows.get(key, (epoch + 1, 0)) > (epoch, value)} or set(wanted)
        self._report(lost, pb.BROKEN, lane, error)
        for key in lost:
            del lane.generations[key]
        if not lane.generations:
            del self.lanes[number]

    def _report(self, keys: Iterable[str], state: pb.DispatcherState, lane: Lane, error: HedgerowError | None) -> None:
        served = {placement.dispatcher: placement for placement in self._served}
        begun = []
        for key in keys:
            dispatcher = self._dispatchers.get(key)
            if dispatcher is None or dispatcher.placement != served[key]:
                continue
            offset = lane.positions.get(key)
            position = at(offset) if offset is not None else None
            dispatcher.take(DispatcherReport(dispatcher.placement, state, position, error=error))
            if state != pb.STARTING:
                begun.append(key)
        self._pending.finish(RequestKind.CREATE, begun)
        self.version += 1

    def _wanted(self) -> tuple[Placement, ...]:
        found = [dispatcher.placement for dispatcher in self._dispatchers.values() if dispatcher.is_wanted]
        return tuple(sorted(found, key=lambda placement: placement.dispatcher))

    def _is_outdated(self) -> bool:
        broken = {d.placement for d in self._dispatchers.values() if d.is_broken and not d.leaving}
        return self._wanted() != tuple(placement for placement in self._served if placement not in broken)

    def _drop_leavers(self) -> None:
        served = {placement.dispatcher for placement in self._served}
        gone = [key for key, dispatcher in self._dispatchers.items() if dispatcher.leaving and key not in served]
        for key in gone:
            del self._dispatchers[key]
        self._pending.finish(RequestKind.REMOVE, gone)
        self.version += bool(gone)
