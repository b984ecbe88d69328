"""One operation's attempts: one deadline, divided over the endpoints, and what each failure means for the next attempt.

Does no I/O; the clock is an argument.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import grpc

from hedgerow.common.errors import EtcdUnavailable
from hedgerow.common.etcd.errors import Judgement, judge, refusal, unavailable

_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4)  # after each round over all endpoints, seconds
_TOO_SHORT = 0.005


class Attempts:
    """`repeatable`: sending the request again after its answer was lost does no harm."""

    def __init__(
        self,
        what: str,
        timeout: float,
        endpoints: int,
        *,
        repeatable: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.in_doubt = False  # an attempt may have been applied
        self._what = what
        self._timeout = timeout
        self._endpoints = endpoints
        self._repeatable = repeatable
        self._clock = clock
        self._end = clock() + timeout
        self._failures = 0
        self._causes: dict[str, str] = {}

    @property
    def share(self) -> float:
        """The next attempt's time-out in seconds."""
        return min(self._timeout / self._endpoints, self._end - self._clock())

    def failed(self, address: str, code: grpc.StatusCode, details: str, *, sent: bool, writes: bool) -> Judgement:
        """Takes note of a failed attempt. Raises where there is no point in another one, or where it could do harm.

        `sent`: the request itself may have left, not only the login before it. `writes`: it changes something.
        """
        judgement = judge(code, details)
        if judgement is Judgement.REFUSED:
            raise refusal(self._what, address, code, details)
        self._failures += 1
        self._causes.pop(address, None)
        self._causes[address] = details or code.name
        self.in_doubt |= sent and writes and judgement is Judgement.UNKNOWN
        if (self.in_doubt and not self._repeatable) or self._end - self._clock() < _TOO_SHORT:
            raise self.gave_up()
        return judgement

    @property
    def pause(self) -> float:
        """Seconds to wait before the next attempt: none while there is an endpoint that was not tried in this round."""
        rounds, tried = divmod(self._failures, self._endpoints)
        if tried:
            return 0.0
        return max(0.0, min(_PAUSES[min(rounds, len(_PAUSES)) - 1], self._end - self._clock() - _TOO_SHORT))

    def gave_up(self) -> EtcdUnavailable:
        """Ambiguous where an attempt may have been applied."""
        return unavailable(self._what, self._timeout, self._causes, ambiguous=self.in_doubt)
