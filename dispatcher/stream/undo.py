"""Rows that the source has sent, and that hold no longer: rolled back, or of a transaction that it never ended.

That is known only after they were read, collected with others, and perhaps sent. So the first reading of such a
transaction ends the stream's connections, which rolls back what was not committed, and notes which dispatchers are to
leave out which part; the second reading does. What is noted is for as long as the stream lives; a later one finds out
again.

What a server logs and rolls back has changed a table without transactions, which keeps its rows, or has made a
temporary table. Which of the rows were kept is not in the binlog: the tables' engines tell.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import pymysql
import structlog
from pymysql.connections import Connection

from hedgerow.common.errors import UnsupportedEvent
from hedgerow.common.mysql.connect import connect, unavailable
from hedgerow.common.mysql.names import TableName
from hedgerow.common.mysql.uri import ServerUri

log = structlog.get_logger()

_ASK_SECONDS: Final = 10.0
_SELECT: Final = (
    "SELECT e.transactions, UNIX_TIMESTAMP(t.create_time) FROM information_schema.tables t"
    " LEFT JOIN information_schema.engines e ON e.engine = t.engine WHERE t.table_schema = %s AND t.table_name = %s"
)


class RolledBack(Exception):
    """The rows of the dispatchers `keys` since `marker` (Tracker.marker) do not hold. `ended_at`: when, in seconds
    since 1970 by the source's clock, 0 where a crash ended it. `what`: the transaction, for messages."""

    def __init__(self, marker: str, keys: Collection[str], ended_at: float, what: str) -> None:
        super().__init__(marker)
        self.marker = marker
        self.keys = frozenset(keys)
        self.ended_at = ended_at
        self.what = what


@dataclass(frozen=True, slots=True)
class _Engine:
    has_transactions: bool
    since: float  # when the table was made or rebuilt


class Undone:
    """By marker, the dispatchers whose rows since then are left out, and all those that were judged."""

    def __init__(self) -> None:
        self._parts: dict[str, frozenset[str]] = {}
        self._judged: dict[str, frozenset[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._parts)

    def of(self, marker: str) -> frozenset[str] | None:
        """None: nothing is known of it."""
        return self._parts.get(marker)

    def knows(self, marker: str, keys: Collection[str]) -> bool:
        """Whether each of these was judged. One that was away when it was found comes to it later."""
        return self._judged.get(marker, frozenset()).issuperset(keys)

    def learn(self, source: ServerUri, found: RolledBack) -> None:
        """Raises UnsupportedEvent where nobody can know which rows were kept; SourceUnavailable."""
        keys = found.keys
        if found.ended_at:
            keys = frozenset(key for key, engine in _engines(source, found).items() if engine.has_transactions)
        self._parts[found.marker] = self._parts.get(found.marker, frozenset()) | keys
        self._judged[found.marker] = self._judged.get(found.marker, frozenset()) | found.keys
        log.info("rows-rolled-back-at-the-source", transaction=found.what, left_out=sorted(keys))


def _engines(source: ServerUri, found: RolledBack) -> dict[str, _Engine]:
    try:
        with connect(source, "source", read_timeout=_ASK_SECONDS) as connection:
            return {key: _engine(connection, key, found) for key in sorted(found.keys)}
    except (pymysql.MySQLError, OSError) as error:
        raise unavailable(source, "source", error) from error


def _engine(connection: Connection[Any], key: str, found: RolledBack) -> _Engine:
    name = TableName(*key.split(".", 1))
    with connection.cursor() as cursor:
        cursor.execute(_SELECT, (name.schema, name.table))
        row = cursor.fetchone()
    since = float(row[1] or 0) if row else 0.0
    if row is None or row[0] is None or since > found.ended_at + 1:
        changed = "is not there any more" if row is None else "was changed since"
        raise UnsupportedEvent(
            f"{found.what} was rolled back at the source after it had changed table {key}, which {changed}: whether "
            f"its rows were kept (they are where the engine has no transactions) cannot be known. Compare {key} on "
            f"both sides, and bring it in line"
        )
    return _Engine(row[0] == "YES", since)
