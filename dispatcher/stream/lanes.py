"""The lanes of one attempt together: opening them, how much fits into them, ending them.

Used by the stream's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import Fenced
from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.dispatcher.sink.api import Sink
from hedgerow.dispatcher.sink.token import CurrentToken
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.stream.intake import Target
from hedgerow.dispatcher.stream.lane_queue import LaneQueue
from hedgerow.dispatcher.stream.standing import Standing
from hedgerow.dispatcher.stream.wake import Wake
from hedgerow.dispatcher.table import by_lane

FINISH_SECONDS = 1.0  # that lanes have to finish what they were given, when the stream ends


class Lanes:
    """Iterates over the lanes that have claimed."""

    def __init__(
        self, spec: Spec, sink: Sink, token: CurrentToken, standings: Mapping[str, Standing], wake: Wake
    ) -> None:
        self._spec = spec
        self._sink = sink
        self._token = token
        self._standings = standings
        self._wake = wake
        self._all: list[LaneQueue] = []
        self._opening: list[LaneQueue] = []  # has not claimed yet

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
            epoch = self._token().epoch
            queue = LaneQueue(number, self._spec, self._sink, self._wake)
            self._opening = [queue]
            try:
                positions = queue.claim(generations)
            except Fenced as error:
                queue.lane.stop()
                if self._token().epoch > epoch:  # taken over meanwhile: it was not this node that was fenced
                    continue
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
        return self._token().lost(generations, self._sink.ledger.incarnations())

    @property
    def served(self) -> set[str]:
        """The dispatchers that are theirs, without those that are gone."""
        return {key for queue in self._all for key in queue.targets}

    def connect(self, description: bytes) -> None:
        """Collects again in each, by what the sink's tables are like now. Nothing is pending."""
        for queue in self._all:
            queue.connect(description)

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
        """That the sink has changed for the lanes."""
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

    def close(self) -> None:
        """Lets the lanes finish what they have, for a short while, and awaits their threads."""
        for queue in self._opening:
            queue.lane.stop()
        deadline = time.monotonic() + FINISH_SECONDS
        for queue in self._all:
            while not (self._sink.is_cut or queue.idle or queue.lane.error) and time.monotonic() < deadline:
                self._wake.wait(deadline - time.monotonic())
            queue.lane.stop()
            queue.harvest(self._standings)
