"""How far changefeeds are behind, also those that nobody maintains: paused, failed, or between two owners.

What the owner reports is shown as it is. Without that, or where the owner cannot know it either, the lag is not known
since it last was: this term's memory tells when, else what was written with the changefeed's status. Times are of the
wall clock."""

from __future__ import annotations

from hedgerow.common.lag import Held, Lag
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.coordinator.changefeed import Changefeed, seconds


class ClusterLags:
    """Owned by one term."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}

    def take(self, changefeed: Changefeed, status: mpb.MaintainerStatus | None, told: float) -> None:
        """The owner's report, and when it came."""
        lag = _reported(changefeed, status)
        if lag is not None:
            self._held.setdefault(changefeed.uid, Held()).take(lag, told)

    def forget(self, uids: set[str]) -> None:
        """Drops what is remembered of changefeeds that are not among these any more."""
        self._held = {uid: held for uid, held in self._held.items() if uid in uids}

    def current_as_of(self, changefeed: Changefeed) -> float | None:
        """What the source had committed by then is durable in the sink. None where nothing is known of it."""
        held = self._held.get(changefeed.uid)
        if held is not None and held.current_as_of is not None:
            return held.current_as_of
        if changefeed.status.HasField("current_as_of"):
            return seconds(changefeed.status.current_as_of)
        return seconds(changefeed.status.checkpoint.commit_time) or None  # by the source's clock

    def of(self, changefeed: Changefeed, status: mpb.MaintainerStatus | None, now: float) -> Lag | None:
        """None where nothing was ever known."""
        lag = _reported(changefeed, status)
        if lag is not None and lag.is_known:
            return lag
        known = Held(self.current_as_of(changefeed)).at(now)
        return Lag(known.seconds, is_known=False, bytes=lag.bytes if lag else None) if known is not None else lag


def _reported(changefeed: Changefeed, status: mpb.MaintainerStatus | None) -> Lag | None:
    return Lag.read(status.lag) if status is not None and changefeed.running and status.HasField("lag") else None
