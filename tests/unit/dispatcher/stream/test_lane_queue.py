"""A lane as the stream sees it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from hedgerow.common.binlog.position import Position
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.sink.binlog.batch import Batch
from hedgerow.dispatcher.sink.token import FencingToken
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.stream.lane_queue import LaneQueue
from hedgerow.dispatcher.stream.wake import Wake


def token() -> FencingToken:
    return FencingToken("u", 1)


def spec_in(directory: Path) -> Spec:
    password = directory / "password"
    password.write_text("secret")
    uri = f"mysql://u@127.0.0.1:1/?password_file={password}"
    return Spec.read(pb.ChangefeedSpec(name="f", uid="u", source=uri, sink=uri, flavour="mysql"))


def test_a_lane_that_was_never_asked_to_claim_is_idle(tmp_path: Path) -> None:
    """A stream that is cancelled while it opens its lanes waits for those that work, and only for them."""
    wake = Wake()
    queue = LaneQueue(0, spec_in(tmp_path), token, wake)
    try:
        assert queue.idle
    finally:
        queue.lane.stop()
        wake.close()


class GivenTo:
    """A lane that notes what it is given."""

    max_allowed_packet = 1 << 20
    error = None

    def __init__(self, *_: object) -> None:
        self.batches: list[Batch] = []

    def claim(self, generations: Mapping[str, int]) -> dict[str, Position]:
        return dict.fromkeys(generations, Position(file="b.000001", offset=4, source_id="1"))

    def submit(self, batch: Batch) -> None:
        self.batches.append(batch)


def test_nothing_is_written_of_a_dispatcher_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane that updates a row which is deleted takes itself for fenced."""
    monkeypatch.setattr("hedgerow.dispatcher.stream.lane_queue.Lane", GivenTo)
    wake = Wake()
    queue = LaneQueue(0, spec_in(tmp_path), token, wake)
    wake.close()
    queue.claim({"s.a": 1, "s.b": 1})
    queue.drop("s.a")
    end = Position(file="b.000001", offset=900, source_id="1")
    queue.advance(end, 1, 0, 0.0, leaving=True)
    queue.give(end)
    (batch,) = queue.lane.batches  # type: ignore[attr-defined]
    assert batch.progress == {"s.b": end}


def test_a_lane_is_at_work_from_what_it_was_given_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hedgerow.dispatcher.stream.lane_queue.Lane", GivenTo)
    wake = Wake()
    queue = LaneQueue(0, spec_in(tmp_path), token, wake)
    assert queue.at_work(time.monotonic() + 100) == 0
    queue.claim({"s.a": 1})
    assert 100 <= queue.at_work(time.monotonic() + 100) < 110
    queue._on_done()
    assert queue.at_work(time.monotonic() + 100) == 0
    queue.advance_to({"s.a"}, Position(file="b.000001", offset=5, source_id="1"))
    queue.give(Position(file="b.000001", offset=5, source_id="1"))
    assert 100 <= queue.at_work(time.monotonic() + 100) < 110
    wake.close()
