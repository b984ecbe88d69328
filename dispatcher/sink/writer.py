"""Who writes into the sink for a changefeed on this node."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Writer:
    """Shared by the lanes of a changefeed on a node.

    A takeover raises `epoch` while lanes run; `owner` is the node that maintains the changefeed at that epoch.
    """

    uid: str
    epoch: int
    owner: str
