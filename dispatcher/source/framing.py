"""From the bytes of a dump connection to plain binlog events. No I/O: the reader receives, this cuts.

The socket's bytes are received straight into one buffer. A packet is a length (3 bytes), a sequence number, and a
payload: a status byte and one event. An event of 16 MB and more is continued in further packets without status byte
(client protocol, "Sending more than 16Mb"). What leaves here has its checksum verified and stripped and its event_size
corrected, and is never compressed; so it can be handed to a sink whose session was told that there are no checksums.

This is a hot path: one unpack, one checksum and one copy per event; everything rare is behind `kind in _SPECIAL`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from zlib_ng.zlib_ng import crc32

from hedgerow.common.binlog import events as e
from hedgerow.common.errors import BinlogCorrupt, UnsupportedEvent
from hedgerow.dispatcher.source.compression import COMPRESSED, MOST_EVENT, unwrap

CAPACITY: Final = 1 << 20
CUT: Final = 1 << 20  # bytes that one cut may yield from a compressed transaction
MOST_COMPRESSED: Final = 128 << 20  # bytes of a compressed transaction, which is one event and is held whole
_LONGEST: Final = 0xFFFFFF  # a packet of this length is continued in the next
_LAYOUT: Final = struct.Struct("<IBIBII")  # packet length and sequence, status, timestamp, type, server_id, event_size
_LEAST: Final = 4 + 1 + e.HEADER
_U32: Final = struct.Struct("<I")
_OK, _EOF, _ERR = 0x00, 0xFE, 0xFF
_CREATED_AT: Final = e.HEADER + 52

# These may carry a checksum though the file has none (the server makes them up while it sends), or describe checksums.
_MADE_UP: Final = frozenset({e.ROTATE, e.HEARTBEAT, e.HEARTBEAT_V2, e.GTID_LIST})
_SPECIAL: Final = frozenset({e.FORMAT_DESCRIPTION, *_MADE_UP, *COMPRESSED})


class StreamEnded(Exception):
    """The server ended the stream: `code` and `text` of its error packet, 0 and empty where it sent none."""

    def __init__(self, code: int = 0, text: str = "") -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


class Framer:
    """One dump connection's buffer. Call `space`, receive into it, `filled`, then `cut` while `more`."""

    __slots__ = ("_buffer", "_checksums", "_end", "_long", "_sequence", "_start", "_unwrapping", "_view", "description")

    def __init__(self) -> None:
        self._buffer = bytearray(CAPACITY)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._sequence = 1
        self._checksums = False
        self._long = bytearray()
        self._unwrapping: Iterator[bytes] | None = None
        self.description = b""

    def space(self) -> memoryview:
        """Where to receive: never empty. A packet that is larger than the buffer gets a larger buffer."""
        held = self._end - self._start
        needed = 4 + int.from_bytes(self._view[self._start : self._start + 3], "little") if held >= 3 else _LEAST
        wanted = max(CAPACITY, 1 << (needed - 1).bit_length())
        if wanted != len(self._buffer) and held <= wanted:
            larger = bytearray(wanted)
            larger[:held] = self._view[self._start : self._end]
            self._buffer, self._view = larger, memoryview(larger)
            self._start, self._end = 0, held
        elif held == 0:
            self._start = self._end = 0
        elif self._start and len(self._buffer) - self._end < CAPACITY // 4:
            self._buffer[:held] = self._buffer[self._start : self._end]
            self._start, self._end = 0, held
        return self._view[self._end :]

    def filled(self, count: int) -> None:
        """So many bytes were received into `space`."""
        self._end += count

    @property
    def more(self) -> bool:
        """Whether `cut` has work without receiving anything."""
        if self._unwrapping is not None:
            return True
        held = self._end - self._start
        return held >= 4 and held - 4 >= int.from_bytes(self._view[self._start : self._start + 3], "little")

    def cut(self) -> list[bytes]:
        """All complete events that are buffered (of a compressed transaction: the next part).

        Raises StreamEnded where the server ended it, once all before that was returned; BinlogCorrupt; UnsupportedEvent
        for a compressed transaction of more than MOST_COMPRESSED bytes.
        """
        out: list[bytes] = []
        try:
            while self._unwrapping is None or self._unwrap(out):
                self._cut_plain(out)
                if not self.more or (out and not self._next_is_event()):
                    break
                self._cut_any(out)
        except (LookupError, ValueError, struct.error) as error:  # an event that is shorter than what it has to hold
            raise BinlogCorrupt(f"an event of the source's binlog does not hold together: {error!r}") from error
        return out

    def _cut_plain(self, out: list[bytes]) -> None:
        """Take packets as long as each is one whole event that needs no special care."""
        buffer, view, at, end = self._buffer, self._view, self._start, self._end
        sequence, checksums, append = self._sequence, self._checksums, out.append
        unpack, special = _LAYOUT.unpack_from, _SPECIAL
        while end - at >= _LEAST and not self._long:
            head, status, _, kind, _, size = unpack(buffer, at)
            stop = at + 4 + (head & _LONGEST)
            if stop > end or size != stop - at - 5 or status or head >> 24 != sequence or kind in special:
                break
            if checksums:
                body = view[at + 5 : stop - 4]
                if crc32(body) != _U32.unpack_from(buffer, stop - 4)[0]:
                    raise _mismatch(view[at + 5 : stop].tobytes())
                _U32.pack_into(buffer, at + 14, size - 4)
                append(body.tobytes())
            else:
                append(view[at + 5 : stop].tobytes())
            at = stop
            sequence = sequence + 1 & 0xFF
        self._start, self._sequence = at, sequence

    def _next_is_event(self) -> bool:
        """Whether the next packet goes on with events, so that an end of the stream comes in a cut of its own."""
        return bool(self._long) or self._view[self._start + 4] == _OK

    def _cut_any(self, out: list[bytes]) -> None:
        """Take one packet of any kind."""
        head = _U32.unpack_from(self._buffer, self._start)[0]
        payload = self._view[self._start + 4 : self._start + 4 + (head & _LONGEST)]
        if head >> 24 != self._sequence:
            raise BinlogCorrupt(
                f"packet {head >> 24} came where packet {self._sequence} was due: the stream is damaged"
            )
        self._start += 4 + len(payload)
        self._sequence = self._sequence + 1 & 0xFF
        event: bytes | memoryview
        if self._long or len(payload) == _LONGEST:
            if not self._long:
                _check_size(payload)
            self._long += payload
            size = _U32.unpack_from(self._long, 1 + e.SIZE_AT)[0]
            if len(self._long) > 1 + size:
                raise BinlogCorrupt(f"an event of {size} bytes comes in packets of more: the stream is damaged")
            if len(payload) == _LONGEST:
                return
            event, self._long = memoryview(self._long), bytearray()
        else:
            event = payload.tobytes()
        if not event or event[0] != _OK:
            raise _ended(bytes(event))
        if len(event) < 1 + e.HEADER or _U32.unpack_from(event, 1 + e.SIZE_AT)[0] != len(event) - 1:
            raise BinlogCorrupt(
                f"a packet of {len(event)} bytes does not hold exactly one event: the stream is damaged"
            )
        self._take(event[1:], out)

    def _take(self, event: bytes | memoryview, out: list[bytes]) -> None:
        kind = event[e.TYPE_AT]
        if kind == e.TRANSACTION_PAYLOAD:  # may be large: not copied
            if self._checksums and not _holds(event):
                raise _mismatch(event)
            self._unwrapping = unwrap(event[: -e.CHECKSUM] if self._checksums else event)
            return
        event = bytes(event)
        if kind == e.FORMAT_DESCRIPTION:
            out.append(self._describe(event))
            return
        if self._checksums or kind in _MADE_UP:
            stripped = _strip(event)
            if stripped is None and self._checksums:
                raise _mismatch(event)
            event = event if stripped is None else stripped
        if kind in COMPRESSED:
            self._unwrapping = unwrap(event)
        else:
            out.append(event)

    def _describe(self, event: bytes) -> bytes:
        """Read which checksums the file has; keep the event as a sink has to get it: no checksums, created at 0.

        Its own checksum is always there; it is made before the server marks the file as being in use (flag 1).
        """
        method = event[-5]
        closed = event[: e.FLAGS_AT] + bytes([event[e.FLAGS_AT] & 0xFE]) + event[e.FLAGS_AT + 1 :]
        if method > 1:
            raise BinlogCorrupt(f"the binlog's FORMAT_DESCRIPTION names the unknown checksum method {method}")
        if method and _strip(event) is None and _strip(closed) is None:
            raise _mismatch(event)
        self._checksums = bool(method)
        body = closed[:_CREATED_AT] + bytes(4) + closed[_CREATED_AT + 4 : -5] + b"\0"
        self.description = body + _U32.pack(crc32(body))
        return self.description

    def _unwrap(self, out: list[bytes]) -> bool:
        """Yield from a compressed transaction, CUT bytes at most; whether it is done."""
        assert self._unwrapping is not None
        taken = 0
        for event in self._unwrapping:
            out.append(event)
            taken += len(event)
            if taken >= CUT:
                return False
        self._unwrapping = None
        return True


