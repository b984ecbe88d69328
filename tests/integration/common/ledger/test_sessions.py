"""Locks of a process that is frozen in a transaction of a session that is recorded nowhere."""

from __future__ import annotations

import re
import time

import pymysql
import pytest

from hedgerow.common.errors import SinkUnavailable
from hedgerow.common.ledger.fence import check_fence, find_fence
from hedgerow.common.ledger.ownership import raise_fence
from hedgerow.common.ledger.schema import ensure_schema
from hedgerow.common.ledger.sessions import IDLE_IN_TRANSACTION, transaction
from hedgerow.sandbox.accounts import SINK_USER
from hedgerow.sandbox.servers import ServerPair


def test_the_fence_can_be_raised_over_a_frozen_maintainer(server_pair: ServerPair) -> None:
    """As in a drill: it froze while it asked whether it still is the owner, and its session held the fence row."""
    sink = server_pair.sink.account(SINK_USER)
    with sink.connect() as frozen, sink.connect() as successor:
        ensure_schema(frozen)
        raise_fence(frozen, "uid", 1, "one")
        with pytest.raises(pymysql.MySQLError), transaction(frozen) as cursor:  # noqa: PT012
            check_fence(cursor, "uid", 1)
            began = time.monotonic()
            raise_fence(successor, "uid", 2, "two")
            assert IDLE_IN_TRANSACTION - 1 < time.monotonic() - began < IDLE_IN_TRANSACTION + 3
            cursor.execute("SELECT 1")


def test_a_session_keeps_its_own_timeouts(server_pair: ServerPair) -> None:
    with server_pair.sink.account(SINK_USER).connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION wait_timeout = 77, innodb_lock_wait_timeout = 33, lock_wait_timeout = 44")
        ensure_schema(connection)
        raise_fence(connection, "uid", 1, "one")
        cursor.execute("SELECT @@SESSION.wait_timeout, @@SESSION.innodb_lock_wait_timeout, @@SESSION.lock_wait_timeout")
        assert cursor.fetchone() == (77, 33, 44)


def test_a_global_read_lock_is_told_in_time_and_outlived(server_pair: ServerPair) -> None:
    with server_pair.sink.account(SINK_USER).connect() as connection, server_pair.sink.connect() as backup:
        ensure_schema(connection)
        raise_fence(connection, "uid", 1, "one")
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION lock_wait_timeout = 600")
        backup.query("FLUSH TABLES WITH READ LOCK")
        began = time.monotonic()
        with pytest.raises(SinkUnavailable, match="FLUSH TABLES WITH READ LOCK") as told:
            raise_fence(connection, "uid", 2, "two", patience=3)
        assert time.monotonic() - began < 60
        if server_pair.flavour == "mysql":
            assert re.search(r"held by session \d+ \(root@", str(told.value))
        backup.query("UNLOCK TABLES")
        raise_fence(connection, "uid", 2, "two")
        assert find_fence(connection, "uid") == 2


def test_a_lock_on_rows_is_no_global_one(server_pair: ServerPair) -> None:
    with server_pair.sink.account(SINK_USER).connect() as connection, server_pair.sink.connect() as other:
        ensure_schema(connection)
        raise_fence(connection, "uid", 1, "one")
        other.query("BEGIN")
        other.query("SELECT * FROM hedgerow.fence FOR UPDATE")
        with pytest.raises(SinkUnavailable, match="innodb_trx") as told:
            raise_fence(connection, "uid", 2, "two", patience=2)
        assert "READ LOCK" not in str(told.value)
