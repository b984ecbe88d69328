"""The live workload: it writes to every table in every way, keeps its rate, and survives its source."""

from __future__ import annotations

import time

import pytest

from hedgerow.common.mysql.connect import Flavour
from hedgerow.sandbox.process import SandboxError, wait_until
from hedgerow.sandbox.servers import Server, ServerPair
from hedgerow.sandbox.workload import SCHEMA, Workload
from tests.conftest import StartPair


def count(server: Server, statement: str) -> int:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
        assert row is not None
        return int(row[0])


def test_every_table_is_written_in_every_way(server_pair: ServerPair) -> None:
    source = server_pair.source
    workload = Workload(source.root, seed=1)
    workload.create_tables()
    with source.connect() as connection, connection.cursor() as cursor:
        # What happened to each table, from the server itself.
        cursor.execute(f"CREATE TABLE {SCHEMA}.seen (what VARCHAR(40) PRIMARY KEY, times INT)")
        for table in workload.tables:
            for action in ("INSERT", "UPDATE", "DELETE"):
                name = table.partition(".")[2]
                cursor.execute(
                    f"CREATE TRIGGER {SCHEMA}.{name}_{action} AFTER {action} ON {table} FOR EACH ROW INSERT INTO"
                    f" {SCHEMA}.seen VALUES ('{name} {action}', 1) ON DUPLICATE KEY UPDATE times = times + 1"
                )
    workload.write(2000)
    assert workload.transactions == 2000
    assert workload.rows > 2000
    with source.connect(database=SCHEMA) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT what FROM seen")
        seen = {what for (what,) in cursor.fetchall()}
    expected = {f"{t.partition('.')[2]} {action}" for t in workload.tables for action in ("INSERT", "UPDATE", "DELETE")}
    # Lines are deleted by the foreign key, which fires no trigger; orders are never updated.
    assert expected - seen == {"order_lines DELETE", "orders UPDATE"}
    # The keyless table holds equal rows, and the cascade leaves no line without its order.
    assert count(source, f"SELECT COUNT(*) - COUNT(DISTINCT at, kind, customer, amount) FROM {SCHEMA}.audit") > 0
    orphans = f"SELECT COUNT(*) FROM {SCHEMA}.order_lines WHERE order_id NOT IN (SELECT id FROM {SCHEMA}.orders)"
    assert count(source, orphans) == 0


def test_the_rate_is_kept(server_pair: ServerPair) -> None:
    workload = Workload(server_pair.source.root, rate=50, seed=2)
    workload.create_tables()
    began = time.monotonic()
    with workload:
        assert wait_until(lambda: workload.transactions >= 50, 20)
    # Transactions that change nothing count for the rate, so the bound is one-sided.
    assert workload.transactions <= 50 * (time.monotonic() - began) + 1


def test_it_goes_on_after_a_restart_a_crash_and_a_freeze_of_the_source(start_pair: StartPair, flavour: Flavour) -> None:
    source = start_pair(flavour).source
    workload = Workload(source.root, seed=3)
    workload.create_tables()

    def goes_on() -> bool:
        before = workload.transactions
        return wait_until(lambda: workload.transactions > before + 20, 20)

    with workload:
        assert goes_on()
        source.restart()
        assert goes_on()
        source.kill()
        source.start()
        assert goes_on()
        assert workload.reconnects == 2
        source.freeze()
        source.thaw()
        assert goes_on()


def test_what_it_cannot_survive_is_told_at_the_end(server_pair: ServerPair) -> None:
    workload = Workload(server_pair.source.root, schema="not_there")
    workload.start()
    assert wait_until(lambda: workload.error is not None, 20)
    with pytest.raises(SandboxError, match="not_there"):
        workload.stop()


def test_the_same_seed_writes_the_same(server_pair: ServerPair) -> None:
    sums = []
    for server in (server_pair.source, server_pair.sink):
        workload = Workload(server.root, seed=4)
        workload.create_tables()
        workload.write(300)
        sums.append(
            count(server, f"SELECT SUM(CRC32(CONCAT(warehouse, '.', item, '.', quantity))) FROM {SCHEMA}.stock")
        )
    assert sums[0] == sums[1]
