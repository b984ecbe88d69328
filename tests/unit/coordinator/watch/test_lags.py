"""What the coordinator shows of a changefeed's lag, with and without somebody who maintains it."""

from __future__ import annotations

from dataclasses import replace

from hedgerow.common.lag import Lag
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.changefeed import Changefeed, as_of, pause, resume, timestamp
from hedgerow.coordinator.decisions import SetFailed, change_for
from hedgerow.coordinator.watch.lags import ClusterLags
from tests.unit.coordinator.builders import NOW, changefeed, maintainer


def test_the_owners_word_is_shown_as_it_is() -> None:
    lags, shop = ClusterLags(), changefeed()
    status = maintainer(shop)
    status.lag.CopyFrom(Lag(3.5, bytes=77).write())
    lags.take(shop, status, NOW)
    assert lags.of(shop, status, NOW + 0.4) == Lag(3.5, bytes=77)


def test_without_an_owner_it_is_not_known_since_it_last_was() -> None:
    lags, shop = ClusterLags(), changefeed()
    assert lags.of(shop, None, NOW) is None
    status = maintainer(shop)
    status.lag.CopyFrom(Lag(0.0, bytes=0).write())
    lags.take(shop, status, NOW)
    assert lags.of(shop, None, NOW + 40) == Lag(40.0, is_known=False)
    status.ClearField("lag")  # a new owner that has not seen everybody
    lags.take(shop, status, NOW + 44)
    assert lags.of(shop, status, NOW + 44) == Lag(44.0, is_known=False)
    status.lag.CopyFrom(Lag(48.0, is_known=False).write())
    lags.take(shop, status, NOW + 45)
    assert lags.of(shop, status, NOW + 45) == Lag(48.0, is_known=False)
    lags.forget(set())
    assert lags.of(shop, None, NOW) is None


def test_a_stop_writes_it_down_for_the_next_coordinator() -> None:
    lags, shop = ClusterLags(), changefeed()
    status = maintainer(shop)
    status.lag.CopyFrom(Lag(2.0).write())
    lags.take(shop, status, NOW)
    error = pb.ChangefeedError(code="SinkDiverged")
    for change in (pause(shop, "a", None, NOW), change_for(shop, SetFailed("shop", "a", error), NOW)):
        written = as_of(change, lags.current_as_of(shop)).status
        assert written is not None
        stopped = replace(shop, status=written)
        assert ClusterLags().of(stopped, None, NOW + 10) == Lag(12.0, is_known=False)
        resumed = resume(stopped, "a", NOW + 20).status
        assert resumed is not None
        assert ClusterLags().of(replace(shop, status=resumed), None, NOW + 30) == Lag(32.0, is_known=False)


def test_a_report_of_who_closes_says_nothing_of_the_lag() -> None:
    lags, shop = ClusterLags(), changefeed()
    paused = pause(shop, "a", None, NOW)
    assert paused.ownership is not None
    stopped = Changefeed(shop.spec, paused.ownership, paused.status or shop.status, shop.revisions)
    status = maintainer(stopped)
    status.lag.CopyFrom(Lag(0.0).write())
    lags.take(stopped, status, NOW)
    assert lags.of(stopped, status, NOW) is None


def test_at_the_least_everything_before_the_checkpoint_is_durable() -> None:
    status = pb.ChangefeedStatus(state=pb.STOPPED)
    status.checkpoint.commit_time.CopyFrom(timestamp(NOW - 60))
    assert ClusterLags().of(replace(changefeed(), status=status), None, NOW) == Lag(60.0, is_known=False)
