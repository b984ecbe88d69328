"""The coordinator's metrics. Only the node that coordinates has values; who loses its term clears them."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Counter, Gauge

from common.pb.v1 import maintainer_pb2 as mpb
from common.pb.v1 import model_pb2 as pb
from coordinator.feed import Feed
from coordinator.states import state_name

EPOCH = Gauge("hedgerow_changefeed_epoch", "Epoch on record, and the node that owns it", ["changefeed", "node"])
STATE = Gauge("hedgerow_changefeed_state", "1 for the state that the changefeed is in", ["changefeed", "state"])
LAG = Gauge("hedgerow_changefeed_checkpoint_lag_seconds", "Commit at the source to durable in the sink", ["changefeed"])
OWNERSHIP_CHANGES = Counter("hedgerow_ownership_changes_total", "Epochs handed out, by reason", ["reason"])
ETCD_REJECTIONS = Counter(
    "hedgerow_etcd_rejections_total",
    "Writes that etcd refused: 'term' from a deposed coordinator, 'revision' because somebody else wrote first",
    ["reason"],
)
NODE_REJECTIONS = Counter("hedgerow_coordinator_rejections_total", "Requests that nodes refused", ["verdict"])
TERM = Gauge("hedgerow_coordinator_term", "The term of this node as coordinator; 0 while it is not")


def show(feeds: Mapping[str, Feed], live: Mapping[str, mpb.MaintainerStatus]) -> None:
    """Sets the gauges of all changefeeds; `live` holds the owners' reports by name."""
    clear()
    for name, feed in feeds.items():
        EPOCH.labels(name, feed.ownership.node).set(feed.epoch)
        STATE.labels(name, state_name(feed.status.state)).set(1)
        if feed.running and name in live:
            LAG.labels(name).set(live[name].lag_seconds)


def clear() -> None:
    for gauge in (EPOCH, STATE, LAG):
        gauge.clear()


def count_rejection(rejection: pb.Rejection) -> None:
    NODE_REJECTIONS.labels(pb.Verdict.Name(rejection.verdict).lower()).inc()
