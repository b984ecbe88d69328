"""Where maintainers go, and how long a changefeed waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.backoff import CHANGEFEED, jitter_of
from hedgerow.coordinator.placement import choose, imbalance

LOADS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 9))


def test_the_node_with_the_fewest_is_chosen_and_ties_go_by_name() -> None:
    assert choose({"c": 1, "b": 0, "a": 0}) == "a"
    assert choose({"c": 1, "b": 0, "a": 0}, avoid=["a"]) == "b"
    assert choose({"a": 0}, avoid=["a"]) is None
    assert choose({}) is None


def test_a_difference_of_one_is_even_enough() -> None:
    assert imbalance({"a": 2, "b": 1}) is None
    assert imbalance({"a": 2, "b": 0}) == ("a", "b")
    assert imbalance({}) is None


@given(LOADS)
def test_balancing_ends(loads: dict[str, int]) -> None:
    steps = 0
    while (step := imbalance(loads)) is not None:
        source, target = step
        loads[source] -= 1
        loads[target] += 1
        steps += 1
        assert steps <= 9 * len(loads)
    assert not loads or max(loads.values()) - min(loads.values()) <= 1


def test_the_wait_doubles_up_to_a_minute() -> None:
    assert [CHANGEFEED.seconds(attempt, 0) for attempt in (1, 2, 3, 6, 7, 1000)] == [1, 2, 4, 32, 60, 60]


@given(st.integers(0, 100), st.floats(-5, 5))
def test_jitter_is_at_most_a_tenth(attempts: int, jitter: float) -> None:
    assert (
        0.899 * CHANGEFEED.seconds(attempts)
        <= CHANGEFEED.seconds(attempts, jitter)
        <= 1.101 * CHANGEFEED.seconds(attempts)
    )


@given(st.text(), st.integers(0, 100))
def test_the_jitter_is_the_same_for_every_coordinator(uid: str, attempts: int) -> None:
    assert -1 <= jitter_of(uid, attempts) == jitter_of(uid, attempts) <= 1.001
