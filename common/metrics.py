"""What more than one role counts. Names are stable: dashboards and tests read them."""

from __future__ import annotations

from typing import Any, Literal

import structlog
from prometheus_client import Counter

log = structlog.get_logger()

REJECTIONS = Counter(
    "hedgerow_rejections_total",
    "What the fence refused: requests and responses (layer rpc: stale, foreign, ahead), sink transactions and claims "
    "(layer sink: stale), the coordinator's writes to etcd (layer etcd: term, of a deposed one; revision, changed by "
    "somebody else in between)",
    ["layer", "verdict"],
)

SESSIONS_ENDED = Counter(
    "hedgerow_sink_sessions_ended_total",
    "Sessions of former writers that were killed in the sink because their open transactions were in the way",
)


def rejected(layer: Literal["rpc", "sink", "etcd"], verdict: str, *, count: int = 1, **what: Any) -> None:
    """Counts and logs a rejection, once, where it is made. `what` says of whom and why."""
    verdict = verdict.lower()
    REJECTIONS.labels(layer, verdict).inc(count)
    log.info("rejected", layer=layer, verdict=verdict, count=count, **what)
