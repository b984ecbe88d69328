"""What the sink refuses for a while: retried, shown while it lasts, and over without anybody's help."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.accounts import GRANTS, SINK_USER
from hedgerow.sandbox.servers import Server
from tests.errors.replication import Replication, poll, run

pytestmark = pytest.mark.timeout(90)


@contextmanager
def sink_session(replication: Replication) -> Iterator[Any]:
    """Somebody else's open transaction in the sink."""
    connection = replication.sink.connect(database=replication.schema, autocommit=False)
    with connection, connection.cursor() as cursor:
        yield cursor


def test_deadlock(replication: Replication) -> None:
    replication.create()
    replication.write(60)
    replication.assert_equal()
    with sink_session(replication) as other:
        # InnoDB ends the transaction that has changed less: that is the lane's.
        other.execute("UPDATE keyed SET w = CONCAT(w, '!') WHERE id > 5")
        replication.run(
            replication.source,
            "BEGIN",
            "UPDATE keyed SET v = -1 WHERE id = 2",
            "UPDATE keyed SET v = -1 WHERE id = 7",
            "INSERT INTO keyless VALUES (1, 'd'), (1, 'd')",
            "COMMIT",
        )
        assert poll(lambda: waits(replication.sink), 10)
        other.execute("UPDATE keyed SET v = 3 WHERE id = 2")
        assert poll(lambda: "1213" in replication.logged(), 10)
        other.connection.rollback()
    replication.assert_equal()
    assert "tried again" in replication.logged()


def waits(sink: Server) -> bool:
    return run(sink, "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'") != [(0,)]


def test_lost_connections(replication: Replication) -> None:
    source, sink = replication.source_proxy(), replication.sink_proxy()
    replication.create()
    stop = threading.Event()

    def breaks() -> None:
        while not stop.wait(0.3):
            sink.reset_connections()
            replication.kill_sessions()
            source.reset_connections()

    thread = threading.Thread(target=breaks)
    thread.start()
    try:
        for _ in range(20):
            replication.write(10)
            time.sleep(0.1)  # the load lasts for as long as the breaks
    finally:
        stop.set()
        thread.join()
    for proxy, code, what in ((sink, "SinkUnavailable", "sink"), (source, "SourceUnavailable", "source")):
        proxy.cut()
        replication.write(5)
        replication.wait_warning(code, f"{what} {proxy.address} refuses connections", "Is the server up")
        proxy.resume()
        replication.assert_equal()


def test_read_only(replication: Replication, flavour: Flavour) -> None:
    replication.create()
    replication.write(5)
    replication.assert_equal()
    for variable in ("read_only", *(["super_read_only"] if flavour == "mysql" else [])):
        run(replication.sink, f"SET GLOBAL {variable} = ON")
        try:
            replication.write(5)
            replication.wait_warning("SinkUnavailable", "read only", "1290", "read_only = OFF", "new primary")
            replication.write(5)
        finally:
            run(replication.sink, "SET GLOBAL read_only = OFF")
        replication.assert_equal()


def test_rotated_passwords(replication: Replication, flavour: Flavour) -> None:
    sink = replication.account(replication.sink, "rotated", *GRANTS[flavour][SINK_USER])
    replication.sink_uri = sink.uri
    replication.create()
    run(replication.sink, "SET sql_log_bin = 0", "ALTER USER 'rotated'@'127.0.0.1' IDENTIFIED BY 'the new one'")
    try:
        replication.kill_sessions("rotated")
        replication.write(5)
        replication.wait_warning("SinkUnavailable", "denies access", "'rotated'", "1045", str(sink.password_file))
    finally:
        sink.password_file.write_text("the new one\n")
    replication.assert_equal()
