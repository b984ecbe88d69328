"""GTID sets of both flavours: what a server has executed, and what a changefeed has applied.

A MySQL set holds intervals of transaction numbers per source, where a source is a server UUID with an optional tag
(MySQL 8.3, manual section "GTID Format and Storage"). A MariaDB set holds one GTID per replication domain, and the
sequence numbers of a domain only grow, so `0-1-100` stands for everything of domain 0 up to 100.

Sets are mutable: the stream adds one GTID per transaction with `add`, which takes integers and builds no text. Who
hands a set to somebody else hands over a `copy`.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias
from uuid import UUID

from hedgerow.common.errors import BadInput
from hedgerow.common.mysql.connect import Flavour

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_TAG = re.compile(r"[a-z_][a-z0-9_]{0,31}\Z")
_INTERVAL = re.compile(r"([0-9]+)(?:\s*-\s*([0-9]+))?\Z")
_MARIADB = re.compile(r"([0-9]+)-([0-9]+)-([0-9]+)\Z")
_LARGEST_GNO = 2**63 - 1
_UUID_BYTES = 16


class MysqlGtidSet:
    """Intervals per source. A source's key is the 16 bytes of its UUID, followed by its tag in ASCII where it has one.

    The intervals of a source are one flat sorted list [start, end, start, end, ...), ends excluded: a number is in the
    set when an odd count of boundaries is not above it.
    """

    __slots__ = ("_sources",)

    def __init__(self) -> None:
        self._sources: dict[bytes, list[int]] = {}

    @classmethod
    def parse(cls, text: str) -> MysqlGtidSet:
        """Read the server's notation, `uuid:1-5:7:tag:1-3, uuid:...`; raises BadInput."""
        result = cls()
        for part in text.split(","):
            words = [word.strip() for word in part.split(":")]
            if words == [""]:
                continue
            if not _UUID.match(words[0]):
                raise BadInput(f"GTID set {text!r}: {words[0]!r} is not a server UUID")
            uuid = key = UUID(words[0]).bytes
            count = 0
            for word in words[1:]:
                interval = _INTERVAL.match(word)
                if interval:
                    start = int(interval[1])
                    end = int(interval[2] or start)
                    if not 1 <= start <= end < _LARGEST_GNO:
                        raise BadInput(f"GTID set {text!r}: {word!r} is not an interval of transaction numbers")
                    result._sources[key] = _sweep(result._sources.get(key, []), [start, end + 1], _either)
                    count += 1
                elif _TAG.match(word.lower()):
                    key = uuid + word.lower().encode("ascii")
                    count = 0
                else:
                    raise BadInput(f"GTID set {text!r}: {word!r} is neither an interval nor a tag")
            if not count:
                raise BadInput(f"GTID set {text!r}: {part.strip()!r} names no transaction numbers")
        return result

    def __str__(self) -> str:
        """The server's own notation, sources in order, a source's tags after its untagged numbers."""
        text: list[str] = []
        former = b""
        for key, flat in sorted(self._sources.items()):
            uuid, tag = key[:_UUID_BYTES], key[_UUID_BYTES:].decode("ascii")
            if uuid == former:
                text.append(":")
            else:
                text.append(("," if text else "") + str(UUID(bytes=uuid)) + ":")
                former = uuid
            text.append((tag + ":" if tag else "") + ":".join(_intervals(flat)))
        return "".join(text)

    def __repr__(self) -> str:
        return f"MysqlGtidSet({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MysqlGtidSet) and self._sources == other._sources

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return bool(self._sources)

    def add(self, source: bytes, number: int) -> None:
        """Add one transaction: the source's key as in the class docstring, and its number."""
        flat = self._sources.get(source)
        if flat is None:
            self._sources[source] = [number, number + 1]
        elif flat[-1] == number:
            flat[-1] = number + 1
        elif not bisect_right(flat, number) & 1:
            self._sources[source] = _sweep(flat, [number, number + 1], _either)

    def has(self, source: bytes, number: int) -> bool:
        """Whether this transaction is in the set."""
        return bool(bisect_right(self._sources.get(source, ()), number) & 1)

    def add_gtid(self, gtid: str) -> None:
        """Add one transaction, or an interval of them, in text; raises BadInput."""
        self._sources = self.union(MysqlGtidSet.parse(gtid))._sources

    def contains(self, gtid: str) -> bool:
        """Whether `uuid[:tag]:number` is in the set; raises BadInput."""
        return MysqlGtidSet.parse(gtid).is_subset(self)

    def is_subset(self, other: MysqlGtidSet) -> bool:
        return not self.minus(other)

    def copy(self) -> MysqlGtidSet:
        result = MysqlGtidSet()
        result._sources = {key: flat.copy() for key, flat in self._sources.items()}
        return result

    def union(self, other: MysqlGtidSet) -> MysqlGtidSet:
        return self._combine(other, _either)

    def minus(self, other: MysqlGtidSet) -> MysqlGtidSet:
        return self._combine(other, _only_first)

    def intersection(self, other: MysqlGtidSet) -> MysqlGtidSet:
        return self._combine(other, _both)

    def _combine(self, other: MysqlGtidSet, keep: Callable[[int, int], int]) -> MysqlGtidSet:
        result = MysqlGtidSet()
        for key in self._sources.keys() | other._sources.keys():
            flat = _sweep(self._sources.get(key, []), other._sources.get(key, []), keep)
            if flat:
                result._sources[key] = flat
        return result

    def encode(self) -> bytes:
        """The form that COM_BINLOG_DUMP_GTID and PREVIOUS_GTIDS use (mysql-server, sql/rpl_gtid_set.cc, `encode`).

        A set without tags has the form that every version knows: count, then UUID, count of intervals, intervals with
        their ends excluded; integers of 8 bytes. One tag makes the whole set tagged: format 1 in the first and in the
        last byte of the count, and after each UUID the tag with its length times two in one byte.
        """
        tagged = any(len(key) > _UUID_BYTES for key in self._sources)
        count = len(self._sources)
        parts = [struct.pack("<Q", 1 << 56 | count << 8 | 1 if tagged else count)]
        for key, flat in sorted(self._sources.items()):
            parts.append(key[:_UUID_BYTES])
            if tagged:
                parts += bytes([2 * (len(key) - _UUID_BYTES)]), key[_UUID_BYTES:]
            parts.append(struct.pack(f"<Q{len(flat)}Q", len(flat) // 2, *flat))
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> MysqlGtidSet:
        """Read what `encode` writes; raises BadInput when it does not hold together."""
        result = cls()
        try:
            (header,) = struct.unpack_from("<Q", data)
            tagged = header >> 56 == 1
            at = 8
            for _ in range(header >> 8 & 0xFFFFFFFFFFFF if tagged else header):
                key = data[at : at + _UUID_BYTES]
                at += _UUID_BYTES
                if tagged:
                    length = data[at] >> 1
                    key += data[at + 1 : at + 1 + length]
                    at += 1 + length
                (intervals,) = struct.unpack_from("<Q", data, at)
                result._sources[key] = list(struct.unpack_from(f"<{2 * intervals}Q", data, at + 8))
                at += 8 + 16 * intervals
        except (struct.error, IndexError) as error:
            raise BadInput(f"encoded GTID set of {len(data)} bytes ends too early") from error
        return result


class MariadbGtidSet:
    """One GTID per domain: {domain: (sequence number, server id)}."""

    __slots__ = ("_domains",)

    def __init__(self) -> None:
        self._domains: dict[int, tuple[int, int]] = {}

    @classmethod
    def parse(cls, text: str) -> MariadbGtidSet:
        """Read `domain-server-sequence, ...`; of several in one domain the last in sequence counts. Raises BadInput."""
        result = cls()
        for part in text.split(","):
            word = part.strip()
            if not word:
                continue
            match = _MARIADB.match(word)
            if not match or int(match[1]) >= 2**32 or int(match[2]) >= 2**32 or int(match[3]) >= 2**64:
                raise BadInput(f"GTID set {text!r}: {word!r} is not of the form domain-server-sequence")
            result.add(int(match[1]), int(match[2]), int(match[3]))
        return result

    def __str__(self) -> str:
        return ",".join(f"{domain}-{server}-{number}" for domain, (number, server) in sorted(self._domains.items()))

    def __repr__(self) -> str:
        return f"MariadbGtidSet({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MariadbGtidSet) and self._domains == other._domains

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return bool(self._domains)

    def add(self, domain: int, server: int, number: int) -> None:
        """Add one transaction, and with it everything before it in its domain."""
        last = self._domains.get(domain)
        if last is None or last < (number, server):
            self._domains[domain] = (number, server)

    def add_gtid(self, gtid: str) -> None:
        """Add one GTID in text; raises BadInput."""
        self._domains = self.union(MariadbGtidSet.parse(gtid))._domains

    def last(self, domain: int) -> int:
        """The sequence number that this domain has reached, 0 where it has not begun."""
        entry = self._domains.get(domain)
        return entry[0] if entry else 0

    def contains(self, gtid: str) -> bool:
        """Whether the domain of `domain-server-sequence` has reached the sequence number; raises BadInput."""
        return MariadbGtidSet.parse(gtid).is_subset(self)

    def is_subset(self, other: MariadbGtidSet) -> bool:
        return not self.minus(other)

    def copy(self) -> MariadbGtidSet:
        result = MariadbGtidSet()
        result._domains = self._domains.copy()
        return result

    def union(self, other: MariadbGtidSet) -> MariadbGtidSet:
        result = self.copy()
        for domain, (number, server) in other._domains.items():
            result.add(domain, server, number)
        return result

    def minus(self, other: MariadbGtidSet) -> MariadbGtidSet:
        """The domains in which this set is further than the other."""
        result = MariadbGtidSet()
        result._domains = {key: entry for key, entry in self._domains.items() if entry[0] > other.last(key)}
        return result

    def intersection(self, other: MariadbGtidSet) -> MariadbGtidSet:
        result = MariadbGtidSet()
        result._domains = {
            domain: min(self._domains[domain], other._domains[domain])
            for domain in self._domains.keys() & other._domains.keys()
        }
        return result


GtidSet: TypeAlias = MysqlGtidSet | MariadbGtidSet


def gtid_set(flavour: Flavour, text: str) -> GtidSet:
    """The set that `text` writes in the notation of `flavour`; raises BadInput."""
    return MysqlGtidSet.parse(text) if flavour == "mysql" else MariadbGtidSet.parse(text)


def union(first: GtidSet, second: GtidSet) -> GtidSet:
    """Of two sets of the same flavour, like the functions that follow."""
    return first.union(_same(first, second))


def intersection(first: GtidSet, second: GtidSet) -> GtidSet:
    return first.intersection(_same(first, second))


def is_subset(first: GtidSet, second: GtidSet) -> bool:
    return first.is_subset(_same(first, second))


def _same(first: GtidSet, second: GtidSet) -> Any:
    """The second; raises TypeError where the flavours differ."""
    if type(first) is not type(second):
        raise TypeError(f"{first!r} and {second!r} are of different flavours")
    return second


def _either(first: int, second: int) -> int:
    return first | second


def _both(first: int, second: int) -> int:
    return first & second


def _only_first(first: int, second: int) -> int:
    return first & ~second


def _sweep(first: list[int], second: list[int], keep: Callable[[int, int], int]) -> list[int]:
    """Combine two flat interval lists: keep where `keep(in first, in second)` says so."""
    result: list[int] = []
    i = j = inside = 0
    while i < len(first) or j < len(second):
        point = min(first[i : i + 1] + second[j : j + 1])
        i += first[i : i + 1] == [point]
        j += second[j : j + 1] == [point]
        now = keep(i & 1, j & 1)
        if now != inside:
            result.append(point)
            inside = now
    return result


def _intervals(flat: list[int]) -> Iterator[str]:
    for start, end in zip(flat[::2], flat[1::2], strict=True):
        yield str(start) if end == start + 1 else f"{start}-{end - 1}"
