"""Framing: whatever the network does to the boundaries, the same events come out, and damage never does."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.binlog import events as e
from hedgerow.common.errors import BinlogCorrupt, UnsupportedEvent
from hedgerow.dispatcher.source.framing import CAPACITY, MOST_COMPRESSED, Framer
from tests.unit.dispatcher.source.packets import LONGEST, description, frame, make_event, packets, sealed, stream

kinds = st.sampled_from([e.TABLE_MAP, e.WRITE_ROWS, e.XID, e.QUERY, e.HEARTBEAT, e.GTID, 99])
plain_events = st.lists(st.builds(make_event, kinds, st.binary(max_size=300)), max_size=30)
chunk_sizes = st.lists(st.integers(1, 400), max_size=60)


@given(plain_events, chunk_sizes, st.booleans())
def test_chunk_boundaries_do_not_matter(events: list[bytes], chunks: list[int], checksums: bool) -> None:
    sent = [description(checksums), *(sealed(event) if checksums else event for event in events)]
    out, end = frame(stream(sent), chunks)
    assert end is None
    assert out[1:] == events
    assert out[0][e.TYPE_AT] == e.FORMAT_DESCRIPTION


@given(plain_events.filter(bool), st.data())
def test_a_flipped_bit_never_passes(events: list[bytes], data: st.DataObject) -> None:
    sent = [sealed(event) for event in events]
    victim = data.draw(st.integers(0, len(sent) - 1))
    at = data.draw(st.integers(0, len(sent[victim]) - 1))
    bit = data.draw(st.integers(0, 7))
    broken = bytearray(sent[victim])
    broken[at] ^= 1 << bit
    sent[victim] = bytes(broken)
    with pytest.raises(BinlogCorrupt):
        frame(stream([description(True), *sent]))


def test_a_lost_packet_is_noticed() -> None:
    events = [make_event(e.XID, bytes(8)) for _ in range(300)]
    whole = stream([description(False), *events])
    size = len(packets([b"\0" + events[0]]))
    with pytest.raises(BinlogCorrupt, match="packet"):
        frame(whole[: -size * 2] + whole[-size:])


@pytest.mark.parametrize("size", [CAPACITY, LONGEST - 21, LONGEST - 20, LONGEST, 2 * LONGEST - 20, 2 * LONGEST + 5])
def test_large_events_come_whole(size: int) -> None:
    small = make_event(e.XID, bytes(8))
    large = make_event(e.WRITE_ROWS, bytes(range(256)) * (size // 256) + bytes(size % 256))
    out, _ = frame(stream([description(True), *map(sealed, (small, large, small, large, small))]))
    assert [len(event) for event in out[1:]] == [len(event) for event in (small, large, small, large, small)]
    assert out[1:] == [small, large, small, large, small]


def test_the_buffer_shrinks_again() -> None:
    framer = Framer()
    data = stream([make_event(e.WRITE_ROWS, bytes(5 * CAPACITY)), make_event(e.XID, bytes(8))])
    at, largest = 0, 0
    while at < len(data):
        space = framer.space()
        largest = max(largest, len(framer._buffer))
        size = min(len(space), len(data) - at)
        space[:size] = data[at : at + size]
        framer.filled(size)
        at += size
        while framer.more:
            framer.cut()
    framer.space()
    assert largest == 8 * CAPACITY
    assert len(framer._buffer) == CAPACITY


def test_the_end_of_the_stream_comes_after_its_events() -> None:
    events = [make_event(e.XID, bytes(8)), make_event(e.HEARTBEAT, b"b.000001")]
    error = b"\xff" + (1236).to_bytes(2, "little") + b"#HY000the text"
    out, end = frame(packets([*(b"\0" + event for event in events), error]))
    assert out == events
    assert end is not None
    assert (end.code, end.text) == (1236, "the text")
    out, end = frame(packets([b"\0" + events[0], b"\xfe\0\0\2\0"]))
    assert out == events[:1]
    assert end is not None
    assert end.code == 0


def test_the_description_is_ready_for_a_sink() -> None:
    out, _ = frame(stream([description(True, created=0x12345678)]))
    (event,) = out
    assert event[e.HEADER + 52 : e.HEADER + 56] == bytes(4)
    assert event[-5] == 0
    assert len(event) == int.from_bytes(event[e.SIZE_AT : e.SIZE_AT + 4], "little")


def test_a_file_that_is_in_use_has_a_valid_description() -> None:
    marked = bytearray(description(True))
    marked[e.FLAGS_AT] |= 1
    out, _ = frame(stream([bytes(marked)]))
    assert len(out) == 1


def test_made_up_events_may_have_checksums_in_a_file_without() -> None:
    rotate = make_event(e.ROTATE, bytes(8) + b"b.000002", log_pos=0, flags=e.ARTIFICIAL_F)
    out, _ = frame(stream([sealed(rotate), description(False), rotate, sealed(rotate)]))
    assert [out[0], *out[2:]] == [rotate] * 3


def test_a_compressed_transaction_that_is_too_large_is_refused_at_its_first_packet() -> None:
    head = struct.pack("<IBIIIH", 7, e.TRANSACTION_PAYLOAD, 1, MOST_COMPRESSED + 1, 9999, 0)
    first = packets([b"\0" + head + bytes(LONGEST - 20)])[: 4 + LONGEST]
    with pytest.raises(UnsupportedEvent, match=rf"{MOST_COMPRESSED + 1} bytes ends at offset 9999.*= OFF"):
        frame(first)
    allowed = struct.pack("<IBIIIH", 7, e.TRANSACTION_PAYLOAD, 1, MOST_COMPRESSED, 9999, 0)
    assert frame(packets([b"\0" + allowed + bytes(LONGEST - 20)])[: 4 + LONGEST]) == ([], None)
