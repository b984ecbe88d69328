"""What identifies a position's last transaction, as text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.binlog.mark import Mark, moved
from hedgerow.common.binlog.position import Position, farthest, least

U32 = st.integers(0, 2**32 - 1)
UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
GTIDS = st.sampled_from(
    ["", "0-1-7", f"{UUID}:9", f"{UUID}:{'t' * 32}:{2**63 - 2}", f"{2**32 - 1}-{2**32 - 1}-{2**64 - 1}"]
)
MARKS = st.builds(Mark, GTIDS, st.integers(0, 2**55), U32, st.integers(0, 2**40), U32, U32)


@given(MARKS, st.text(), st.integers(0, 2**40))
def test_text_carries_everything_and_fits(mark: Mark, file: str, offset: int) -> None:
    text = mark.write(file, offset)
    assert Mark.read(text, file, offset) == mark
    assert len(text) <= 255, "hedgerow.progress, column mark"


@given(MARKS, st.text())
def test_a_mark_is_of_one_place(mark: Mark, text: str) -> None:
    """A writer that knows of no marks moves the place alone."""
    assert Mark.read(mark.write("b.000001", 7), "b.000001", 8) is None
    assert Mark.read(mark.write("b.000001", 7), "b.000002", 7) is None
    assert Mark.read(text, "b.000001", 7) is None


@given(MARKS)
def test_who_moves_on_keeps_the_transaction_and_leaves_the_place(mark: Mark) -> None:
    position = Position("0-1-7", "b.000001", 7, "s", mark=mark.write("b.000001", 7))
    there = Mark.read(moved(position, "b.000002", 4, 5), "b.000002", 4)
    assert there == Mark(mark.gtid, mark.micros, mark.changed, 0, 0, 5)
    assert Mark.read(moved(position, "", 0, 0), "", 0) == Mark(mark.gtid, mark.micros, mark.changed, 0, 0, 0)


def test_bounds_have_the_mark_of_their_place() -> None:
    first = Position("0-1-7", "b.000001", 7, "s", 1.0, "first")
    last = Position("0-1-9", "b.000001", 9, "s", 2.0, "last")
    assert least([last, first], "mariadb").mark == "first"
    assert farthest([last, first], "mariadb").mark == "last"
    assert Position.read(last.write()).mark == "last"
