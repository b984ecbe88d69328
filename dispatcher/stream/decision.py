"""A maintainer's decision over dispatchers that are blocked at a DDL, on its way to the stream that waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hedgerow.common.ddlscope import ddl_id
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb


@dataclass(frozen=True, slots=True)
class BarrierDecision:
    """`flushed`: of a WRITE, which generation of each dispatcher that the DDL touches has applied what is before it."""

    ddl: pb.Ddl
    action: dispatch_pb2.BarrierAction
    dispatchers: frozenset[str]
    epoch: int  # of the owner who decided; a decision of a former owner is not carried out
    flushed: Mapping[str, int] = field(default_factory=dict)


class BarrierDecisions:
    """BarrierDecisions waiting for the stream. Those about anything but what it waits for are dropped when it looks."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: list[BarrierDecision] = []

    def put(self, decision: BarrierDecision) -> None:
        """From any thread."""
        with self._lock:
            self._waiting.append(decision)
        self._wake()

    def take(self, ddl: pb.Ddl, epoch: int) -> list[BarrierDecision]:
        """Those of the owner at `epoch` about `ddl`, oldest first; all others are dropped."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        return [one for one in waiting if one.epoch == epoch and ddl_id(one.ddl) == ddl_id(ddl)]
