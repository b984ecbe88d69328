"""What more than one role counts. Names are stable: dashboards and tests read them."""

from __future__ import annotations

from prometheus_client import Counter

SESSIONS_ENDED = Counter(
    "hedgerow_sink_sessions_ended_total",
    "Sessions of former writers that were killed in the sink because their open transactions were in the way",
)
