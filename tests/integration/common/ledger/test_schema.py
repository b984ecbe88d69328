"""Schema `hedgerow` in a sink where an earlier version has made it."""

from __future__ import annotations

from hedgerow.common.binlog.position import Position
from hedgerow.common.ledger.ownership import raise_fence
from hedgerow.common.ledger.progress import claim_dispatchers, insert_progress, list_progress
from hedgerow.common.ledger.schema import ensure_schema
from hedgerow.sandbox.accounts import SINK_USER
from hedgerow.sandbox.servers import ServerPair


def test_progress_of_an_earlier_version_gets_its_mark(server_pair: ServerPair) -> None:
    """By a maintainer, or by the first lane where the maintainer is still of the earlier version; rows stay."""
    position = Position("", "binlog.000001", 7, "s", 1.5, "a mark")
    with server_pair.sink.account(SINK_USER).connect() as connection, connection.cursor() as cursor:
        ensure_schema(connection)
        raise_fence(connection, "uid", 1, "one")
        insert_progress(connection, "uid", 1, ["a.b"], position)
        assert [row.position.mark for row in list_progress(connection, "uid")] == ["a mark"]
        cursor.execute("ALTER TABLE hedgerow.progress DROP COLUMN mark")
        assert claim_dispatchers(connection, "uid", 1, {"a.b": 1}) == {"a.b": position}
        cursor.execute("ALTER TABLE hedgerow.progress DROP COLUMN mark")
        ensure_schema(connection)
        ensure_schema(connection)
        (row,) = list_progress(connection, "uid")
        assert (row.position, row.position.mark) == (position, "")
