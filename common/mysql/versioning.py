"""Until when a row of a system-versioned table is the current one: MariaDB 11.5 has moved that from 2038 to 2106.

A row that is current to one of two versions on either side of 11.5 is history to the other, when its events are applied
by BINLOG: it would be there, and no SELECT would find it. (Tried: 10.11 to 11.8; no error of any kind.)
"""

from __future__ import annotations

from typing import Final

from hedgerow.common.mysql.connect import Flavour

_MOVED: Final = (11, 5)
WAY_ON: Final = (
    "upgrade the older one of the two servers to MariaDB 11.5 or later; or leave the table out with the filter; or, if "
    "its history is not needed, ALTER TABLE ... DROP SYSTEM VERSIONING on both"
)


def ends_differ(flavour: Flavour, source: tuple[int, ...], sink: tuple[int, ...]) -> bool:
    return flavour == "mariadb" and (source[:2] < _MOVED) != (sink[:2] < _MOVED)
