"""How far a changefeed's sink is from its source, as its nodes tell. Pure: times are given, of a clock that does not go
back."""

from __future__ import annotations

from collections.abc import Collection

from hedgerow.common.lag import Held, Lag, worst
from hedgerow.common.pb.v1 import dispatch_pb2

SILENT_SECONDS = 5.0  # that a node's word stands; nodes are asked every second


class ChangefeedLags:
    """Owned by one maintainer."""

    def __init__(self) -> None:
        self._beats: dict[str, tuple[Lag | None, float]] = {}
        self._held = Held()

    def observe(self, node: str, beat: dispatch_pb2.HeartbeatResponse, now: float) -> None:
        self._beats[node] = (Lag.read(beat.lag) if beat.HasField("lag") else None, now)

    def lose(self, node: str) -> None:
        self._beats.pop(node, None)

    def at(self, hosts: Collection[str], now: float, *, everyone_is_placed: bool) -> Lag | None:
        """`hosts` have dispatchers. Where one is silent, or a dispatcher is on none, it is not known since all was;
        None where nothing was ever known."""
        lags = [lag for node in hosts if (lag := self._of(node, now)) is not None]
        if everyone_is_placed and hosts and len(lags) == len(hosts):
            found = worst(lags)
            self._held.take(found, now)
            return found
        return self._held.at(now)

    def _of(self, node: str, now: float) -> Lag | None:
        lag, told = self._beats.get(node, (None, 0.0))
        return lag if now - told <= SILENT_SECONDS else None
