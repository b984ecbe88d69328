"""Whether a reported checkpoint is after the recorded one: the record in etcd never goes back. Pure."""

from __future__ import annotations

from typing import cast

from hedgerow.common.binlog.position import Position, covers
from hedgerow.common.errors import HedgerowError
from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.pb.v1 import model_pb2 as pb


def advances(recorded: pb.Position | None, reported: pb.Position, flavour: str) -> bool:
    """Whether `reported` covers all of `recorded` and more. Positions that cannot be compared do not advance."""
    if recorded is None:
        return True
    kind, old, new = cast(Flavour, flavour), Position.read(recorded), Position.read(reported)
    try:
        return covers(new, old, kind) and not covers(old, new, kind)
    except HedgerowError:
        return False
