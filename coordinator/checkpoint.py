"""Whether a reported checkpoint is ahead of the recorded one: the record in etcd never goes back. Pure."""

from __future__ import annotations

from typing import cast

from hedgerow.common.binlog.gtid import gtid_set
from hedgerow.common.binlog.position import Position, least
from hedgerow.common.errors import HedgerowError
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import model_pb2 as pb


def advances(recorded: pb.Position | None, reported: pb.Position, flavour: str) -> bool:
    """Whether `reported` has reached all of `recorded` and more. Positions that cannot be compared do not advance."""
    if recorded is None:
        return True
    kind = cast(Flavour, flavour)
    old, new = Position.read(recorded), Position.read(reported)
    try:
        common = least([old, new], kind)
        old_set, new_set = str(gtid_set(kind, old.gtid_set)), str(gtid_set(kind, new.gtid_set))
    except HedgerowError:
        return False
    if old.source_id != new.source_id:
        return common.gtid_set == old_set != new_set
    reached = (common.gtid_set, common.file, common.offset) == (old_set, old.file, old.offset)
    return reached and (old_set, old.file, old.offset) != (new_set, new.file, new.offset)
