"""Whoever waits for a lock in the sink is told for what: rows, a table, or everything; and by whom, where it tells."""

from __future__ import annotations

from typing import Any

import pymysql
import pytest

from hedgerow.common.errors import SinkUnavailable
from hedgerow.dispatcher.sink.binlog import lane
from hedgerow.dispatcher.sink.ddl import session as ddl_session
from hedgerow.sandbox.servers import ServerPair
from tests.integration.dispatcher.sink.ddl.test_execute import Ddl
from tests.integration.dispatcher.sink.harness import SCHEMA, Feed, apply, run


@pytest.fixture
def sink(server_pair: ServerPair) -> Ddl:
    return Ddl(server_pair)


def number(connection: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        return int(cursor.fetchone()[0])


def test_a_statement_that_waits_for_a_metadata_lock_says_so(sink: Ddl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddl_session, "METADATA_LOCK_WAIT", 2)
    run(sink.pair.sink.connect(), "CREATE TABLE dd.a (id INT)", "INSERT INTO dd.a VALUES (1)")
    sink.offset = 10
    with sink.pair.sink.connect() as other:
        other.query("BEGIN")
        other.query("SELECT * FROM dd.a")
        with pytest.raises(SinkUnavailable, match="metadata lock") as told:
            sink.execute("ALTER TABLE a ADD x INT", touches="a")
        message = str(told.value)
        assert "ALTER TABLE a ADD x INT" in message
        assert "dd.a" in message
        assert "rows of" not in message
        if sink.pair.flavour == "mysql":
            assert f"session {number(other)} (root@" in message
        other.rollback()
    sink.execute("ALTER TABLE a ADD x INT", touches="a")
    assert sink.query("SELECT * FROM dd.a") == ((1, None),)
    assert sink.progress() == {"*": 10}


def test_a_statement_under_a_global_read_lock_says_so(sink: Ddl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddl_session, "METADATA_LOCK_WAIT", 2)
    run(sink.pair.sink.connect(), "CREATE TABLE dd.a (id INT)")
    sink.offset = 10
    with sink.pair.sink.connect() as backup:
        backup.query("FLUSH TABLES WITH READ LOCK")
        with pytest.raises(SinkUnavailable, match="FLUSH TABLES WITH READ LOCK") as told:
            sink.execute("ALTER TABLE a ADD x INT", touches="a")
        assert "ALTER TABLE a ADD x INT" in str(told.value)
        backup.query("UNLOCK TABLES")
    sink.execute("ALTER TABLE a ADD x INT", touches="a")
    assert sink.progress() == {"*": 10}


def test_mariadb_names_the_sessions_where_it_has_the_plugin(sink: Ddl, monkeypatch: pytest.MonkeyPatch) -> None:
    if sink.pair.flavour != "mariadb":
        pytest.skip("a plugin of MariaDB")
    monkeypatch.setattr(ddl_session, "METADATA_LOCK_WAIT", 2)
    run(sink.pair.sink.connect(), "CREATE TABLE dd.a (id INT)")
    sink.offset = 10
    with sink.pair.sink.connect() as other:
        try:
            other.query("INSTALL SONAME 'metadata_lock_info'")
        except pymysql.MySQLError as error:
            pytest.skip(f"this build does not have it: {error}")
        try:
            other.query("BEGIN")
            other.query("SELECT * FROM dd.a")
            with pytest.raises(SinkUnavailable, match=rf"session {number(other)} \(root@"):
                sink.execute("ALTER TABLE a ADD x INT", touches="a")
        finally:
            other.query("UNINSTALL SONAME 'metadata_lock_info'")


@pytest.mark.parametrize(
    ("lock", "says"),
    [
        ("FLUSH TABLES WITH READ LOCK", "global read lock"),
        (f"LOCK TABLES {SCHEMA}.keyless READ", "have locked the table"),
    ],
)
def test_rows_that_wait_say_for_what(
    server_pair: ServerPair, lock: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "LOCK_WAITS", 1)
    feed = Feed(server_pair, {"keyless": "(v INT)"})
    run(server_pair.source.connect(), f"INSERT INTO {SCHEMA}.keyless VALUES (1)")
    description, transactions = feed.read()
    with server_pair.sink.connect() as backup:
        with feed.lane() as writer:
            positions = writer.claim(dict.fromkeys(feed.keys, 1))
            backup.query(lock)
            with pytest.raises(SinkUnavailable, match=says) as told:
                apply(writer, description, transactions, positions, 1)
            assert ("READ LOCK" in str(told.value)) == ("READ LOCK" in lock)
        backup.query("UNLOCK TABLES")
