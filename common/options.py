"""How a changefeed replicates beyond its servers and tables: defaults, bounds, and what follows from them. Pure."""

from __future__ import annotations

from typing import Final

from hedgerow.common.pb.v1 import model_pb2 as pb

DEFAULTS: Final = pb.ChangefeedOptions(
    consistency=pb.TABLE, lanes=4, batch_transactions=1000, batch_bytes=4 * 1024 * 1024
)
# Above these, memory and connections would be sized by a user's wish.
MOST: Final = {"lanes": 64, "batch_transactions": 100_000, "batch_bytes": 64 * 1024 * 1024}
LEAST: Final = {"lanes": 1, "batch_transactions": 1, "batch_bytes": 4096}


def effective(options: pb.ChangefeedOptions) -> pb.ChangefeedOptions:
    """What a changefeed with these does: defaults for what is not set, and one lane where transactions stay whole."""
    complete = pb.ChangefeedOptions()
    complete.CopyFrom(DEFAULTS)
    complete.MergeFrom(options)
    if complete.consistency == pb.TRANSACTION:
        complete.lanes = 1
    return complete


def actual_lane(lane: int, lanes: int) -> int:
    """A node with fewer lanes than a placement counted on folds the numbers, so the changefeed's may shrink."""
    return lane % max(lanes, 1)
