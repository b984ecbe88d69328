"""Builds events and packets as a server sends them, for tests."""

from __future__ import annotations

import struct
from zlib import crc32

from hedgerow.common.binlog import events as e
from hedgerow.dispatcher.source.framing import Framer, StreamEnded

LONGEST = 0xFFFFFF


def make_event(kind: int, body: bytes, *, log_pos: int = 1000, flags: int = 0, timestamp: int = 7) -> bytes:
    return struct.pack("<IBIIIH", timestamp, kind, 1, e.HEADER + len(body), log_pos, flags) + body


def sealed(event: bytes) -> bytes:
    """With a checksum, and a size that counts it."""
    longer = event[: e.SIZE_AT] + struct.pack("<I", len(event) + 4) + event[e.LOG_POS_AT :]
    return longer + struct.pack("<I", crc32(longer))


def description(checksums: bool, created: int = 5) -> bytes:
    body = struct.pack("<H50sIB", 4, b"9.9.9", created, e.HEADER) + bytes(40) + bytes([checksums])
    return sealed(make_event(e.FORMAT_DESCRIPTION, body))


def packets(payloads: list[bytes], first: int = 1) -> bytes:
    """Client protocol packets; payloads of 16 MB and more in several."""
    out, sequence = bytearray(), first
    for payload in payloads:
        at = 0
        while True:
            part = payload[at : at + LONGEST]
            out += len(part).to_bytes(3, "little") + bytes([sequence & 0xFF]) + part
            sequence, at = sequence + 1, at + len(part)
            if len(part) < LONGEST:
                break
    return bytes(out)


def stream(events: list[bytes]) -> bytes:
    return packets([b"\0" + event for event in events])


def frame(data: bytes, chunks: list[int] | None = None) -> tuple[list[bytes], StreamEnded | None]:
    """What a Framer makes of the bytes, received in chunks of these sizes (the rest as large as it takes)."""
    framer, out, at = Framer(), [], 0
    sizes = iter(chunks or [])
    while True:
        while framer.more:
            try:
                out += framer.cut()
            except StreamEnded as end:
                return out, end
        if at == len(data):
            return out, None
        space = framer.space()
        assert len(space) > 0
        size = min(len(space), next(sizes, len(space)), len(data) - at)
        space[:size] = data[at : at + size]
        framer.filled(size)
        at += size
