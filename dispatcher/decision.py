"""A maintainer's decision over dispatchers that are blocked at a DDL, on its way to the stream that waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from common.pb.v1 import dispatch_pb2
from common.pb.v1 import model_pb2 as pb


def same_ddl(one: pb.Ddl, other: pb.Ddl) -> bool:
    """Whether both are the DDL at the same place: the GTID tells where there is one, else file, offset and server."""
    if one.gtid or other.gtid:
        return one.gtid == other.gtid
    return (one.position.source_id, one.position.file, one.position.offset) == (
        other.position.source_id,
        other.position.file,
        other.position.offset,
    )


@dataclass(frozen=True, slots=True)
class Decision:
    ddl: pb.Ddl
    action: dispatch_pb2.BarrierAction
    dispatchers: frozenset[str]
    epoch: int  # of the owner who decided; a decision of a former owner is not carried out


class Decisions:
    """Decisions waiting for the stream. Those about anything but what it waits for are dropped when it looks."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: list[Decision] = []

    def put(self, decision: Decision) -> None:
        """From any thread."""
        with self._lock:
            self._waiting.append(decision)
        self._wake()

    def take(self, ddl: pb.Ddl, epoch: int) -> list[Decision]:
        """Those of the owner at `epoch` about `ddl`, oldest first; all others are dropped."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        return [one for one in waiting if one.epoch == epoch and same_ddl(one.ddl, ddl)]
