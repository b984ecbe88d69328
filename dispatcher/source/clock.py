"""The source's clock against ours. Commit times are the source's; what is made of them must not depend on how the two
clocks differ, nor on this node's being set."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from pymysql.connections import Connection

from hedgerow.common.mysql.connect import Flavour

# Independent of the session's time zone, and of summer time.
_QUESTION = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"


@dataclass(frozen=True, slots=True)
class Clock:
    """`offset`: time.monotonic() here less the seconds since 1970 there. `resolution`: of commit times, in seconds."""

    offset: float
    resolution: float

    def latest(self, commit_time: float) -> float:
        """On time.monotonic(), when at the latest was that committed which says it was at `commit_time`?"""
        return commit_time + self.resolution + self.offset

    def earliest(self, moment: float) -> float:
        """The commit time of which `latest` is `moment`."""
        return moment - self.resolution - self.offset


def read_clock(connection: Connection[Any], flavour: Flavour) -> Clock:
    """Blocking. Raises what PyMySQL raises."""
    asked = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(_QUESTION)
        (micros,) = cursor.fetchone() or (0,)
    between = (asked + time.monotonic()) / 2
    return Clock(between - int(micros) / 1e6, 1.0 if flavour == "mariadb" else 0.0)
