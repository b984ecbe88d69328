"""The coordinator's metrics. Only the node that coordinates has values; who loses its term clears them."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Counter, Gauge

from hedgerow.common.lag import Lag
from hedgerow.coordinator.changefeed import Changefeed
from hedgerow.coordinator.states import state_name

EPOCH = Gauge("hedgerow_changefeed_epoch", "Epoch on record, and the node that owns it", ["changefeed", "node"])
STATE = Gauge("hedgerow_changefeed_state", "1 for the state that the changefeed is in", ["changefeed", "state"])
LAG = Gauge(
    "hedgerow_changefeed_checkpoint_lag_seconds",
    "Age of the oldest commit of the source that is not durable in the sink; where that cannot be known, also of one "
    "that is stopped or has failed, the time since when it cannot",
    ["changefeed"],
)
LAG_BYTES = Gauge(
    "hedgerow_changefeed_lag_bytes",
    "Binlog between what is durable in the sink and the source's end; absent where that is not known",
    ["changefeed"],
)
OWNERSHIP_CHANGES = Counter("hedgerow_ownership_changes_total", "Epochs handed out, by reason", ["reason"])
TERM = Gauge("hedgerow_coordinator_term", "The term of this node as coordinator; 0 while it is not")


_shown: dict[Gauge, set[tuple[str, ...]]] = {EPOCH: set(), STATE: set(), LAG: set(), LAG_BYTES: set()}


def show(changefeeds: Mapping[str, Changefeed], lags: Mapping[str, Lag | None]) -> None:
    """Sets the gauges of all changefeeds, by name."""
    _set(EPOCH, {(name, changefeed.ownership.node): changefeed.epoch for name, changefeed in changefeeds.items()})
    _set(STATE, {(name, state_name(changefeed.status.state)): 1 for name, changefeed in changefeeds.items()})
    _set(LAG, {(name,): lag.seconds for name, lag in lags.items() if lag is not None})
    _set(LAG_BYTES, {(name,): lag.bytes for name, lag in lags.items() if lag is not None and lag.bytes is not None})


def clear() -> None:
    for gauge in _shown:
        _set(gauge, {})


def _set(gauge: Gauge, values: Mapping[tuple[str, ...], float]) -> None:
    """A scrape, which comes in a thread of its own, never finds a changefeed missing that is there before and after."""
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
    for labels in _shown[gauge] - values.keys():
        gauge.remove(*labels)
    _shown[gauge] = set(values)
