"""The time zone of a server's machine, as far as the server tells."""

from __future__ import annotations

from typing import Final

from pymysql.cursors import Cursor

SYSTEM: Final = "SYSTEM"
UTC: Final = "UTC"
_UTC_NAMES: Final = frozenset({"UTC", "GMT", "UCT", "Z", "ZULU", "UNIVERSAL", "ETC/UTC", "ETC/GMT"})


def system_time_zone(cursor: Cursor) -> str:
    """Its abbreviation and what it is ahead of UTC by now, in seconds: abbreviations are not unique. UTC where it is
    that. The session is in that time zone afterwards."""
    cursor.execute("SET SESSION time_zone = 'SYSTEM'")
    cursor.execute("SELECT @@system_time_zone, TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), NOW())")
    row = cursor.fetchone() or ("", 0)
    name, ahead = str(row[0]), int(row[1])
    return UTC if not ahead and name.upper() in _UTC_NAMES else f"{name} {ahead:+d}"
