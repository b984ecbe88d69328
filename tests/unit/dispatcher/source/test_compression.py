"""Compressed events of both flavours, built here with the libraries that the servers use."""

from __future__ import annotations

import struct
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.binlog import events as e
from hedgerow.common.errors import BinlogCorrupt
from hedgerow.dispatcher.source.compression import unwrap
from hedgerow.dispatcher.source.framing import CUT, Framer
from tests.unit.dispatcher.source.packets import description, frame, make_event, sealed, stream

inner_events = st.lists(
    st.builds(make_event, st.sampled_from([e.QUERY, e.TABLE_MAP, e.WRITE_ROWS, e.XID]), st.binary(max_size=500)),
    max_size=20,
)


def payload(events: list[bytes], *, compress: bool = True, method: int | None = None) -> bytes:
    plain = b"".join(events)
    data = zstandard.ZstdCompressor().compress(plain) if compress else plain
    kind = method if method is not None else (0 if compress else 255)
    value = bytes([kind]) if kind < 0xFB else b"\xfc" + struct.pack("<H", kind)
    fields = bytes([2, len(value)]) + value + b"\x03\x09\xfe" + struct.pack("<Q", len(plain))
    fields += b"\x01\x09\xfe" + struct.pack("<Q", len(data)) + b"\0"
    return make_event(e.TRANSACTION_PAYLOAD, fields + data, log_pos=4321)


def squeezed(kind: int, head: bytes, data: bytes) -> bytes:
    length = len(data).to_bytes(2, "big")
    return make_event(kind, head + bytes([0x80 | 2]) + length + zlib.compress(data))


@given(inner_events, st.booleans())
def test_a_payload_holds_its_events(events: list[bytes], compress: bool) -> None:
    moved = [event[: e.LOG_POS_AT] + struct.pack("<I", 4321) + event[e.FLAGS_AT :] for event in events]
    before, after = make_event(e.GTID, bytes(25)), make_event(e.XID, bytes(8))
    out, _ = frame(stream([description(True), *map(sealed, (before, payload(events, compress=compress), after))]))
    assert out[1:] == [before, *moved, after]


def test_a_large_payload_comes_in_parts() -> None:
    inner = [make_event(e.WRITE_ROWS, bytes(CUT // 2), log_pos=4321) for _ in range(9)]
    data = stream([description(True), sealed(payload(inner)), sealed(inner[0])])
    framer = Framer()
    framer.space()[: len(data)] = data
    framer.filled(len(data))
    parts = []
    while framer.more:
        parts.append(framer.cut())
    assert [event for part in parts for event in part][1:] == [*inner, inner[0]]
    assert max(sum(map(len, part)) for part in parts) < 2 * CUT + 1000


@pytest.mark.parametrize(
    ("compressed", "plain", "head"),
    [
        (e.QUERY_COMPRESSED, e.QUERY, bytes(8) + b"\x02\0\0\x03\0" + b"abc" + b"db\0"),
        (e.WRITE_ROWS_COMPRESSED_V1, e.WRITE_ROWS_V1, bytes(8) + b"\x09\xff\x01"),
        (e.UPDATE_ROWS_COMPRESSED_V1, e.UPDATE_ROWS_V1, bytes(8) + b"\x09\xff\x01\xff\x01"),
        (e.DELETE_ROWS_COMPRESSED_V1, e.DELETE_ROWS_V1, bytes(8) + b"\x09\xff\x01"),
        (e.WRITE_ROWS_COMPRESSED, e.WRITE_ROWS, bytes(8) + b"\x03\0x" + b"\x09\xff\x01"),
        (e.UPDATE_ROWS_COMPRESSED, e.UPDATE_ROWS, bytes(8) + b"\x02\0" + b"\x09\xff\x01\xff\x01"),
    ],
)
@given(data=st.binary(max_size=1000))
def test_mariadb_events_become_plain(compressed: int, plain: int, head: bytes, data: bytes) -> None:
    events = [squeezed(compressed, head, data)] * 3
    out, _ = frame(stream([description(True), *map(sealed, events)]))
    assert out[1:] == [make_event(plain, head + data)] * 3


def test_thousands_of_compressed_events_in_one_buffer() -> None:
    event = squeezed(e.WRITE_ROWS_COMPRESSED_V1, bytes(8) + b"\x01\xff", b"row")
    out, _ = frame(stream([description(True), *[sealed(event)] * 5000]))
    assert len(out) == 5001


@pytest.mark.parametrize(
    "event",
    [
        payload([], method=7),
        payload([make_event(e.XID, bytes(8))])[:-3],
        payload([make_event(e.XID, bytes(8))[:-3]], compress=False),
        make_event(e.TRANSACTION_PAYLOAD, b"\x02"),
        squeezed(e.QUERY_COMPRESSED, bytes(13) + b"\0", b"abc")[:-2],
        make_event(e.WRITE_ROWS_COMPRESSED_V1, bytes(8) + b"\x01\xff\x91\x03" + zlib.compress(b"abc")),
        make_event(e.WRITE_ROWS_COMPRESSED_V1, bytes(8) + b"\x01\xff\x81\x04" + zlib.compress(b"abc")),
    ],
)
def test_damage_is_an_error(event: bytes) -> None:
    with pytest.raises(BinlogCorrupt):
        list(unwrap(event))
