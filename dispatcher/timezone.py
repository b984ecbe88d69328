"""Sessions in time zone SYSTEM: that of their server's machine, which the event does not name.

A DEFAULT for a TIMESTAMP, a bound by UNIX_TIMESTAMP, or NOW() in ALTER TABLE would be another moment in a sink whose
machine is elsewhere, as it is in the servers' own replicas.
"""

from __future__ import annotations

from collections.abc import Mapping

import pymysql

from common.mysql import connect, unavailable
from common.timezone import SYSTEM, UTC, system_time_zone
from common.uri import ServerUri

Session = Mapping[str, int | float | str]


def located(session: Session, source: ServerUri) -> Session:
    """The session with the name of its time zone, where that is SYSTEM: exactly, if that is UTC, else as
    common.timezone has it, for the sink to compare with its own. Raises SourceUnavailable."""
    if str(session.get("time_zone", "")).upper() != SYSTEM:
        return session
    try:
        with connect(source, "source", read_timeout=5.0) as connection, connection.cursor() as cursor:
            zone = system_time_zone(cursor)
    except (pymysql.MySQLError, OSError) as error:
        raise unavailable(source, "source", error) from error
    return {**session, "time_zone": "+00:00"} if zone == UTC else {**session, "system_time_zone": zone}
