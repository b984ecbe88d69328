"""Rows as a person reads them, for errors only: which row an event is about. Pure, and it fails closed.

Rows are never decoded on their way into the sink. Here lengths of all column types that the servers log are known, so
that rows can be told apart, and values of those that keys are made of; what is not known is shown as bytes, and an
event that cannot be walked through raises UnreadableRow. Layouts: MySQL internals, classes Table_map_event and
Rows_event.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hedgerow.common.binlog import events as e
from hedgerow.common.binlog.rows_header import read_rows_header
from hedgerow.common.binlog.table_map import column_types

MOST_TEXT: Final = 64  # characters of one value
_FIXED: Final = {1: 1, 2: 2, 3: 4, 4: 4, 5: 8, 7: 4, 8: 8, 9: 3, 10: 3, 11: 3, 12: 8, 13: 1, 14: 3}
_INTEGERS: Final = {1: 1, 2: 2, 3: 4, 8: 8, 9: 3}
_FRACTIONAL: Final = {17: 4, 18: 5, 19: 3}
_BLOBS: Final = frozenset({140, 242, 245, 252, 255})
_DIGITS: Final = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)


class UnreadableRow(Exception):
    """The event, or a row of it, is not understood."""


@dataclass(frozen=True, slots=True)
class Value:
    """`raw` as the event has it, None for NULL; `number`, `text` where the type is one of those."""

    raw: bytes | None
    number: int | None = None
    text: str | None = None

    def __str__(self) -> str:
        if self.raw is None:
            return "NULL"
        if self.number is not None:
            return str(self.number)
        shown = repr(self.text) if self.text is not None else f"0x{self.raw[: MOST_TEXT // 2 + 1].hex()}"
        return shown if len(shown) <= MOST_TEXT else f"{shown[: MOST_TEXT - 3]}..."


@dataclass(frozen=True, slots=True)
class RowText:
    """`alone`: an event with this row only. `values` by column number, from 0: of an update those before it."""

    alone: bytes
    values: dict[int, Value]


def rows(table_map: bytes, event: bytes, unsigned: Sequence[bool] = ()) -> Iterator[RowText]:
    """`unsigned`: which columns are, where that is known. Raises UnreadableRow."""
    try:
        yield from _rows(table_map, event, unsigned)
    except (ValueError, LookupError, struct.error) as error:
        raise UnreadableRow(f"event type {event[e.TYPE_AT]}: {type(error).__name__} {error}") from error


def _rows(table_map: bytes, event: bytes, unsigned: Sequence[bool]) -> Iterator[RowText]:
    types, meta = column_types(table_map)
    kind = event[e.TYPE_AT]
    header = read_rows_header(event)
    if header.columns != len(types):
        raise UnreadableRow(f"{header.columns} columns in the event, {len(types)} in its table map")
    at = header.end
    head = event[:at]
    while at < len(event):
        begin = at
        values: dict[int, Value] = {}
        for number, image in enumerate(header.images):
            if kind == e.PARTIAL_UPDATE_ROWS and number:
                at = len(event)  # what is changed within a JSON document: only the first row can be told
                break
            found, at = _image(event, at, image, types, meta, unsigned)
            values = values or found
        if at > len(event):
            raise UnreadableRow("a row is longer than its event")
        alone = bytearray(head + event[begin:at])
        alone[e.SIZE_AT : e.SIZE_AT + 4] = len(alone).to_bytes(4, "little")
        yield RowText(bytes(alone), values)


def _image(
    event: bytes, at: int, image: bytes, types: bytes, meta: list[bytes], unsigned: Sequence[bool]
) -> tuple[dict[int, Value], int]:
    present = [column for column in range(len(types)) if image[column // 8] >> column % 8 & 1]
    nulls = event[at : at + (len(present) + 7) // 8]
    at += len(nulls)
    values: dict[int, Value] = {}
    for number, column in enumerate(present):
        if nulls[number // 8] >> number % 8 & 1:
            values[column] = Value(None)
            continue
        values[column], at = _value(event, at, types[column], meta[column], column < len(unsigned) and unsigned[column])
    return values, at


def _value(event: bytes, at: int, kind: int, meta: bytes, unsigned: bool) -> tuple[Value, int]:
    text = False
    if kind in _INTEGERS:
        size = _INTEGERS[kind]
        raw = event[at : at + size]
        return Value(raw, number=int.from_bytes(raw, "little", signed=not unsigned)), at + size
    if kind in _FIXED:
        size = _FIXED[kind]
    elif kind in _FRACTIONAL:
        size = _FRACTIONAL[kind] + (meta[0] + 1) // 2
    elif kind == 246:
        size = _decimal(meta[0] - meta[1]) + _decimal(meta[1])
    elif kind == 16:
        size = meta[1] + (meta[0] > 0)
    elif kind in _BLOBS:
        size = int.from_bytes(event[at : at + meta[0]], "little")
        at += meta[0]
        text = kind == 252
    elif kind in (15, 253, 141):
        prefix = 1 if int.from_bytes(meta, "little") < 256 else 2
        size = int.from_bytes(event[at : at + prefix], "little")
        at += prefix
        text = kind != 141
    elif kind == 254:
        real, length = meta[0], meta[1]
        if real & 0x30 != 0x30:
            length |= (real & 0x30 ^ 0x30) << 4
            real |= 0x30
        if real in (247, 248):
            raw = event[at : at + length]
            return Value(raw, number=int.from_bytes(raw, "little")), at + length
        prefix = 1 if length < 256 else 2
        size = int.from_bytes(event[at : at + prefix], "little")
        at += prefix
        text = True
    else:
        raise UnreadableRow(f"column type {kind}")
    raw = event[at : at + size]
    if len(raw) != size:
        raise UnreadableRow("a value is longer than its event")
    return Value(raw, text=_text(raw) if text else None), at + size


def _text(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _decimal(digits: int) -> int:
    return digits // 9 * 4 + _DIGITS[digits % 9]