def _check_size(packet: memoryview) -> None:
    """Of an event that comes in several packets, of which this is the first. Raises UnsupportedEvent."""
    size, log_pos = struct.unpack_from("<II", packet, 1 + e.SIZE_AT)
    if packet[1 + e.TYPE_AT] == e.TRANSACTION_PAYLOAD and size > MOST_COMPRESSED:
        raise UnsupportedEvent(
            f"a compressed transaction of {size} bytes ends at offset {log_pos} of the source's binlog; one of more "
            f"than {MOST_COMPRESSED} bytes is not held in memory. SET binlog_transaction_compression = OFF in sessions "
            f"that write so much at once: without it there is no limit. Apply this one in the sink by hand, and start "
            f"after it"
        )
    if packet[0] != _OK or size > MOST_EVENT:
        raise BinlogCorrupt(f"an event says that it has {size} bytes, which no server sends: the stream is damaged")


def description_checksum(event: bytes) -> int:
    """What identifies a file by its FORMAT_DESCRIPTION event, as it leaves a Framer: when and by which version it was
    made. Where a stream does not begin at the file's beginning, the server changes log_pos and flags."""
    return int(crc32(event[e.HEADER : -e.CHECKSUM], crc32(event[: e.LOG_POS_AT])))


def _mismatch(event: bytes | memoryview) -> BinlogCorrupt:
    (log_pos,) = _U32.unpack_from(event, e.LOG_POS_AT)
    return BinlogCorrupt(
        f"the checksum of event {e.type_name(event[e.TYPE_AT])} that ends at offset {log_pos} does not hold: it "
        f"was damaged on the way, or on the source's disk (mysqlbinlog --verify-binlog-checksum tells)"
    )


def _holds(event: bytes | memoryview) -> bool:
    """Whether its last four bytes are its checksum."""
    stop = len(event) - e.CHECKSUM
    return stop >= e.HEADER and crc32(memoryview(event)[:stop]) == int(_U32.unpack_from(event, stop)[0])


def _strip(event: bytes) -> bytes | None:
    """The event without its checksum and with its size corrected, None where the checksum does not hold."""
    if not _holds(event):
        return None
    stop = len(event) - e.CHECKSUM
    return event[: e.SIZE_AT] + _U32.pack(stop) + event[e.LOG_POS_AT : stop]


def _ended(packet: bytes) -> StreamEnded | BinlogCorrupt:
    if packet[:1] == bytes([_ERR]) and len(packet) >= 3:
        text = packet[9:] if packet[3:4] == b"#" else packet[3:]
        return StreamEnded(int.from_bytes(packet[1:3], "little"), text.decode("utf-8", "replace"))
    if packet[:1] == bytes([_EOF]) and len(packet) < 9:
        return StreamEnded()
    return BinlogCorrupt(f"a packet begins with {packet[:1].hex() or 'nothing'}: the stream is damaged")
