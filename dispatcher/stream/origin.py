"""What a statement depends on and its event does not say: asked of the source.

The time zone of a session in SYSTEM is that of its server's machine: a DEFAULT for a TIMESTAMP, a bound by
UNIX_TIMESTAMP, or NOW() in ALTER TABLE would be another moment in a sink whose machine is elsewhere, as it is in the
servers' own replicas. What rows of a system-versioned table mean depends on the version (common.mysql.versioning).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import pymysql
from pymysql.cursors import Cursor

from hedgerow.common.mysql.connect import connect, server_info, unavailable
from hedgerow.common.mysql.timezone import SYSTEM, UTC, system_time_zone
from hedgerow.common.mysql.uri import ServerUri

Session = Mapping[str, int | float | str]
_VERSIONED: Final = re.compile(r"\b(?:WITH|ADD)\s+SYSTEM\s+VERSIONING\b|\bROW\s+END\b", re.IGNORECASE)


def completed(session: Session, text: str, source: ServerUri) -> Session:
    """The session with `system_time_zone` and `version` of the source, where the statement may depend on them, for the
    sink to compare with its own. Raises SourceUnavailable."""
    in_system = str(session.get("time_zone", "")).upper() == SYSTEM
    is_versioned = _VERSIONED.search(text) is not None
    if not in_system and not is_versioned:
        return session
    try:
        with connect(source, "source", read_timeout=5.0) as connection, connection.cursor() as cursor:
            if is_versioned:
                session = {**session, "version": server_info(connection).version_text}
            return _located(session, cursor) if in_system else session
    except (pymysql.MySQLError, OSError) as error:
        raise unavailable(source, "source", error) from error


def _located(session: Session, cursor: Cursor) -> Session:
    zone = system_time_zone(cursor)
    return {**session, "time_zone": "+00:00"} if zone == UTC else {**session, "system_time_zone": zone}
