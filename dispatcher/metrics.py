"""What the dispatchers of this node count. Names are stable: dashboards and tests read them."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable

from prometheus_client import Counter, Gauge

from hedgerow.common.lag import Lag

TRANSACTIONS = Counter(
    "hedgerow_applied_transactions_total", "Source transactions that are durable in the sink", ["changefeed"]
)
ROWS_EVENTS = Counter("hedgerow_applied_rows_events_total", "Rows events that are durable in the sink", ["changefeed"])
ROWS = Counter(
    "hedgerow_applied_rows_total", "Rows that the sink's server has changed for the lanes of this node", ["changefeed"]
)
BYTES = Counter("hedgerow_applied_bytes_total", "Binlog bytes that are durable in the sink", ["changefeed"])
BATCHES = Counter("hedgerow_applied_batches_total", "Sink transactions that committed", ["changefeed"])
LANE_BUSY = Counter(
    "hedgerow_lane_busy_seconds_total", "Seconds that lanes spent applying, all lanes of this node", ["changefeed"]
)
LAG = Gauge(
    "hedgerow_lag_seconds",
    "Age of the oldest commit of the source that is not durable in the sink; where that cannot be known, the time "
    "since when it cannot",
    ["changefeed"],
)
LAG_BYTES = Gauge(
    "hedgerow_lag_bytes",
    "Binlog between what is durable in the sink and the source's end; NaN where that is not known",
    ["changefeed"],
)
RETRIES = Counter("hedgerow_stream_retries_total", "Streams that began again after an error", ["changefeed", "error"])
UNREPLICATED = Counter(
    "hedgerow_unreplicated_tables_total",
    "Tables that match the filter and that no dispatcher replicated when their rows came: the changefeed stopped",
    ["changefeed"],
)


def show_lag(changefeed: str, lag: Callable[[], Lag | None]) -> None:
    """From now on each scrape asks `lag`."""
    began = time.monotonic()

    def seconds() -> float:
        found = lag()
        return found.seconds if found is not None else time.monotonic() - began

    def size() -> float:
        found = lag()
        return found.bytes if found is not None and found.bytes is not None else math.nan

    LAG.labels(changefeed).set_function(seconds)
    LAG_BYTES.labels(changefeed).set_function(size)


def hide_lag(changefeed: str) -> None:
    for gauge in (LAG, LAG_BYTES):
        with contextlib.suppress(KeyError):
            gauge.remove(changefeed)
