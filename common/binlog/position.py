"""A point in a source's binlog, always at the end of a transaction, and the order of such points.

With GTIDs the set decides, and it means the same on every server. Without them file and offset decide, and they mean
something on one server only: the one that `source_id` names.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from google.protobuf.timestamp_pb2 import Timestamp

from hedgerow.common.binlog.gtid import GtidSet, gtid_set, intersection, union
from hedgerow.common.errors import BadInput, HistoryDiverged
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import model_pb2 as pb

_FIRST_EVENT = 4  # offset of a binlog file's first event
_FILE = re.compile(r"(.+)\.([0-9]+)\Z")


@dataclass(frozen=True, slots=True)
class Position:
    """`gtid_set` in the server's notation, empty without GTIDs; `offset` in bytes, the end of a transaction's last
    event; `source_id` MySQL: server_uuid, MariaDB: server_id; `commit_time` in seconds since 1970 by the source's
    clock. A position that is given by GTIDs alone has no file and offset 0.

    `mark` identifies the last transaction (common/binlog/mark.py), empty where it is not known; it is evidence, and no
    part of what is compared."""

    gtid_set: str = ""
    file: str = ""
    offset: int = 0
    source_id: str = ""
    commit_time: float = 0.0
    mark: str = field(default="", compare=False)

    @classmethod
    def read(cls, message: pb.Position) -> Position:
        time = message.commit_time
        seconds = time.seconds + time.nanos / 1e9
        return cls(message.gtid_set, message.file, message.offset, message.source_id, seconds, message.mark)

    def write(self) -> pb.Position:
        seconds, rest = divmod(round(self.commit_time * 1_000_000), 1_000_000)
        return pb.Position(
            gtid_set=self.gtid_set,
            file=self.file,
            offset=self.offset,
            source_id=self.source_id,
            commit_time=Timestamp(seconds=seconds, nanos=rest * 1000),
            mark=self.mark,
        )

    def __str__(self) -> str:
        place = f"{self.file}:{self.offset}" if self.file else ""
        return " at ".join(part for part in (self.gtid_set, place) if part) or "the beginning"


@functools.lru_cache(maxsize=64)
def file_order(file: str) -> tuple[str, int]:
    """The sort key of a binlog file: its base name, its number. Raises BadInput."""
    match = _FILE.match(file)
    if not match:
        raise BadInput(f"{file!r} is not the name of a binlog file (expected something like binlog.000001)")
    return match[1], int(match[2])


def readable(position: Position) -> Position:
    """Where a dump is to begin that continues from `position`. An offset of 4 GiB or more cannot be asked for
    (COM_BINLOG_DUMP has four bytes for it), and means the end of the file: a server ends it when the transaction that
    made it so large is over. Raises BadInput."""
    if position.offset < 1 << 32:
        return position
    return replace(position, file=following(position.file), offset=_FIRST_EVENT)


def following(file: str) -> str:
    """The name of the binlog file that a server begins after this one. Raises BadInput."""
    match = _FILE.match(file)
    if not match:
        raise BadInput(f"{file!r} is not the name of a binlog file (expected something like binlog.000001)")
    name, number = match.groups()
    return f"{name}.{int(number) + 1:0{len(number)}d}"


def has_reached(position: Position, *, gtid: str, file: str, offset: int, source_id: str, flavour: Flavour) -> bool:
    """Whether everything up to the transaction `gtid`, or up to `file`:`offset` where it has none, lies before
    `position`.

    Raises HistoryDiverged when only file and offset could tell and they belong to different servers.
    """
    if gtid:
        return _parsed(flavour, position.gtid_set).contains(gtid)
    if position.source_id != source_id:
        raise HistoryDiverged(
            f"position {position} is of server {position.source_id or '(unknown)'}, and {file}:{offset} is of server "
            f"{source_id or '(unknown)'}: without GTIDs they cannot be compared. Enable GTIDs on the source, or create "
            f"the changefeed again"
        )
    return _place(position) >= (*file_order(file), offset)


def covers(position: Position, other: Position, flavour: Flavour) -> bool:
    """Whether nothing that `other` covers is missing from `position`: the one rule by which what is recorded advances.
    Texts of GTID sets need not be canonical. Of several servers GTIDs alone decide.

    Raises HistoryDiverged where they cannot be compared.
    """
    if position == other:
        return True
    lower, reached = least([position, other], flavour), str(_parsed(flavour, other.gtid_set))
    if position.source_id != other.source_id:
        return lower.gtid_set == reached
    return (lower.gtid_set, lower.file, lower.offset) == (reached, other.file, other.offset)


def least(positions: Sequence[Position], flavour: Flavour) -> Position:
    """The greatest position that all of `positions` have reached: the intersection of the GTID sets, and the least
    file and offset. Where they are of several servers it has GTIDs only.

    Raises HistoryDiverged when positions without GTIDs are of several servers; ValueError when there are none.
    """
    if not positions:
        raise ValueError("least of no positions")
    if len(positions) == 1:
        return positions[0]
    common = functools.reduce(intersection, (gtid_set(flavour, text) for text in {p.gtid_set for p in positions}))
    time = min(position.commit_time for position in positions)
    servers = {position.source_id for position in positions}
    if len(servers) == 1:
        first = min(positions, key=_place)
        return Position(str(common), first.file, first.offset, first.source_id, time, first.mark)
    if not all(position.gtid_set or not position.file for position in positions):  # neither: before the first GTID
        raise HistoryDiverged(
            f"positions are of several servers ({', '.join(sorted(servers))}) and not all have GTIDs, so they cannot "
            f"be compared. Enable GTIDs on the source, or create the changefeed again"
        )
    return Position(str(common), commit_time=time)


def farthest(positions: Sequence[Position], flavour: Flavour) -> Position:
    """What any of `positions` has reached: the union of the GTID sets, and the greatest file and offset, of the server
    that the latest is of. Raises ValueError when there are none."""
    if not positions:
        raise ValueError("farthest of no positions")
    every = functools.reduce(union, (gtid_set(flavour, text) for text in {p.gtid_set for p in positions}))
    server = max(positions, key=lambda position: position.commit_time).source_id
    last = max((position for position in positions if position.source_id == server), key=_place)
    return Position(str(every), last.file, last.offset, server, last.commit_time, last.mark)


def advanced(reached: Position, to: Position, flavour: Flavour) -> Position:
    """`reached`, once everything up to `to` is applied as well: never less than it. Where they are of several servers,
    or `to` has no GTIDs, file and offset are those of `to`."""
    if not to.gtid_set:
        return to
    if reached.source_id == to.source_id:
        return farthest([reached, to], flavour)
    both = union(gtid_set(flavour, reached.gtid_set), gtid_set(flavour, to.gtid_set))
    return replace(to, gtid_set=str(both))


def _place(position: Position) -> tuple[str, int, int]:
    return (*file_order(position.file), position.offset) if position.file else ("", 0, 0)


@functools.lru_cache(maxsize=64)
def _parsed(flavour: Flavour, text: str) -> GtidSet:
    return gtid_set(flavour, text)
