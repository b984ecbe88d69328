"""Positions: what has been reached, and the greatest lower bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.binlog.position import Position, covers, farthest, has_reached, least, readable
from hedgerow.common.errors import BadInput, HistoryDiverged

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"


def at(file: str, offset: int, gtid_set: str = "", source_id: str = "s", time: float = 0.0) -> Position:
    return Position(gtid_set, file, offset, source_id, time)


@given(st.text(), st.text(), st.integers(0, 2**60), st.text(), st.integers(0, 2**31 * 1_000_000))
def test_messages_carry_everything(gtids: str, file: str, offset: int, source: str, micros: int) -> None:
    position = Position(gtids, file, offset, source, micros / 1e6)
    back = Position.read(position.write())
    assert back == Position(gtids, file, offset, source, back.commit_time)
    assert abs(back.commit_time - position.commit_time) < 1e-6


def test_gtids_decide_where_there_are_any() -> None:
    position = at("b.000001", 5, f"{A}:1-5", "old")
    assert has_reached(position, gtid=f"{A}:5", file="b.000009", offset=9, source_id="new", flavour="mysql")
    assert not has_reached(position, gtid=f"{A}:6", file="b.000001", offset=1, source_id="old", flavour="mysql")


@pytest.mark.parametrize(
    ("file", "offset", "expected"),
    [("b.000009", 99, True), ("b.000010", 7, True), ("b.000010", 8, False), ("b.1000000", 4, False)],
)
def test_files_are_ordered_by_number(file: str, offset: int, expected: bool) -> None:
    position = at("b.000010", 7)
    assert has_reached(position, gtid="", file=file, offset=offset, source_id="s", flavour="mysql") is expected


def test_files_of_other_servers_cannot_be_compared() -> None:
    with pytest.raises(HistoryDiverged):
        has_reached(at("b.000001", 5), gtid="", file="b.000001", offset=4, source_id="t", flavour="mysql")
    with pytest.raises(HistoryDiverged):
        least([at("b.000001", 5), at("b.000001", 5, source_id="t")], "mysql")
    with pytest.raises(BadInput):
        has_reached(at("b.000001", 5), gtid="", file="b", offset=4, source_id="s", flavour="mysql")


def test_least_is_reached_by_all() -> None:
    first = at("b.000010", 7, f"{A}:1-5:9", time=3)
    second = at("b.000009", 99, f"{A}:1-6", time=2)
    assert least([first, second], "mysql") == at("b.000009", 99, f"{A}:1-5", time=2)
    assert least([first], "mysql") is first
    moved = at("x.000001", 4, f"{A}:1-8", source_id="t", time=4)
    assert least([first, moved], "mysql") == Position(f"{A}:1-5", commit_time=3)
    assert least([at("b.1", 1, "0-1-4,1-1-1"), at("b.1", 2, "0-2-3")], "mariadb").gtid_set == "0-2-3"


def test_the_farthest_has_all_that_any_has() -> None:
    behind, ahead = at("b.000001", 9, f"{A}:1-5", "old", 1.0), at("b.000001", 5, f"{A}:1-2:7", "new", 2.0)
    assert farthest([behind, ahead], "mysql") == at("b.000001", 5, f"{A}:1-5:7", "new", 2.0)
    assert farthest([at("b.000002", 4, "0-1-3"), at("b.000001", 99, "0-1-1,2-1-1")], "mariadb") == at(
        "b.000002", 4, "0-1-3,2-1-1"
    )


def test_a_dump_begins_in_the_next_file_where_an_offset_has_more_than_four_bytes() -> None:
    assert readable(Position(file="b.000009", offset=(1 << 32) - 1)) == Position(file="b.000009", offset=(1 << 32) - 1)
    assert readable(Position("g", "b.000009", 1 << 32, "s", 7.0)) == Position("g", "b.000010", 4, "s", 7.0)
    assert readable(Position(file="b.999999", offset=9 << 32)).file == "b.1000000"


def test_the_place_before_the_first_gtid_can_be_compared_with_any_server() -> None:
    """A dispatcher that had nothing to apply yet, when the source became another server."""
    beginning = Position(source_id="s")
    assert least([beginning, Position("0-1-5", "b.000001", 9, "t", 2.0)], "mariadb") == Position()
    with pytest.raises(HistoryDiverged):
        least([at("b.000001", 5), Position("0-1-5", "b.000001", 9, "t", 2.0)], "mariadb")


_SETS = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 4)), min_size=1, max_size=3)


def _written(intervals: list[tuple[int, int]], *, upper: bool) -> str:
    """A GTID set as somebody may write it: intervals in any order, touching or overlapping, either case."""
    uuid = "0a1b2c3d-0000-0000-0000-00000000000f"
    return ":".join([uuid.upper() if upper else uuid, *(f"{first}-{first + more}" for first, more in intervals)])


def _numbers(intervals: list[tuple[int, int]]) -> set[int]:
    return {number for first, more in intervals for number in range(first, first + more + 1)}


@given(_SETS, _SETS, st.integers(4, 6), st.integers(4, 6), st.booleans(), st.booleans(), st.booleans())
def test_a_position_covers_another_by_what_it_means(
    ours: list[tuple[int, int]], theirs: list[tuple[int, int]], mine: int, other: int, a: bool, b: bool, same: bool
) -> None:
    position = at("b.1", mine, _written(ours, upper=a))
    recorded = at("b.1", other, _written(theirs, upper=b), "s" if same else "t")
    expected = _numbers(ours) >= _numbers(theirs) and (mine >= other or not same)
    assert covers(position, recorded, "mysql") is expected
