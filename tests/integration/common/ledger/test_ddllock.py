"""Who executes DDL of a changefeed in the sink, and that it has ended."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any
from uuid import uuid4

import pymysql
import pytest

from hedgerow.common.ledger import ddl as sinkjournal
from hedgerow.common.ledger.ddllock import end_ddl, take_lock
from hedgerow.common.ledger.ownership import raise_fence
from hedgerow.common.ledger.schema import ensure_schema
from hedgerow.common.ledger.sessions import this_session, transaction
from hedgerow.common.mysql.connect import connect
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.servers import ServerPair


def test_it_ends_what_was_begun_and_waits_for_the_rest(server_pair: ServerPair) -> None:
    uid, uri = uuid4().hex, ServerUri.parse(server_pair.sink_uri)
    with closing(connect(uri, "sink")) as owner, closing(connect(uri, "sink")) as executor:
        ensure_schema(owner)
        raise_fence(owner, uid, 6, "n")
        assert end_ddl(owner, uid, 6) == ""
        session = this_session(executor).id  # asked once: later another thread uses the connection
        with executor.cursor() as cursor:
            assert take_lock(cursor, uid, 1)
            said = end_ddl(owner, uid, 6)  # it is recorded nowhere
            assert f"session {session}" in said
            _begin(owner, uid, 7, executor)
            assert f"session {session}" in end_ddl(owner, uid, 6)  # it is of a later owner
            executor.ping(reconnect=False)
            _begin(owner, uid, 5, executor)
            thread = threading.Thread(target=lambda: _ignoring_its_end(cursor, "SELECT SLEEP(600)"))
            thread.start()
            assert wait_until(lambda: "SLEEP" in _statement(server_pair, session), 10.0)
            assert wait_until(lambda: end_ddl(owner, uid, 6) == "", 20.0)
            thread.join(10.0)
            assert not thread.is_alive()
            assert _statement(server_pair, session) == ""


def _begin(owner: Any, uid: str, epoch: int, executor: Any) -> None:
    session = this_session(executor)
    with transaction(owner) as cursor:
        sinkjournal.write_started(cursor, uid, "k", "ALTER", "", epoch, session)


def _ignoring_its_end(cursor: Any, statement: str) -> None:
    with pytest.raises(pymysql.MySQLError):
        cursor.execute(statement)


def _statement(pair: ServerPair, session: int) -> str:
    with pair.sink.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(info, '') FROM information_schema.processlist WHERE id = %s", (session,))
        return str((cursor.fetchone() or ("",))[0])
