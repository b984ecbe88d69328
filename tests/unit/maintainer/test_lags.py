"""A changefeed's lag, from what its nodes tell."""

from __future__ import annotations

from hedgerow.common.lag import Lag
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.maintainer.lags import SILENT_SECONDS, ChangefeedLags


def told(lags: ChangefeedLags, node: str, now: float, lag: Lag | None) -> None:
    message = lag.write() if lag is not None else None
    lags.observe(node, dispatch_pb2.HeartbeatResponse(lag=message), now)


def test_it_is_that_of_the_slowest_node() -> None:
    lags = ChangefeedLags()
    assert lags.at({"n1"}, 10.0, everyone_is_placed=True) is None
    told(lags, "n1", 10.0, Lag(0.0, bytes=0))
    told(lags, "n2", 10.0, Lag(4.0, bytes=70))
    told(lags, "n3", 10.0, Lag(900.0))  # has no dispatchers
    assert lags.at({"n1", "n2"}, 11.0, everyone_is_placed=True) == Lag(4.0, bytes=70)


def test_it_is_never_0_while_something_is_out_of_sight() -> None:
    lags = ChangefeedLags()
    told(lags, "n1", 10.0, Lag(0.0, bytes=0))
    assert lags.at({"n1"}, 10.0, everyone_is_placed=True) == Lag(0.0, bytes=0)
    # A dispatcher is between two nodes; then the node is silent; then lost.
    told(lags, "n1", 12.0, Lag(0.0, bytes=0))
    assert lags.at({"n1"}, 12.0, everyone_is_placed=False) == Lag(2.0, is_known=False)
    assert lags.at({"n1"}, 12.0 + SILENT_SECONDS + 1, everyone_is_placed=True) == Lag(8.0, is_known=False)
    lags.lose("n1")
    assert lags.at(set(), 30.0, everyone_is_placed=False) == Lag(20.0, is_known=False)
    assert lags.at({"n2"}, 30.0, everyone_is_placed=True) == Lag(20.0, is_known=False)
    told(lags, "n2", 31.0, None)  # has begun, and knows nothing yet; nodes of an older version never say
    assert lags.at({"n2"}, 31.0, everyone_is_placed=True) == Lag(21.0, is_known=False)
    told(lags, "n2", 32.0, Lag(22.5, bytes=3))
    assert lags.at({"n2"}, 32.0, everyone_is_placed=True) == Lag(22.5, bytes=3)
