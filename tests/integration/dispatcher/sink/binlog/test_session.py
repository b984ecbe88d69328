"""What a lane sends before it knows the answer to what was sent before, on real servers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pymysql
import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.dispatcher.sink.api import Rows
from hedgerow.dispatcher.sink.binlog.coalesce import Coalescer
from hedgerow.dispatcher.sink.binlog.session import SinkSession
from hedgerow.dispatcher.sink.binlog.wire import Result
from hedgerow.dispatcher.sink.kill_switch import KillSwitch
from hedgerow.sandbox.accounts import ROOT_USER, SINK_USER
from hedgerow.sandbox.servers import ServerPair
from tests.integration.dispatcher.sink.harness import SCHEMA, Feed, run

SIZE = (16 << 20) + 5  # of a value: the event takes several packets, and more than MariaDB takes by default
PACKET = 64 << 20
INNODB_CACHE_SECONDS = 0.15  # innodb_trx read again within 0.1 s shows what it did before (MySQL manual, 17.15.2.3)


class Prepared:
    """A sink session that knows the source's format, and events of one row for table t, which is empty."""

    def __init__(self, pair: ServerPair) -> None:
        feed = Feed(pair, {"t": "(id INT PRIMARY KEY, value LONGBLOB)"})
        run(pair.source.connect(), "BEGIN", f"INSERT INTO {SCHEMA}.t VALUES (1, REPEAT('x', {SIZE}))", "COMMIT")
        description, (transaction,) = feed.read()
        self.feed = feed
        self.session = SinkSession(ServerUri.parse(pair.sink.root.uri), pair.flavour, KillSwitch())
        coalescer = Coalescer(self.session.max_allowed_packet)
        coalescer.describe(description)
        coalescer.add(*transaction.rows[0])
        coalescer.end_transaction(transaction.position)
        (rows,) = coalescer.take().items
        assert isinstance(rows, Rows)
        self.events = rows.events
        self.session.describe(description)

    @property
    def ids(self) -> list[int]:
        """Of the rows that are committed."""
        with self.feed.pair.sink.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT id FROM {SCHEMA}.t WHERE LENGTH(value) = {SIZE}")
            return [row[0] for row in cursor.fetchall()]

    @property
    def open_transactions(self) -> int:
        """Of the session."""
        time.sleep(INNODB_CACHE_SECONDS)
        with self.feed.pair.sink.connect() as connection, connection.cursor() as cursor:
            session = self.session.record.id
            cursor.execute(f"SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = {session}")
            ((count,),) = cursor.fetchall()
            return int(count)


@pytest.fixture
def prepared(flavour: Flavour, start_pair: Callable[..., ServerPair]) -> Iterator[Prepared]:
    packets = {"max_allowed_packet": PACKET}
    prepared = Prepared(start_pair(flavour, packets, packets))
    yield prepared
    prepared.session.close()


def accept(results: list[Result]) -> None:
    assert results


def refuse(results: list[Result]) -> None:
    raise PermissionError("fenced")


def test_events_larger_than_a_packet_are_applied(prepared: Prepared) -> None:
    prepared.session.apply(prepared.events)
    assert prepared.ids == []
    prepared.session.execute("COMMIT")
    assert prepared.ids == [1]


def test_nothing_is_committed_without_a_commit_even_if_the_transaction_was_ended_meanwhile(prepared: Prepared) -> None:
    prepared.session.post(f"SELECT id FROM {SCHEMA}.t; ROLLBACK", accept)  # as the server does after a deadlock
    prepared.session.apply(prepared.events)
    prepared.session.close()
    assert prepared.ids == []


def test_an_error_of_the_guard_comes_before_that_of_the_rows(prepared: Prepared) -> None:
    prepared.session.apply(prepared.events)
    prepared.session.post("SELECT 1", refuse)
    with pytest.raises(PermissionError):
        prepared.session.apply(prepared.events)  # would be a duplicate
    prepared.session.rollback()
    assert prepared.session.execute("SELECT 7").rows == ((7,),)
    assert prepared.ids == []


def test_after_a_rollback_the_session_is_of_use(prepared: Prepared) -> None:
    prepared.session.post(f"SELECT 1; SELECT nothing FROM {SCHEMA}.t", accept)
    with pytest.raises(pymysql.MySQLError, match="nothing"):
        prepared.session.apply(prepared.events)
    prepared.session.rollback()
    prepared.session.post("SELECT 1; SELECT 2", accept)
    prepared.session.apply(prepared.events)
    prepared.session.execute("COMMIT")
    assert prepared.ids == [1]


def test_counting_rows_leaves_no_transaction_open(prepared: Prepared) -> None:
    prepared.session.apply(prepared.events)
    assert prepared.open_transactions == 1
    prepared.session.execute("COMMIT")
    prepared.session.rows_written()
    assert prepared.open_transactions == 0


def test_the_text_of_statements_is_not_logged_where_the_account_may_say_so(server_pair: ServerPair) -> None:
    """MariaDB: it doubles small transactions. The documented grants are enough without it."""
    if server_pair.flavour == "mysql":
        pytest.skip("MySQL logs no annotations of its own accord")
    sink = server_pair.sink

    def annotates(user: str) -> bool:
        session = SinkSession(ServerUri.parse(sink.account(user).uri), "mariadb", KillSwitch())
        try:
            ((value,),) = session.execute("SELECT @@SESSION.binlog_annotate_row_events").rows
            return bool(int(value))
        finally:
            session.close()

    assert annotates(SINK_USER)
    assert not annotates(ROOT_USER)
