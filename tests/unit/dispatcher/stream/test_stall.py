"""When a sink is told to be silent, whom it concerns, and what is made of what the sink says then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hedgerow.common.errors import SinkUnavailable
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.sink.api import Answer, Fate
from hedgerow.dispatcher.sink.inquiry import describe
from hedgerow.dispatcher.stream.stall import ASK_AGAIN_SECONDS, SILENT_SECONDS, StallMonitor
from hedgerow.dispatcher.stream.standing import Standing
from hedgerow.dispatcher.table import Placement, TableProgress


@dataclass(eq=False)
class Lane:
    """As a Port shows it."""

    keys: tuple[str, ...]
    began_at: float | None = None
    targets: dict[str, None] = field(init=False)
    inquiry: Any = None
    asked: int = 0
    error: SinkUnavailable | None = None

    def __post_init__(self) -> None:
        self.targets = dict.fromkeys(self.keys)

    def inquire(self) -> Any:
        self.asked += 1
        return self.inquiry

    def give_up(self, error: SinkUnavailable) -> None:
        self.error = error

    def at_work(self, now: float) -> float:
        return 0.0 if self.began_at is None else now - self.began_at


def test_only_the_dispatchers_of_the_silent_lane_are_marked_and_only_while_it_is() -> None:
    standings = {key: Standing(TableProgress(Placement(key, 1, 0))) for key in ("s.a", "s.b", "s.c")}
    for standing in standings.values():
        standing.run()
    silent, other = Lane(("s.a", "s.b"), 100.0), Lane(("s.c",), 110.0)
    lanes: Any = [silent, other]
    silence = StallMonitor("sink:3306")

    def states(now: float) -> tuple[bool, list[int]]:
        changed = silence.look(lanes, standings, now)
        return changed, [standing.state for standing in standings.values()]

    running, marked = [pb.RUNNING] * 3, [pb.RETRYING, pb.RETRYING, pb.RUNNING]
    assert states(100.0 + SILENT_SECONDS - 0.1) == (False, running)
    assert states(100.0 + SILENT_SECONDS) == (True, marked)
    error = standings["s.a"].progress().error
    assert isinstance(error, SinkUnavailable)
    assert "sink:3306" in str(error)
    assert states(100.0 + SILENT_SECONDS + 5) == (False, marked)
    silent.began_at = 100.0 + SILENT_SECONDS + 6  # it goes on with the next batch
    assert states(100.0 + SILENT_SECONDS + 7) == (True, running)
    other.began_at = None
    assert states(500.0) == (True, marked)


def test_a_dispatcher_that_waits_at_a_ddl_goes_on_waiting_there() -> None:
    """Its maintainer decides only over those that it sees blocked."""
    standings = {key: Standing(TableProgress(Placement(key, 1, 0))) for key in ("*", "s.a", "s.b")}
    for standing in standings.values():
        standing.run()
    ddl = pb.Ddl(statement="ALTER TABLE s.a ADD v INT")
    standings["*"].block(ddl)
    lane = Lane(("*", "s.a", "s.b"), 0.0)
    lanes: Any = [lane]
    silence = StallMonitor("sink")
    silence.look(lanes, standings, 1000.0)
    assert [standing.state for standing in standings.values()] == [pb.BLOCKED, pb.RETRYING, pb.RETRYING]
    standings["s.a"].block(ddl)
    lane.began_at = None
    assert silence.look(lanes, standings, 1001.0)
    assert [standing.state for standing in standings.values()] == [pb.BLOCKED, pb.BLOCKED, pb.RUNNING]
    assert standings["*"].progress().blocked == standings["s.a"].progress().blocked == ddl


def test_a_table_that_was_dropped_meanwhile_is_left_alone() -> None:
    standings = {"s.a": Standing(TableProgress(Placement("s.a", 1, 0)))}
    standings["s.a"].give_up(SinkUnavailable("another"))
    lane = Lane(("s.a",), 0.0)
    del lane.targets["s.a"]
    lanes: Any = [lane]
    StallMonitor("sink").look(lanes, standings, 1000.0)
    assert standings["s.a"].state == pb.BROKEN


@dataclass(eq=False)
class Inquiry:
    answer: Answer | None = None


def looked(lane: Lane, silence: StallMonitor, standings: dict[str, Standing], now: float) -> str:
    lanes: Any = [lane]
    silence.look(lanes, standings, now)
    return str(standings["s.a"].progress().error)


def silent_lane() -> tuple[Lane, StallMonitor, dict[str, Standing]]:
    standings = {"s.a": Standing(TableProgress(Placement("s.a", 1, 0)))}
    standings["s.a"].run()
    return Lane(("s.a",), 0.0, inquiry=Inquiry()), StallMonitor("sink"), standings


def test_a_lane_whose_session_is_gone_ends() -> None:
    lane, silence, standings = silent_lane()
    looked(lane, silence, standings, 100.0)
    looked(lane, silence, standings, 200.0)
    assert lane.asked == 1, "one question at a time"
    assert lane.error is None
    lane.inquiry.answer = Answer(Fate.GONE, "it is gone")
    looked(lane, silence, standings, 201.0)
    assert isinstance(lane.error, SinkUnavailable)
    assert "it is gone" in str(lane.error)


def test_an_answer_about_an_earlier_batch_ends_nothing() -> None:
    lane, silence, standings = silent_lane()
    looked(lane, silence, standings, 100.0)
    lane.inquiry.answer = Answer(Fate.GONE, "it is gone")
    lane.began_at = 101.0
    looked(lane, silence, standings, 101.0 + SILENT_SECONDS + 1)
    assert lane.error is None


def test_what_the_sink_is_at_is_told_and_asked_again() -> None:
    lane, silence, standings = silent_lane()
    looked(lane, silence, standings, 100.0)
    lane.inquiry.answer = Answer(Fate.THERE, "Its session 7 there executes BINLOG (rows)")
    assert "Its session 7 there executes BINLOG (rows)" in looked(lane, silence, standings, 101.0)
    looked(lane, silence, standings, 100.0 + ASK_AGAIN_SECONDS - 1)
    assert lane.asked == 1
    looked(lane, silence, standings, 100.0 + ASK_AGAIN_SECONDS)
    assert lane.asked == 2
    assert lane.error is None


def test_one_that_cannot_be_asked_about_is_left_to_go_on() -> None:
    lane, silence, standings = silent_lane()
    looked(lane, silence, standings, 100.0)
    lane.inquiry.answer = Answer(Fate.UNKNOWN, "It has not answered")
    assert "It has not answered" in looked(lane, silence, standings, 101.0)
    assert lane.error is None


def test_what_a_session_is_at_is_told_without_its_rows() -> None:
    assert describe(7, "Query", "Waiting for commit lock", "BINLOG 'AAAA\nBBB'") == (
        "Its session 7 there executes BINLOG (rows), state: Waiting for commit lock"
    )
    assert describe(7, "Query", "", "") == "Its session 7 there executes Query"
    assert describe(7, "Sleep", "", "") == "Its session 7 there waits for a statement"
    assert len(describe(7, "Query", "", "SELECT " + "1, " * 100)) < 150
