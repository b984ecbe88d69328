"""What the dispatchers of this node count. Names are stable: dashboards and tests read them."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

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
    "hedgerow_lag_seconds", "Age of the oldest source transaction that is not durable in the sink", ["changefeed"]
)
RETRIES = Counter("hedgerow_stream_retries_total", "Streams that began anew after an error", ["changefeed", "error"])
UNREPLICATED = Counter(
    "hedgerow_unreplicated_tables_total",
    "Tables that match the filter and that no dispatcher replicated when their rows came: the changefeed stopped",
    ["changefeed"],
)
