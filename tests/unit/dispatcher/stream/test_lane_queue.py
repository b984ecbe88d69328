"""A lane as the stream sees it, of a sink in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hedgerow.common.binlog.position import Position
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.sink.api import Marker
from hedgerow.dispatcher.sink.token import FencingToken
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.stream.lane_queue import LaneFailed, LaneQueue
from hedgerow.dispatcher.stream.wake import Wake
from tests.unit.dispatcher.sink.memory_server import MemoryServer
from tests.unit.dispatcher.sink.memory_sink import MemorySink

SECONDS = 30.0
START = Position(file="b.000001", offset=4, source_id="1")
END = Position(file="b.000001", offset=900, source_id="1")


class Queue:
    def __init__(self, spec: Spec) -> None:
        self.server = MemoryServer(fence=1)
        self.server.add(START, "s.a", "s.b")
        self.wake = Wake()
        token = FencingToken("u", 1)
        self.queue = LaneQueue(0, spec, MemorySink(self.server, lambda: token), self.wake)

    def claim(self, *keys: str) -> LaneQueue:
        self.queue.claim(dict.fromkeys(keys, 1))
        return self.queue

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not holds():
            assert time.monotonic() < deadline
            self.wake.wait(0.1)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Queue]:
    password = tmp_path / "password"
    password.write_text("secret")
    uri = f"mysql://u@127.0.0.1:1/?password_file={password}"
    one = Queue(Spec.read(pb.ChangefeedSpec(name="f", uid="u", source=uri, sink=uri, flavour="mysql")))
    yield one
    one.queue.lane.stop()
    one.wake.close()


def test_a_lane_that_was_never_asked_to_claim_is_idle(made: Queue) -> None:
    """A stream that is cancelled while it opens its lanes waits for those that work, and only for them."""
    assert made.queue.idle


def test_nothing_is_written_of_a_dispatcher_that_is_gone(made: Queue) -> None:
    """A lane that updates a row which is deleted takes itself for fenced."""
    queue = made.claim("s.a", "s.b")
    del made.server.progress["s.a"]
    queue.drop("s.a")
    queue.advance(END, 1, 0, 0.0, leaving=True)
    queue.give(END)
    made.until(lambda: queue.idle)
    queue.check()
    assert queue.lane.applied.positions == {"s.b": END}


def test_a_lane_is_at_work_from_what_it_was_given_to_its_end(made: Queue) -> None:
    assert made.queue.at_work(time.monotonic() + 100) == 0
    queue = made.claim("s.a")
    assert queue.at_work(time.monotonic() + 100) == 0
    with made.server.hold():
        queue.advance_to({"s.a"}, END)
        queue.give(END)
        assert 100 <= queue.at_work(time.monotonic() + 100) < 110
    made.until(lambda: queue.at_work(time.monotonic() + 100) == 0)


def test_a_marker_is_passed_when_what_was_given_before_it_is_durable(made: Queue) -> None:
    queue = made.claim("s.a")
    first, second = Marker(1, 1, 1), Marker(1, 1, 2)
    with made.server.hold():
        queue.advance_to({"s.a"}, END)
        queue.give(END, first)
        assert not queue.has_passed(first)
    made.until(lambda: queue.has_passed(first))
    assert made.server.progress["s.a"].position == END
    assert not queue.has_passed(second)
    queue.give(END, second)
    made.until(lambda: queue.has_passed(second))
    assert made.server.commits == 1, "a marker alone is no transaction of the sink"


def test_a_lane_that_fails_has_passed_nothing_though_it_is_at_work_no_more(made: Queue) -> None:
    queue = made.claim("s.a")
    made.server.fence = 2
    queue.advance_to({"s.a"}, END)
    queue.give(END, Marker(1, 1, 1))
    made.until(lambda: queue.idle)
    assert not queue.has_passed(Marker(1, 1, 1))
    with pytest.raises(LaneFailed):
        queue.check()
