"""Coordinator, maintainer and dispatchers mean the same by a changefeed's options."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.options import DEFAULTS, LEAST, MOST, actual_lane, effective
from hedgerow.common.pb.v1 import model_pb2 as pb


def test_what_is_not_set_is_the_default() -> None:
    assert effective(pb.ChangefeedOptions()) == DEFAULTS
    assert effective(pb.ChangefeedOptions(batch_bytes=4096)).lanes == DEFAULTS.lanes


def test_whole_transactions_need_one_lane() -> None:
    assert effective(pb.ChangefeedOptions(consistency=pb.TRANSACTION, lanes=8)).lanes == 1


@pytest.mark.parametrize("name", list(MOST))
def test_defaults_are_within_the_bounds(name: str) -> None:
    assert LEAST[name] <= getattr(DEFAULTS, name) <= MOST[name]


@given(st.integers(0, 1000), st.integers(1, 64))
def test_a_lane_is_one_of_those_there_are(lane: int, lanes: int) -> None:
    assert 0 <= actual_lane(lane, lanes) < lanes
    assert lane >= lanes or actual_lane(lane, lanes) == lane
