"""The dispatchers of one changefeed on one node, and the stream that serves them.

It mirrors dispatcher/control/manager.py and dispatcher/stream/stream.py with dispatcher/stream/attempt.py, step by step
instead of in threads; the pending, and the board are the real ones. A lane is one session in the sink with
one transaction at a time: claim, begin, commit are three steps, and anything may happen in between.
"""

from __future__ import annotations

from random import Random

from hedgerow.common.errors import Fenced, HedgerowError, SinkUnavailable
from hedgerow.dispatcher.control.core import Closed, Core, StartStream, StopStream, Wait
from hedgerow.dispatcher.sink.token import CurrentToken
from hedgerow.dispatcher.stream.standing import Standing
from hedgerow.dispatcher.table import Report, by_lane
from tests.model.sink import Locked, Session, Sink, Transaction
from tests.model.source import at


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
    """Carries out what its core decides. `ended`: it was closed, and nothing of it runs any more."""

    def __init__(self, core: Core, sink: Sink, after: Manager | None) -> None:
        self.core = core
        self.ended = False
        self.lanes: dict[int, Lane] = {}
        self._standings: dict[str, Standing] = {}
        self._sink = sink
        self._after = after

    def wake(self) -> None:
        """It looks in its own time."""

    def lag(self) -> None:
        return None

    def run(self, now: float) -> None:
        """One turn of the task."""
        if self._after is not None and not self._after.ended:
            return
        while True:
            match self.core.decide(now):
                case StartStream(spec, tables):
                    self._standings = {table.placement.dispatcher: Standing(table) for table in tables}
                    lanes = by_lane((table.placement for table in tables), spec.lanes)
                    self.lanes = {n: Lane(self._sink, lambda: self.core.token, keys) for n, keys in lanes.items()}
                case StopStream():
                    self.cut()
                    self.core.ended()
                case Closed():
                    self.ended = True
                    return
                case Wait():
                    return

    def step(self, random: Random, now: float, *, breaks: bool) -> None:
        """One step of one lane. `breaks`: its connection fails, and nobody tells the server."""
        if not self.lanes:
            return
        number = random.choice(sorted(self.lanes))
        lane = self.lanes[number]
        standings = [self._standings[key] for key in lane.generations]
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
            for standing in standings:
                standing.retry(error)
        else:
            for standing in standings if lane.session is not None else ():
                standing.run()
                standing.reach(at(lane.positions[standing.placement.dispatcher]))
        self.core.take(Report(tuple(standing.progress() for standing in self._standings.values())), now)

    def cut(self) -> None:
        """Ends the stream and rolls back what it has not committed."""
        for lane in self.lanes.values():
            lane.close()
        self.lanes = {}

    def _give_up(self, number: int, lane: Lane, error: Fenced) -> None:
        rows = {row.dispatcher: (row.epoch, row.generation) for row in self._sink.list_progress(self.core.token.uid)}
        for key in self.core.token.lost(lane.generations, rows) or set(lane.generations):
            self._standings[key].give_up(error)
            del lane.generations[key]
        if not lane.generations:
            del self.lanes[number]
