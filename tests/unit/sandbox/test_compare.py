"""The verdict over rows, from packets alone: nothing missing, doubled or changed goes unnoticed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.sandbox.compare import Comparison, compare_rows
from hedgerow.sandbox.rawrows import Column, TableShape, split_row

COLUMNS = (Column("id", "int", None, None, False), Column("v", "varchar(9)", "utf8mb4", "utf8mb4_bin", True))
KEYED = TableShape(COLUMNS, (0,))
KEYLESS = TableShape(COLUMNS, ())

Row = tuple[int, str | None]


def packet(*values: bytes | None) -> bytes:
    """MySQL internals, length-encoded strings: written here a second time, to hold `split_row` against."""
    out = bytearray()
    for value in values:
        if value is None:
            out += b"\xfb"
        elif len(value) < 251:
            out += bytes([len(value)]) + value
        elif len(value) < 1 << 16:
            out += b"\xfc" + len(value).to_bytes(2, "little") + value
        elif len(value) < 1 << 24:
            out += b"\xfd" + len(value).to_bytes(3, "little") + value
        else:
            out += b"\xfe" + len(value).to_bytes(8, "little") + value
    return bytes(out)


def packets(rows: Sequence[Row]) -> list[bytes]:
    return [packet(str(key).encode(), None if value is None else value.encode()) for key, value in rows]


rows = st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.sampled_from(["", "a", "NULL"]))), max_size=12)
keyed_rows = st.dictionaries(st.integers(0, 8), st.one_of(st.none(), st.sampled_from(["", "a", "b"])))


@given(rows, rows)
def test_keyless_rows_are_a_multiset(source: list[Row], sink: list[Row]) -> None:
    verdict = compare_rows("s.t", (KEYLESS, packets(source)), (KEYLESS, packets(sink)))
    assert verdict.equal == (Counter(source) == Counter(sink))
    assert verdict.missing == (Counter(source) - Counter(sink)).total()
    assert verdict.extra == (Counter(sink) - Counter(source)).total()
    assert verdict.different == 0


@given(keyed_rows, keyed_rows)
def test_keyed_rows_are_told_apart_by_their_key(source: dict[int, str | None], sink: dict[int, str | None]) -> None:
    verdict = compare_rows(
        "s.t", (KEYED, packets(list(source.items()))), (KEYED, packets(list(reversed(sink.items()))))
    )
    assert verdict.equal == (source == sink)
    assert verdict.missing == len(source.keys() - sink.keys())
    assert verdict.extra == len(sink.keys() - source.keys())
    assert verdict.different == sum(source[key] != sink[key] for key in source.keys() & sink.keys())


@given(st.lists(st.one_of(st.none(), st.binary(max_size=300))))
def test_a_packet_is_taken_apart_as_it_was_put_together(values: list[bytes | None]) -> None:
    assert split_row(packet(*values)) == tuple(values)


def test_long_values_are_taken_apart() -> None:
    for length in (250, 251, 65_535, 65_536, 1 << 24):
        assert split_row(packet(b"x" * length, None, b"y")) == (b"x" * length, None, b"y")


def test_a_difference_is_shown_by_key_and_column() -> None:
    verdict = compare_rows("s.t", (KEYED, packets([(1, "a"), (2, None)])), (KEYED, packets([(1, "b"), (2, None)])))
    assert verdict.examples == ("different: id='1': v 'a' in the source, 'b' in the sink",)
    assert "1 different" in str(verdict)


def test_a_value_that_is_no_text_is_shown_as_bytes() -> None:
    source = [packet(b"1", b"\xff\x00")]
    verdict = compare_rows("s.t", (KEYLESS, source), (KEYLESS, []))
    assert verdict.examples == ("missing in the sink: id='1', v=0xff00",)


def test_equal_rows_in_other_columns_are_not_equal() -> None:
    other = TableShape((COLUMNS[0], Column("v", "varchar(9)", "utf8mb4", "utf8mb4_general_ci", True)), (0,))
    verdict = compare_rows("s.t", (KEYED, packets([(1, "a")])), (other, packets([(1, "a")])))
    assert not verdict.equal
    assert "utf8mb4_general_ci" in verdict.structure


def test_nothing_compared_is_not_equal() -> None:
    assert not Comparison(()).equal


def test_rows_of_tables_with_other_columns_are_shown_by_name() -> None:
    more = TableShape((*COLUMNS, Column("w", "int", None, None, True)), (0,))
    moved = TableShape((COLUMNS[1], COLUMNS[0]), (1,))
    row = packet(b"1", b"a")
    for source, sink, expected in [
        ((more, [packet(b"1", b"a", b"7")]), (KEYED, [row]), "w '7' in the source, (no such column) in the sink"),
        ((KEYED, [row]), (more, [packet(b"1", b"a", None)]), "w (no such column) in the source, NULL in the sink"),
        ((KEYED, [row]), (moved, [packet(b"a", b"1")]), "extra in the sink: v='a', id='1'"),
    ]:
        verdict = compare_rows("s.t", source, sink)
        assert not verdict.equal
        assert expected in str(verdict)
