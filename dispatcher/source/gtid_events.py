"""What GTID events say. The rare ones are read here; the hot path reads MySQL's untagged ones by itself.

GTID_TAGGED is a message of mysql-server's libs/mysql/serialization: format version, size, last non-ignorable field,
then fields in ascending order, each after its number. Integers have a variable length: the count of trailing one bits
of the first byte is the count of further bytes; signed ones keep their sign in the lowest bit. Fields (class Gtid_event
in control_events.h): 0 flags, 1 UUID (16 integers), 2 transaction number (signed), 3 tag, 6 immediate commit timestamp,
7 original commit timestamp, where it is another.
"""

from __future__ import annotations

import struct
from typing import Final

from hedgerow.common.binlog import events as e
from hedgerow.common.errors import BinlogCorrupt

_MARIADB: Final = struct.Struct("<QI")  # sequence number, domain
_FLAGS, _UUID, _NUMBER, _TAG, _COMMITTED, _SEQUENCE, _TIMESTAMP, _ORIGINAL = range(8)
_UUID_BYTES: Final = 16
_LAST_KNOWN_FIELD: Final = 11
_HAS_TIMESTAMPS_AT: Final = e.HEADER + 25  # of GTID and ANONYMOUS_GTID: 2 where a logical clock follows
_TIMESTAMP_AT: Final = e.HEADER + 42
_TIMESTAMP_BYTES: Final = 7
_ORIGINAL_FOLLOWS: Final = 1 << 55
_GROUP_COMMIT_ID: Final = 2
_PREPARED_XA: Final = 64
_COMPLETED_XA: Final = 128


def mariadb_gtid(event: bytes) -> tuple[int, int, int]:
    """(domain, server id, sequence number) of a MariaDB GTID event."""
    number, domain = _MARIADB.unpack_from(event, e.HEADER)
    return domain, int.from_bytes(event[e.SERVER_ID_AT : e.SERVER_ID_AT + 4], "little"), number


def mariadb_xid(event: bytes) -> str:
    """Of a MariaDB GTID event that begins or decides an XA transaction, as X'gtrid',X'bqual',format; else empty.

    Layout (MariaDB, class Gtid_log_event): sequence number 8, domain 4, flags 1, a commit id of 8 bytes where flag 2 is
    set; then format 4, the two lengths, and the data, where flag 64 (prepared) or 128 (completed) is.
    """
    flags = event[e.MARIADB_GTID_FLAGS_AT]
    if not flags & (_PREPARED_XA | _COMPLETED_XA):
        return ""
    at = e.MARIADB_GTID_FLAGS_AT + (9 if flags & _GROUP_COMMIT_ID else 1)
    (format_id,) = struct.unpack_from("<I", event, at)
    gtrid, bqual = event[at + 4], event[at + 5]
    return xid_text(format_id, event[at + 6 : at + 6 + gtrid], event[at + 6 + gtrid : at + 6 + gtrid + bqual])


def xid_text(format_id: int, gtrid: bytes, bqual: bytes) -> str:
    """As both servers log it, and as XA COMMIT takes it."""
    return f"X'{gtrid.hex()}',X'{bqual.hex()}',{format_id}"


def mysql_gtid(event: bytes) -> tuple[bytes, int]:
    """(source key as in MysqlGtidSet, transaction number) of a GTID or GTID_TAGGED event; raises BinlogCorrupt."""
    if event[e.TYPE_AT] == e.GTID_TAGGED:
        return tagged_gtid(event)
    return event[e.GTID_UUID], int.from_bytes(event[e.GTID_NUMBER_AT : e.GTID_NUMBER_AT + 8], "little")


def tagged_gtid(event: bytes) -> tuple[bytes, int]:
    """(source key as in MysqlGtidSet, transaction number) of a GTID_TAGGED event; raises BinlogCorrupt."""
    fields = _tagged_fields(event)
    try:
        uuid, tag, number = bytes(fields[_UUID]), bytes(fields.get(_TAG, ())), fields[_NUMBER][0]
        if len(uuid) != _UUID_BYTES or not tag.isascii() or number <= 0:
            raise ValueError(number)
        return uuid + tag, number
    except (KeyError, ValueError) as error:
        raise BinlogCorrupt("a GTID_TAGGED event does not name its GTID") from error


def commit_micros(event: bytes) -> int:
    """When the transaction was committed on the server that sends, in microseconds since 1970; 0 where a GTID event of
    MySQL does not say (and always on MariaDB)."""
    if not event or event[e.TYPE_AT] == e.MARIADB_GTID:
        return 0
    if event[e.TYPE_AT] == e.GTID_TAGGED:
        return _tagged_fields(event).get(_TIMESTAMP, [0])[0]
    if len(event) < _TIMESTAMP_AT + _TIMESTAMP_BYTES or event[_HAS_TIMESTAMPS_AT] != 2:
        return 0
    return int.from_bytes(event[_TIMESTAMP_AT : _TIMESTAMP_AT + _TIMESTAMP_BYTES], "little") & ~_ORIGINAL_FOLLOWS


def original_micros(event: bytes) -> int:
    """When the transaction was committed on the server where it was made, as `commit_micros`: the same on every server
    that has it."""
    if not event or event[e.TYPE_AT] == e.MARIADB_GTID:
        return 0
    if event[e.TYPE_AT] == e.GTID_TAGGED:
        fields = _tagged_fields(event)
        return fields.get(_ORIGINAL, fields.get(_TIMESTAMP, [0]))[0]
    at = _TIMESTAMP_AT + _TIMESTAMP_BYTES
    raw = int.from_bytes(event[_TIMESTAMP_AT:at], "little")
    if raw & _ORIGINAL_FOLLOWS and len(event) >= at + _TIMESTAMP_BYTES and event[_HAS_TIMESTAMPS_AT] == 2:
        return int.from_bytes(event[at : at + _TIMESTAMP_BYTES], "little")
    return commit_micros(event)


def _tagged_fields(event: bytes) -> dict[int, list[int]]:
    """The fields up to the commit timestamps: each a list of integers (a UUID has 16, a tag its bytes)."""
    fields: dict[int, list[int]] = {}
    try:
        version, at = _varint(event, e.HEADER)
        size, at = _varint(event, at)
        end = e.HEADER + size
        last, at = _varint(event, at)
        if version != 1 or last > _LAST_KNOWN_FIELD + 1 or end > len(event):
            raise BinlogCorrupt(f"a GTID_TAGGED event has version {version} and requires field {last - 1}: not known")
        while at < end:
            field, at = _varint(event, at)
            if field > _ORIGINAL:
                break
            values = []
            if field == _TAG:
                length, at = _varint(event, at)
                values = list(event[at : at + length])
                at += length
            else:
                for _ in range(_UUID_BYTES if field == _UUID else 1):
                    value, at = _varint(event, at)
                    values.append(_signed(value) if field in (_NUMBER, _COMMITTED, _SEQUENCE) else value)
            fields[field] = values
    except IndexError as error:
        raise BinlogCorrupt("a GTID_TAGGED event ends too early") from error
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer, and where it ends."""
    first = data[at]
    more = 0
    while more < 8 and first >> more & 1:
        more += 1
    if at + more >= len(data):
        raise IndexError(at)
    raw = int.from_bytes(data[at : at + more + 1], "little")
    return raw >> (more + 1 if more < 8 else 8), at + more + 1


def _signed(value: int) -> int:
    return -(value >> 1) - 1 if value & 1 else value >> 1
