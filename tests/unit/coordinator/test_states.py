"""The transition table: what is refused, and how it is said."""

from __future__ import annotations

import pytest

from hedgerow.common.errors import IllegalTransition
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.states import State, Trigger, next_state, possible

STATES: list[State] = [pb.NORMAL, pb.WARNING, pb.FAILED, pb.STOPPED, pb.REMOVED]


def test_a_changefeed_begins_normal_and_cannot_begin_twice() -> None:
    assert next_state("shop", None, Trigger.CREATE) == pb.NORMAL
    for state in STATES:
        with pytest.raises(IllegalTransition):
            next_state("shop", state, Trigger.CREATE)


def test_a_refusal_tells_the_state_and_what_is_possible() -> None:
    with pytest.raises(IllegalTransition) as caught:
        next_state("shop", pb.FAILED, Trigger.PAUSE)
    assert str(caught.value) == "changefeed shop is failed: pause is not possible; possible now: resume, update, remove"


def test_every_state_but_removed_can_be_removed_and_removed_is_final() -> None:
    assert all(next_state("shop", state, Trigger.REMOVE) == pb.REMOVED for state in STATES)
    assert possible(pb.REMOVED) == [Trigger.REMOVE]
    for event in set(Trigger) - {Trigger.REMOVE}:
        with pytest.raises(IllegalTransition):
            next_state("shop", pb.REMOVED, event)


@pytest.mark.parametrize("state", [pb.STOPPED, pb.FAILED])
def test_what_does_not_run_is_resumed_and_never_changed_by_a_report(state: State) -> None:
    assert next_state("shop", state, Trigger.RESUME) == pb.NORMAL
    for event in (Trigger.ERROR_RETRIABLE, Trigger.ERROR_FATAL, Trigger.RECOVERED):
        with pytest.raises(IllegalTransition):
            next_state("shop", state, event)


def test_a_pause_may_be_asked_again_but_a_running_one_is_not_resumed() -> None:
    assert next_state("shop", pb.STOPPED, Trigger.PAUSE) == pb.STOPPED
    with pytest.raises(IllegalTransition, match="possible now: pause, update, move-maintainer, remove"):
        next_state("shop", pb.NORMAL, Trigger.RESUME)


def test_a_warning_ends_by_recovery_by_a_user_or_by_failure() -> None:
    assert next_state("shop", pb.WARNING, Trigger.RECOVERED) == pb.NORMAL
    assert next_state("shop", pb.WARNING, Trigger.RESUME) == pb.NORMAL
    assert next_state("shop", pb.WARNING, Trigger.ERROR_FATAL) == pb.FAILED
