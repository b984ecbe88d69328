"""The stream of one changefeed on one node: a thread that lives through connections, errors and retries.

It owns what `StreamAttempt` opens, one attempt at a time, and always resumes from the progress rows that the lanes
claim, so that whatever is retried is applied exactly once. An error that a retry may fix is retried for ever, visibly;
where one lane met it, the others go on without that lane until it is tried again, so it holds them up for no longer
than its try. A dispatcher that is fenced, or that met an error that stops the changefeed, is broken and is not served
again; the others go on.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace

import structlog

from hedgerow.common.backoff import Backoff
from hedgerow.common.errors import Fenced, HedgerowError, ReplicationError
from hedgerow.common.lag import Lag
from hedgerow.dispatcher import metrics
from hedgerow.dispatcher.sink.api import LaneStopped, Sink
from hedgerow.dispatcher.sink.kill_switch import KillSwitch
from hedgerow.dispatcher.sink.token import CurrentToken
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.stream.attempt import Cancelled, StreamAttempt
from hedgerow.dispatcher.stream.decision import BarrierDecision, BarrierDecisions
from hedgerow.dispatcher.stream.lag import StreamLag, distance
from hedgerow.dispatcher.stream.lane_queue import LaneFailed
from hedgerow.dispatcher.stream.source_end import SourceEnd
from hedgerow.dispatcher.stream.standing import Standing
from hedgerow.dispatcher.stream.undo import Undone
from hedgerow.dispatcher.stream.wake import Wake
from hedgerow.dispatcher.table import Report, TableProgress

log = structlog.get_logger()

BACKOFF = Backoff(0.2, 5.0, spread=0.25)  # before the source or a lane is tried again
ASK_FROM_SECONDS = 2.0  # of lag, from which on the source is asked where its binlog ends


class Stream:
    """Every method may be called from any thread and returns at once.

    Where `switch` ends, so does the stream, soon: lanes finish what they were given, for a second at most. Where it is
    cut, at once: the lanes' connections are cut, and what they had not committed is rolled back.
    """

    def __init__(
        self,
        spec: Spec,
        token: CurrentToken,
        switch: KillSwitch,
        tables: tuple[TableProgress, ...],
        *,
        open_sink: Callable[[Spec, CurrentToken], Sink],
        post: Callable[[Report], None],
        ended: Callable[[], None],
    ) -> None:
        """`open_sink`: for each attempt. `post` gets reports; `ended` is called last, when all threads have ended. Both
        in the stream's thread."""
        self._spec = spec
        self._token = token
        self._standings = {table.placement.dispatcher: Standing(table) for table in tables}
        self._open_sink = open_sink
        self._post = post
        self._ended = ended
        self._wake = Wake()
        self._switch = switch
        self._decisions = BarrierDecisions(self._wake.set)
        self._undone = Undone()
        self._attempt: StreamAttempt | None = None
        self._lag = StreamLag()
        self._source_end = SourceEnd(spec.source)
        self._rows = 0  # of attempts that have ended
        self._attempts = 0
        self._log = log.bind(changefeed=spec.name, uid=spec.uid)
        self._thread = threading.Thread(target=self._run, name=f"stream-{spec.name}", daemon=True)

    def start(self) -> None:
        self._switch.watch(self._wake.set)
        self._thread.start()

    def decide(self, decision: BarrierDecision) -> None:
        self._decisions.put(decision)

    def lag(self) -> Lag | None:
        now = time.monotonic()
        lag = self._lag.at(now)
        if lag is None:
            return None
        span = self._lag.span
        if not lag.seconds:
            size: int | None = 0
        elif lag.is_known and lag.seconds <= ASK_FROM_SECONDS:  # what was read is as good as all there is
            size = distance(*span, {}) if span else None
        else:
            size = self._source_end.bytes(span, self._lag.source_id, now)
        return replace(lag, bytes=size)

    # The thread.

    def _run(self) -> None:
        try:
            self._live()
        except Exception as error:
            self._log.exception("stream-defect")
            self._give_up_all(error)
        finally:
            self._publish()
            self._source_end.close()
            self._wake.close()
            self._ended()

    def _live(self) -> None:
        failures = 0
        while not self._switch.is_ending:
            alive = {key: one for key, one in self._standings.items() if not one.is_final}
            if not alive:
                return
            now = time.monotonic()
            standings = {key: one for key, one in alive.items() if one.rests_until <= now}
            until = min((one.rests_until for one in alive.values() if one.rests_until > now), default=math.inf)
            if not standings:
                self._sleep(until - now)
                continue
            attempt = self._open(standings, until)
            delay = 0.0
            try:
                attempt.run()
            except (Cancelled, LaneStopped):
                pass
            except LaneFailed as failure:
                if attempt.has_begun and failure.error.retriable:
                    self._rest(failure)
                else:
                    delay = self._fail(failure.error, failure.keys, failures)
            except HedgerowError as error:
                delay = self._fail(error, standings.keys(), failures)
            finally:
                attempt.close()
                self._attempt = None
                self._rows += attempt.rows
            failures = 0 if attempt.has_worked else failures + 1
            self._publish()
            self._sleep(delay)

    def _give_up_all(self, error: Exception) -> None:
        known = ReplicationError(f"the node failed with {type(error).__name__}: {error}; see its log, and report it")
        for standing in self._standings.values():
            standing.give_up(known)

    def _open(self, standings: dict[str, Standing], until: float) -> StreamAttempt:
        self._attempts += 1
        self._lag.release(standings.keys())
        for standing in standings.values():
            standing.begin()
        attempt = StreamAttempt(
            self._spec,
            self._open_sink(self._spec, self._token),
            self._token,
            standings,
            number=self._attempts,
            # The source ends an older dump of the same id. Real servers have small ids by convention.
            server_id=random.randrange(1 << 30, 1 << 32),
            until=until,
            wake=self._wake,
            switch=self._switch,
            decisions=self._decisions,
            publish=self._publish,
            lag=self._lag,
            undone=self._undone,
        )
        self._attempt = attempt
        return attempt

    def _fail(self, error: HedgerowError, keys: Collection[str], failures: int) -> float:
        """Marks the dispatchers concerned; returns the seconds to wait before the next attempt."""
        if self._switch.is_cut:
            return 0.0  # it is about a connection that was cut
        if isinstance(error, Fenced):
            # The next claim tells which of the lane's dispatchers another has: those are broken then, and only those.
            self._log.warning("stream-fenced", error=str(error))
            return BACKOFF.first if failures else 0.0
        if not error.retriable:
            self._log.error("stream-broken", code=error.code, error=str(error))
            self._lag.hold(keys, time.monotonic())
            for key in keys:
                self._standings[key].give_up(error)
            return 0.0
        delay = self._backoff(error, failures)
        for standing in self._standings.values():
            standing.retry(error)
        return delay

    def _rest(self, failure: LaneFailed) -> None:
        """A lane that worked before has failed: its dispatchers rest, and the others go on without them."""
        if self._switch.is_cut:
            return
        standings = [self._standings[key] for key in failure.keys]
        delay = self._backoff(failure.error, max(standing.failures for standing in standings))
        self._lag.hold(failure.keys, time.monotonic())
        for standing in standings:
            standing.rest(failure.error, delay)

    def _backoff(self, error: HedgerowError, failures: int) -> float:
        metrics.RETRIES.labels(self._spec.name, error.code).inc()
        delay = BACKOFF.seconds(failures + 1, random.uniform(-1, 1))
        self._log.warning("stream-retrying", code=error.code, error=str(error), seconds=round(delay, 2))
        return delay

    def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._switch.is_ending and (rest := deadline - time.monotonic()) > 0:
            self._wake.wait(rest)

    def _publish(self) -> None:
        lag = self.lag()
        if lag is not None and lag.seconds > ASK_FROM_SECONDS:
            self._source_end.want(time.monotonic())
        rows = self._rows + (self._attempt.rows if self._attempt else 0)
        self._post(Report(tuple(standing.progress() for standing in self._standings.values()), rows))
