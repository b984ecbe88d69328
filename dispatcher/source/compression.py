"""Compressed events of both flavours, turned into the plain events that they stand for.

MySQL's TRANSACTION_PAYLOAD (manual, "Binary Log Transaction Compression") holds the events of one transaction after its
GTID, zstd-compressed, without checksums; their log_pos is not of this file, so they are given the payload event's.
MariaDB's *_COMPRESSED events (sql/log_event.cc, `binlog_buf_uncompress`) are query and rows events whose last part is
zlib-compressed. Both come here with their checksum stripped.

Decompression is bounded: events are yielded one by one, so a payload of a gigabyte does not become many, and nothing is
allocated because a length says so: what is held grows with what there is, up to the largest event that a server makes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Final

import zstandard

from hedgerow.common.binlog import events as e
from hedgerow.common.errors import BinlogCorrupt

_PLAIN: Final = {
    e.QUERY_COMPRESSED: e.QUERY,
    e.WRITE_ROWS_COMPRESSED_V1: e.WRITE_ROWS_V1,
    e.UPDATE_ROWS_COMPRESSED_V1: e.UPDATE_ROWS_V1,
    e.DELETE_ROWS_COMPRESSED_V1: e.DELETE_ROWS_V1,
    e.WRITE_ROWS_COMPRESSED: e.WRITE_ROWS,
    e.UPDATE_ROWS_COMPRESSED: e.UPDATE_ROWS,
    e.DELETE_ROWS_COMPRESSED: e.DELETE_ROWS,
}
COMPRESSED: Final = frozenset({e.TRANSACTION_PAYLOAD, *_PLAIN})

_FIELD_END, _FIELD_SIZE, _FIELD_COMPRESSION, _FIELD_PLAIN_SIZE = range(4)
_ZSTD, _NONE = 0, 255
MOST_EVENT: Final = (1 << 30) + (1 << 20)  # bytes: max_allowed_packet is 1 GiB at most, and a header comes on top
_CHUNK: Final = 1 << 20


def unwrap(event: bytes | memoryview) -> Iterator[bytes]:
    """The plain events inside one event whose type is in COMPRESSED, in order; raises BinlogCorrupt."""
    if event[e.TYPE_AT] == e.TRANSACTION_PAYLOAD:
        return _payload(event)
    return iter((_plain(bytes(event)),))


def _payload(event: bytes | memoryview) -> Iterator[bytes]:
    at, fields = e.HEADER, {_FIELD_COMPRESSION: _ZSTD}
    try:
        while True:
            field, at = lenenc(event, at)
            if field == _FIELD_END:
                break
            length, at = lenenc(event, at)
            fields[field], _ = lenenc(event, at)
            at += length
    except (IndexError, struct.error) as error:
        raise BinlogCorrupt("a TRANSACTION_PAYLOAD event ends inside its header") from error
    compression, size = fields[_FIELD_COMPRESSION], fields.get(_FIELD_SIZE)
    if size != len(event) - at:
        raise BinlogCorrupt(f"a TRANSACTION_PAYLOAD event holds {len(event) - at} bytes, its header says {size}")
    if compression not in (_ZSTD, _NONE):
        raise BinlogCorrupt(f"a TRANSACTION_PAYLOAD event is compressed with unknown method {compression}")
    left = int(fields.get(_FIELD_PLAIN_SIZE, size))  # a truncated zstd frame just ends, without an error
    body = memoryview(event)[at:]  # not copied: it may be large
    log_pos = bytes(event[e.LOG_POS_AT : e.LOG_POS_AT + 4])
    with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as plain:
        source = plain if compression == _ZSTD else BytesIO(body)
        try:
            while header := _read(source, e.HEADER):
                size = int.from_bytes(header[e.SIZE_AT : e.SIZE_AT + 4], "little")
                left -= size
                if len(header) < e.HEADER or size < e.HEADER:
                    raise BinlogCorrupt("a TRANSACTION_PAYLOAD event holds an event with a damaged header")
                if left < 0 or size > MOST_EVENT:
                    raise BinlogCorrupt(
                        f"a TRANSACTION_PAYLOAD event holds an event of {size} bytes, more than there is"
                    )
                rest = _read(source, size - e.HEADER)
                if len(rest) < size - e.HEADER:
                    raise BinlogCorrupt("a TRANSACTION_PAYLOAD event ends in the middle of an event")
                yield header[: e.LOG_POS_AT] + log_pos + header[e.FLAGS_AT :] + rest
        except zstandard.ZstdError as error:
            raise BinlogCorrupt(f"a TRANSACTION_PAYLOAD event cannot be decompressed: {error}") from error
    if left:
        raise BinlogCorrupt(f"a TRANSACTION_PAYLOAD event ends {left} bytes before the size that its header says")


def _read(source: zstandard.ZstdDecompressionReader | BytesIO, size: int) -> bytes:
    """Read `size` bytes, fewer only at the end: a decompressor may give less than it was asked for, and it allocates
    what it is asked for."""
    data = source.read(min(size, _CHUNK))
    if len(data) == size:
        return data
    parts, have = [data], len(data)
    while have < size and (data := source.read(min(size - have, _CHUNK))):
        parts.append(data)
        have += len(data)
    return b"".join(parts)


def _plain(event: bytes) -> bytes:
    kind = event[e.TYPE_AT]
    try:
        at = e.query_text_at(event) if kind == e.QUERY_COMPRESSED else _rows_data(event, kind)
        length_bytes = event[at] & 0x07
        method = event[at] >> 4 & 0x07
        expected = int.from_bytes(event[at + 1 : at + 1 + length_bytes], "big")
        if not event[at] & 0x80 or method:
            raise BinlogCorrupt(f"event {e.type_name(kind)} is compressed with unknown method {event[at]:#x}")
        if expected > MOST_EVENT:
            raise BinlogCorrupt(f"event {e.type_name(kind)} says that it holds {expected} bytes")
        plain = zlib.decompressobj()
        data = plain.decompress(memoryview(event)[at + 1 + length_bytes :], expected + 1)
        if len(data) > expected or not plain.eof:
            raise BinlogCorrupt(f"event {e.type_name(kind)} holds more bytes than the {expected} that its header says")
    except (IndexError, struct.error, zlib.error) as error:
        raise BinlogCorrupt(f"event {e.type_name(kind)} cannot be decompressed: {error}") from error
    if len(data) != expected:
        raise BinlogCorrupt(f"event {e.type_name(kind)} holds {len(data)} bytes, its header says {expected}")
    size = struct.pack("<I", at + len(data))
    return (
        event[: e.TYPE_AT]
        + bytes([_PLAIN[kind]])
        + event[e.SERVER_ID_AT : e.SIZE_AT]
        + size
        + event[e.LOG_POS_AT : at]
        + data
    )


def _rows_data(event: bytes, kind: int) -> int:
    """Where the rows of a rows event begin: behind table id, flags, extra data (version 2), width and bitmaps."""
    at = e.TABLE_BODY_AT
    if kind in (e.WRITE_ROWS_COMPRESSED, e.UPDATE_ROWS_COMPRESSED, e.DELETE_ROWS_COMPRESSED):
        (extra,) = struct.unpack_from("<H", event, at)
        at += extra
    width, at = lenenc(event, at)
    bitmaps = 2 if kind in (e.UPDATE_ROWS_COMPRESSED_V1, e.UPDATE_ROWS_COMPRESSED) else 1
    return at + bitmaps * ((width + 7) // 8)


def lenenc(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """A length-encoded integer of the client protocol, and where it ends. Raises IndexError or struct.error."""
    first = data[at]
    if first < 0xFB:
        return first, at + 1
    if first == 0xFC:
        return struct.unpack_from("<H", data, at + 1)[0], at + 3
    if first == 0xFD:
        return int.from_bytes(data[at + 1 : at + 4], "little"), at + 4
    return struct.unpack_from("<Q", data, at + 1)[0], at + 9
