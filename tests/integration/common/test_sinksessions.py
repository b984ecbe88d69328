"""Locks of a process that is frozen in a transaction of a session that is recorded nowhere."""

from __future__ import annotations

import time

import pymysql
import pytest

from common import sinktables
from common.sinksessions import IDLE_IN_TRANSACTION
from hedgerow.sandbox.accounts import SINK_USER
from hedgerow.sandbox.servers import ServerPair


def test_the_fence_can_be_raised_over_a_frozen_maintainer(server_pair: ServerPair) -> None:
    """As in a drill: it froze while it asked whether it still is the owner, and its session held the fence row."""
    sink = server_pair.sink.account(SINK_USER)
    with sink.connect() as frozen, sink.connect() as successor:
        sinktables.ensure_schema(frozen)
        sinktables.raise_fence(frozen, "uid", 1, "one")
        with pytest.raises(pymysql.MySQLError), sinktables.transaction(frozen) as cursor:  # noqa: PT012
            sinktables.check_fence(cursor, "uid", 1)
            began = time.monotonic()
            sinktables.raise_fence(successor, "uid", 2, "two")
            assert IDLE_IN_TRANSACTION - 1 < time.monotonic() - began < IDLE_IN_TRANSACTION + 3
            cursor.execute("SELECT 1")


def test_a_session_keeps_its_own_timeouts(server_pair: ServerPair) -> None:
    with server_pair.sink.account(SINK_USER).connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION wait_timeout = 77, innodb_lock_wait_timeout = 33")
        sinktables.ensure_schema(connection)
        sinktables.raise_fence(connection, "uid", 1, "one")
        cursor.execute("SELECT @@SESSION.wait_timeout, @@SESSION.innodb_lock_wait_timeout")
        assert cursor.fetchone() == (77, 33)
