"""The life of a dispatcher: every event in every state is decided, and what follows carries what is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.binlog.position import Position
from hedgerow.common.errors import SinkDiverged, SinkUnavailable
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.table import FINAL, NEVER, STATES, TRANSITIONS, Answer, Event, Placement, TableProgress

BEGUN = TableProgress(Placement("a.b", 3, 1)).after(Event.BEGAN)
DDL = pb.Ddl(statement="ALTER TABLE a.b ADD c INT")
ARCHITECTURE = Path(__file__).parents[3] / "docs" / "architecture.md"


def happen(table: TableProgress, event: Event) -> TableProgress:
    match event:
        case Event.MET_DDL:
            return table.after(event, ddl=DDL)
        case Event.FAILED:
            return table.after(event, error=SinkUnavailable("gone"), at=7.0)
        case Event.BROKE:
            return table.after(event, error=SinkDiverged("a row is missing"), at=8.0)
        case Event.DROPPED:
            return table.after(event, position=Position(file="binlog.000002", offset=9))
        case _:
            return table.after(event)


def test_every_event_in_every_state_is_decided() -> None:
    named = {number for name, number in pb.DispatcherState.items() if not name.endswith("_UNSPECIFIED")}
    assert set(STATES) == TRANSITIONS.keys() == named
    for state, answers in TRANSITIONS.items():
        assert answers.keys() == set(Event), pb.DispatcherState.Name(state)
        assert all(isinstance(answer, Answer) or answer in STATES for answer in answers.values())


@given(st.lists(st.sampled_from(list(Event)), max_size=12))
def test_what_is_told_belongs_to_the_state(events: list[Event]) -> None:
    table = TableProgress(Placement("a.b", 3, 1))
    for event in events:
        if TRANSITIONS[table.state][event] is NEVER:
            with pytest.raises(ValueError, match=event.name):
                happen(table, event)
            continue
        before, table = table, happen(table, event)
        assert not before.is_final or table is before, "nothing changes what is over"
        assert (table.blocked is not None) == (table.state == pb.BLOCKED)
        if table.state in (pb.RETRYING, pb.BROKEN):
            assert table.error is not None
        if table.state in (pb.STARTING, pb.RUNNING, pb.ENDED):
            assert table.error is None
        status = table.write("n1", 5)
        assert (status.dispatcher, status.epoch, status.generation, status.lane) == ("a.b", 5, 3, 1)
        assert status.state == table.state
        assert status.HasField("error") == (table.error is not None)
        assert status.HasField("blocked") == (table.blocked is not None)


@pytest.mark.parametrize("event", list(Event))
def test_a_dropped_table_stays_what_it_is_when_its_lane_fails_later(event: Event) -> None:
    ended = happen(happen(BEGUN, Event.MET_DDL), Event.DROPPED)
    assert (ended.state, ended.position) == (pb.ENDED, Position(file="binlog.000002", offset=9))
    assert happen(ended, event) is ended


def test_an_error_counts_from_when_it_was_met_first() -> None:
    first = happen(BEGUN, Event.FAILED)
    again = first.after(Event.FAILED, error=SinkUnavailable("gone still"), at=9.0)
    assert (first.error_at, again.error_at, str(again.error)) == (7.0, 7.0, "gone still")
    assert again.after(Event.BROKE, error=SinkDiverged("a row"), at=10.0).error_at == 10.0


def test_the_diagram_in_the_documentation_is_drawn_from_the_table() -> None:
    assert diagram() in ARCHITECTURE.read_text(), f"put this there:\n{diagram()}"


def diagram() -> str:
    arrows: dict[tuple[str, str], list[str]] = {}
    for state, answers in TRANSITIONS.items():
        for event, answer in answers.items():
            if not isinstance(answer, Answer) and answer != state:
                ends = pb.DispatcherState.Name(state), pb.DispatcherState.Name(answer)
                arrows.setdefault(ends, []).append(event.name)
    lines = [f"    {begin} --> {end}: {', '.join(events)}" for (begin, end), events in arrows.items()]
    finals = [f"    {pb.DispatcherState.Name(state)} --> [*]" for state in sorted(FINAL)]
    return "\n".join(["stateDiagram-v2", "    [*] --> STARTING", *lines, *finals])
