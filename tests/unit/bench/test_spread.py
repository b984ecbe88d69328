"""The arithmetic of windows."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.spread import GROWTH, Spread, close, maybe_spread, ratios, spread, wanted_size

SECONDS = st.floats(0.001, 1000)


def test_a_spread_is_the_least_the_middle_and_the_most() -> None:
    assert spread([3.0, 1.0, 10.0]) == Spread(1.0, 3.0, 10.0)
    assert spread([2.0, 1.0]) == Spread(1.0, 1.5, 2.0)
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)
    assert maybe_spread([None, 4.0, None, 2.0]) == Spread(2.0, 3.0, 4.0)
    assert maybe_spread([None]) is None
    with pytest.raises(ValueError, match="no values"):
        spread([])


def test_a_ratio_is_between_windows_of_the_same_round() -> None:
    """The second round was slow for everybody: as multiples of medians the ratio would be 4, and spread from 1 to 4."""
    ours, native = {1: 40.0, 2: 10.0, 3: 44.0}, {1: 10.0, 2: 2.5, 3: 10.0}
    assert ratios(ours, native) == Spread(4.0, 4.0, 4.4)
    assert ratios(native, native) == Spread(1.0, 1.0, 1.0)


def test_a_round_in_which_one_of_both_failed_has_no_ratio() -> None:
    assert ratios({1: 6.0, 2: 8.0}, {2: 2.0, 3: 1.0}) == Spread(4.0, 4.0, 4.0)
    assert ratios({1: 6.0}, {2: 2.0}) is None
    assert ratios({1: 6.0}, {}) is None


@given(st.integers(1, 10**6), SECONDS, SECONDS)
def test_more_is_written_until_the_window_is_long_enough(size: int, seconds: float, wanted: float) -> None:
    """Whoever is as fast over a long time as over a short one needs as long as was wanted, and it does not grow for
    ever, nor in leaps that a first short window would send astray."""
    rate, steps = size / seconds, 0
    while size / rate < wanted:
        larger = wanted_size(size, size / rate, wanted)
        assert size < larger <= math.ceil(size * GROWTH)
        size, steps = larger, steps + 1
    assert steps <= 8


def test_the_margin_is_for_a_faster_window_to_come() -> None:
    assert wanted_size(1000, 2.5, 5.0) == 2500
    assert wanted_size(1000, 0.01, 5.0) == 10_000
    assert wanted_size(1000, 0.0, 5.0) == 10_000
    assert wanted_size(1000, 9.0, 5.0) == 1001


def test_whoever_is_close_over_a_short_window_may_win_over_a_long_one() -> None:
    assert close({"a": 0.2, "b": 0.4, "c": 0.41}) == {"a", "b"}
    assert close({"a": 3.0}) == {"a"}
