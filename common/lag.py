"""How far a sink is from its source, as one value, and what is left of it when nobody looks any more. Pure.

All that the source had committed `seconds` ago is durable in the sink. That stays true for ever, also for what cannot
be looked at: it only grows older. So a lag that is not known is never 0, and never less than it may be.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hedgerow.common.pb.v1 import model_pb2 as pb

_SAME_SECONDS = 1.0  # that reports of one moment may differ by, for having travelled


@dataclass(frozen=True, slots=True)
class Lag:
    """`is_known`: what the source committed next is not durable, or there is nothing (0). Where it is False, nobody
    could look since, and the true lag is anything up to `seconds`. `bytes` of the source's binlog lie between what is
    durable and its end; None where that is not known."""

    seconds: float
    is_known: bool = True
    bytes: int | None = None

    @classmethod
    def read(cls, message: pb.Lag) -> Lag:
        return cls(message.seconds, message.known, message.bytes if message.HasField("bytes") else None)

    def write(self) -> pb.Lag:
        return pb.Lag(seconds=self.seconds, known=self.is_known, bytes=self.bytes)


def worst(lags: Iterable[Lag]) -> Lag | None:
    """Of several streams from one source; None where there are none."""
    every = list(lags)
    if not every:
        return None
    sizes = [lag.bytes for lag in every]
    slowest = max(every, key=lambda lag: lag.seconds)
    known = [size for size in sizes if size is not None]
    return replace(slowest, bytes=max(known) if len(known) == len(sizes) else None)


class Held:
    """What was last told of a lag. Times are seconds of one clock that does not go back, or of the wall clock.
    `current_as_of`: what the source had committed by then is durable; None where nothing was ever known."""

    def __init__(self, current_as_of: float | None = None) -> None:
        self.current_as_of = current_as_of

    def take(self, lag: Lag | None, now: float) -> None:
        """As it is now. Who does not know it now knows best since when: what was held may have been told in the moments
        before that was noticed."""
        if lag is None:
            return
        as_of = now - lag.seconds
        held = self.current_as_of
        if lag.is_known or held is None or abs(as_of - held) > _SAME_SECONDS:
            self.current_as_of = as_of

    def at(self, now: float) -> Lag | None:
        """For when it cannot be looked at. None where nothing was ever known."""
        since = self.current_as_of
        return None if since is None else Lag(max(0.0, now - since), is_known=False)
