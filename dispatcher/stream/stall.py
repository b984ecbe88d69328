"""Warns of a sink that does not answer, and finds out why. It may be at work: that is no error. But nobody should wait
for it in silence (a server whose disk is full, for one, waits for room, and says so in its error log only), and nobody
should wait for what cannot come: a lane whose session is gone from the server ends, and is made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from hedgerow.common.errors import SinkUnavailable
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.sink.api import Answer, Fate, Inquiry
from hedgerow.dispatcher.stream.lane_queue import LaneQueue
from hedgerow.dispatcher.stream.standing import Standing

SILENT_SECONDS = 15.0  # longer than a batch waits for locks
ASK_AGAIN_SECONDS = 10.0

log = structlog.get_logger()


@dataclass(slots=True)
class _Marked:
    """`inquiry`: under way. `ask_at`: on time.monotonic()."""

    running: list[Standing]
    ask_at: float
    inquiry: Inquiry | None = field(default=None)
    said: str = ""


class StallMonitor:
    """For the lanes of one attempt, in the stream's thread, which never waits for the answers."""

    def __init__(self, sink: str) -> None:
        """`sink`: its address."""
        self._sink = sink
        self._marked: dict[LaneQueue, _Marked] = {}

    def look(self, lanes: Iterable[LaneQueue], standings: Mapping[str, Standing], now: float) -> bool:
        """Marks the running dispatchers of each lane that has begun to wait for too long, and unmarks them when it goes
        on; whether there were any. Meanwhile the sink is asked; where it has no session of the lane, the lane ends.
        `now` is on time.monotonic(). Whoever waits at a DDL or shows an error is left as it is: maintainers decide by
        that."""
        changed = False
        for queue in lanes:
            is_silent = queue.at_work(now) >= SILENT_SECONDS
            marked = self._marked.get(queue)
            if is_silent and marked is None:
                changed = True
                log.warning("sink-silent", sink=self._sink, dispatchers=sorted(queue.targets))
                running = [standings[key] for key in queue.targets if standings[key].state == pb.RUNNING]
                marked = self._marked[queue] = _Marked(running, now)
                self._tell(marked)
            elif not is_silent and marked is not None:
                changed = True
                for standing in self._marked.pop(queue).running:
                    standing.recover()
            if is_silent and marked is not None:
                changed |= self._inquire(queue, marked, now)
        return changed

    def _inquire(self, queue: LaneQueue, marked: _Marked, now: float) -> bool:
        if marked.inquiry is None:
            if now >= marked.ask_at:
                marked.inquiry = queue.inquire()
                marked.ask_at = now + ASK_AGAIN_SECONDS
            return False
        answer = marked.inquiry.answer
        if answer is None:
            return False
        begun = marked.ask_at - ASK_AGAIN_SECONDS
        marked.inquiry = None
        if answer.fate is Fate.GONE:
            if queue.at_work(now) >= now - begun:  # it is the piece of work that it was asked about
                log.warning("sink-session-gone", sink=self._sink, dispatchers=sorted(queue.targets))
                queue.give_up(self._gone(answer))
            return True
        if answer.text == marked.said:
            return False
        marked.said = answer.text
        self._tell(marked)
        return True

    def _tell(self, marked: _Marked) -> None:
        for standing in marked.running:
            if standing.state in (pb.RUNNING, pb.RETRYING):
                standing.retry(self._error(marked.said))

    def _gone(self, answer: Answer) -> SinkUnavailable:
        return SinkUnavailable(
            f"sink {self._sink} is not heard of: {answer.text}. Nothing is lost: replication goes on by itself over a "
            "new connection"
        )

    def _error(self, said: str) -> SinkUnavailable:
        return SinkUnavailable(
            f"sink {self._sink} has been at one batch for more than {SILENT_SECONDS:.0f} s. "
            + (f"{said}. " if said else "")
            + "It may be at work (rows of tables without a key are searched for one by one), or wait, for room on a "
            "full disk for example: SHOW PROCESSLIST and the error log there tell. Nothing is lost, and replication "
            "goes on by itself when it answers, or when it has the connection's session no more"
        )
