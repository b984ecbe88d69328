"""Lanes on real servers: exactly once, fenced, atomic, whatever is killed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import pytest

from hedgerow.common.errors import Fenced, SinkDiverged, SinkRefused, SinkUnavailable
from hedgerow.common.ledger.fence import fence_query
from hedgerow.common.ledger.ownership import raise_fence
from hedgerow.common.ledger.progress import claim_dispatchers, list_progress
from hedgerow.dispatcher.sink.api import LaneStopped
from hedgerow.dispatcher.sink.binlog.coalesce import Coalescer
from hedgerow.dispatcher.sink.token import FencingToken
from hedgerow.sandbox.process import wait_until
from hedgerow.sandbox.proxy import FaultProxy
from hedgerow.sandbox.servers import ServerPair
from tests.integration.dispatcher.sink.harness import SCHEMA, Feed, apply, run

TABLES = {
    "keyed": "(id INT PRIMARY KEY, v INT, KEY (v))",
    "keyless": "(v INT, w VARCHAR(20))",
}


def write(pair: ServerPair, count: int, seed: int = 1) -> None:
    """Transactions over both tables, doubled rows in the keyless one among them."""
    choice = random.Random(seed)
    statements = []
    for number in range(count):
        v = choice.randrange(20)
        statements += [
            "BEGIN",
            f"REPLACE INTO {SCHEMA}.keyed VALUES ({choice.randrange(50)}, {v})",
            f"INSERT INTO {SCHEMA}.keyless VALUES ({v}, 'w')",
            f"UPDATE {SCHEMA}.keyless SET v = v + 1 WHERE v = {choice.randrange(20)} LIMIT 2" if number % 3 else "DO 0",
            "COMMIT",
        ]
    run(pair.source.connect(), *statements)


def test_exactly_once_over_broken_connections(
    server_pair: ServerPair, fault_proxy: Callable[[int], FaultProxy]
) -> None:
    """Connections break at random moments, also between COMMIT and its answer; every row arrives once."""
    feed = Feed(server_pair, TABLES)
    write(server_pair, 300)
    description, transactions = feed.read()
    proxy = fault_proxy(server_pair.sink.port)
    proxy.delay(0.0005)
    choice = random.Random(7)
    breaks, done = 0, threading.Event()

    def breaker() -> None:
        nonlocal breaks
        while not done.wait(choice.uniform(0.02, 0.12)) and breaks < 12:
            proxy.reset_connections()
            breaks += 1

    thread = threading.Thread(target=breaker)
    thread.start()
    failures = 0
    try:
        while True:
            with feed.lane(port=proxy.port) as lane:
                try:
                    positions = lane.claim(dict.fromkeys(feed.keys, 1))
                    apply(lane, description, transactions, positions, group=3)
                    break
                except SinkUnavailable:
                    failures += 1
    finally:
        done.set()
        thread.join()
    assert failures > 2
    assert feed.equal()


def test_it_counts_the_rows_that_it_has_changed(server_pair: ServerPair) -> None:
    feed = Feed(server_pair, TABLES)
    values = ", ".join(f"({number}, 1)" for number in range(300))
    statements = [
        f"INSERT INTO {SCHEMA}.keyed VALUES {values}",
        f"UPDATE {SCHEMA}.keyed SET v = 2 WHERE id < 50",
        f"DELETE FROM {SCHEMA}.keyed WHERE id < 7",
        f"INSERT INTO {SCHEMA}.keyless VALUES (1, 'a'), (1, 'a')",
    ]
    run(server_pair.source.connect(autocommit=True), *statements)
    description, transactions = feed.read()
    with feed.lane() as lane:
        positions = lane.claim(dict.fromkeys(feed.keys, 1))
        apply(lane, description, transactions[:2], positions, 1)
        assert wait_until(lambda: lane.applied.rows == 350, 5), lane.applied
        for _ in range(3):  # to where they are already: progress is written, and does not change
            coalescer = Coalescer(lane.max_allowed_packet)
            coalescer.describe(description)
            coalescer.advance(feed.keys, lane.applied.positions[feed.keys[0]])
            lane.submit(coalescer.take())
        apply(lane, description, transactions, lane.applied.positions, 1)
    assert lane.applied.rows == 359
    assert feed.equal()


@pytest.mark.parametrize(("epoch", "generation"), [(2, 1), (1, 2)])
def test_a_writer_is_fenced_by_epoch_and_by_generation(server_pair: ServerPair, epoch: int, generation: int) -> None:
    feed = Feed(server_pair, TABLES)
    write(server_pair, 10)
    description, transactions = feed.read()
    with feed.lane() as old, feed.lane(epoch) as new:
        apply(old, description, transactions[:4], old.claim(dict.fromkeys(feed.keys, 1)), 2)
        with feed.sink() as connection:
            raise_fence(connection, feed.uid, epoch, f"n{epoch}")
        positions = new.claim(dict.fromkeys(feed.keys, generation))
        with pytest.raises(Fenced, match="epoch 1") as refused:
            apply(old, description, transactions, old.applied.positions, 100)
        assert str(epoch) in str(refused.value)
        assert old.applied.refused == 10
        assert isinstance(old.error, Fenced)
        apply(new, description, transactions, positions, 2)
    assert feed.equal()


def test_no_fence_row_means_fenced(server_pair: ServerPair) -> None:
    feed = Feed(server_pair, TABLES)
    write(server_pair, 2)
    description, transactions = feed.read()
    with feed.lane() as lane:
        positions = lane.claim(dict.fromkeys(feed.keys, 1))
        run(server_pair.sink.connect(), f"DELETE FROM hedgerow.fence WHERE changefeed_uid = '{feed.uid}'")
        with pytest.raises(Fenced, match="no fence row"):
            apply(lane, description, transactions, positions, 100)


def test_a_takeover_moves_a_running_lane_to_the_new_epoch(server_pair: ServerPair) -> None:
    feed = Feed(server_pair, TABLES)
    write(server_pair, 10)
    description, transactions = feed.read()
    with feed.lane() as lane:
        positions = lane.claim(dict.fromkeys(feed.keys, 1))
        apply(lane, description, transactions[:5], positions, 2)
        with feed.sink() as connection:
            raise_fence(connection, feed.uid, 2, "n2")
            lane._token = lambda: FencingToken(feed.uid, 2)
            apply(lane, description, transactions, lane.applied.positions, 2)
            rows = list_progress(connection, feed.uid)
        assert {(row.epoch, row.generation) for row in rows} == {(2, 1)}
    assert feed.equal()


def test_a_transaction_that_a_takeover_overtakes_begins_again_at_the_new_epoch(server_pair: ServerPair) -> None:
    """Its epoch was read before the takeover, its fence after: the lane need not end for that."""
    feed = Feed(server_pair, TABLES)
    write(server_pair, 10)
    description, transactions = feed.read()
    with feed.lane() as lane, feed.sink() as successor, server_pair.sink.connect() as watcher:
        positions = lane.claim(dict.fromkeys(feed.keys, 1))
        successor.query("BEGIN")
        successor.query(f"UPDATE hedgerow.fence SET epoch = 2, owner = 'n2' WHERE changefeed_uid = '{feed.uid}'")
        applying = threading.Thread(target=apply, args=(lane, description, transactions, positions, 100))
        applying.start()

        def waits() -> bool:
            with watcher.cursor() as cursor:
                return bool(cursor.execute("SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"))

        assert wait_until(waits, 4.0, 0.15)
        lane._token = lambda: FencingToken(feed.uid, 2)
        successor.query("COMMIT")
        applying.join()
        assert (lane.error, lane.applied.refused, lane.applied.retries) == (None, 0, 1)
        with feed.sink() as connection:
            assert {row.epoch for row in list_progress(connection, feed.uid)} == {2}
    assert feed.equal()


def test_a_claim_kills_the_frozen_writer_and_nobody_else(server_pair: ServerPair) -> None:
    """The frozen one holds its locks in an open transaction; a session with its id but another port is left alone."""
    feed = Feed(server_pair, TABLES)
    with feed.sink() as frozen, feed.sink() as bystander, feed.sink() as claimant:
        claim_dispatchers(frozen, feed.uid, 1, dict.fromkeys(feed.keys, 1))
        run(
            server_pair.sink.connect(),
            "INSERT INTO hedgerow.progress (changefeed_uid, dispatcher, epoch, generation, gtid_set, binlog_file,"
            " binlog_pos, source_uuid, commit_time, session_id, session_host) VALUES"
            f" ('{feed.uid}', 'other', 1, 1, '', '', 0, '', 0, {bystander.thread_id()}, '127.0.0.1:1')",
        )
        frozen.query("BEGIN")
        frozen.query(fence_query(frozen, feed.uid))
        frozen.query(f"UPDATE hedgerow.progress SET binlog_pos = 1 WHERE changefeed_uid = '{feed.uid}'")
        raise_fence(claimant, feed.uid, 2, "n2")
        positions = claim_dispatchers(claimant, feed.uid, 2, dict.fromkeys([*feed.keys, "other"], 1))
        bystander.ping(reconnect=False)
        with pytest.raises(Exception, match=r"Lost connection|gone away"):
            frozen.query("COMMIT")
    assert positions[feed.keys[0]].offset == feed.start.offset


def test_parts_of_a_transaction_are_atomic(server_pair: ServerPair) -> None:
    feed = Feed(server_pair, TABLES)
    write(server_pair, 6)
    description, transactions = feed.read()
    with feed.lane() as lane:
        lane.claim(dict.fromkeys(feed.keys, 1))
        coalescer = Coalescer(lane.max_allowed_packet)
        coalescer.describe(description)
        for number, transaction in enumerate(transactions):  # as if they were one
            for row in transaction.rows:
                coalescer.add(*row)
            if number < 5:
                lane.submit(coalescer.take(final=False))
        with pytest.raises(ValueError, match="ends where a transaction ends"):
            coalescer.take()
        assert lane.drain(30)
        assert feed.rows(server_pair.sink, feed.keys[1]) == []
        assert lane.applied.transactions == 0
        coalescer.end_transaction(transactions[-1].position)
        lane.submit(coalescer.take())
        assert lane.drain(30)
        assert set(lane.applied.positions.values()) == {transactions[-1].position}
    assert feed.equal()


def test_an_unfinished_part_is_rolled_back(server_pair: ServerPair) -> None:
    feed = Feed(server_pair, TABLES)
    write(server_pair, 2)
    description, transactions = feed.read()
    with feed.lane() as lane:
        lane.claim(dict.fromkeys(feed.keys, 1))
        coalescer = Coalescer(lane.max_allowed_packet)
        coalescer.describe(description)
        coalescer.add(*transactions[0].rows[0])
        lane.submit(coalescer.take(final=False))
        assert lane.drain(30)
    with feed.lane() as lane:
        apply(lane, description, transactions, lane.claim(dict.fromkeys(feed.keys, 1)), 10)
    assert feed.equal()


def test_cascades_with_virtual_columns_and_replaced_parents(server_pair: ServerPair) -> None:
    """What made MariaDB crash and MySQL 9.7 diverge before tied tables had statements of their own."""
    feed = Feed(
        server_pair,
        {
            "p": "(id INT PRIMARY KEY, v INT)",
            "c": "(id INT PRIMARY KEY, p INT, g INT AS (p * 2) VIRTUAL, KEY (g),"
            " FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)",
            "d": "(id INT PRIMARY KEY, c INT, FOREIGN KEY (c) REFERENCES c (id) ON DELETE CASCADE ON UPDATE CASCADE)",
            "n": "(id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE SET NULL ON UPDATE CASCADE)",
        },
    )
    choice = random.Random(3)
    with server_pair.source.connect() as connection, connection.cursor() as cursor:
        for _ in range(600):
            x, y, z = (choice.randrange(30) for _ in "xyz")
            statement = choice.choice(
                [
                    f"INSERT IGNORE INTO {SCHEMA}.p VALUES ({x}, {y})",
                    f"INSERT IGNORE INTO {SCHEMA}.c (id, p) VALUES ({x}, {y})",
                    f"INSERT IGNORE INTO {SCHEMA}.d VALUES ({x}, {y})",
                    f"INSERT IGNORE INTO {SCHEMA}.n VALUES ({x}, {y})",
                    f"DELETE FROM {SCHEMA}.p WHERE id IN ({x}, {y})",
                    f"REPLACE INTO {SCHEMA}.p VALUES ({x}, {z})",
                    f"UPDATE IGNORE {SCHEMA}.c SET id = {y} WHERE id = {x}",
                    f"DELETE FROM {SCHEMA}.c WHERE id = {x}",
                ]
            )
            cursor.execute(statement)
    description, transactions = feed.read()
    with feed.lane() as lane:
        apply(lane, description, transactions, lane.claim(dict.fromkeys(feed.keys, 1)), 500, tied=feed.keys)
    assert feed.equal()


def test_a_row_that_is_there_already_stops_the_lane(server_pair: ServerPair) -> None:
    feed = Feed(server_pair, TABLES)
    run(server_pair.sink.connect(), f"INSERT INTO {SCHEMA}.keyed VALUES (1, 1)")
    run(server_pair.source.connect(), f"INSERT INTO {SCHEMA}.keyed VALUES (1, 2)")
    description, transactions = feed.read()
    with feed.lane() as lane, pytest.raises(SinkDiverged, match=r"1062.*shop\.keyed"):
        apply(lane, description, transactions, lane.claim(dict.fromkeys(feed.keys, 1)), 10)


def test_a_missing_table_stops_the_lane(server_pair: ServerPair) -> None:
    feed = Feed(server_pair, TABLES)
    run(server_pair.source.connect(), f"INSERT INTO {SCHEMA}.keyed VALUES (1, 2)")
    run(server_pair.sink.connect(), f"DROP TABLE {SCHEMA}.keyed")
    description, transactions = feed.read()
    with feed.lane() as lane, pytest.raises(SinkRefused, match=r"missing in the sink.*shop\.keyed"):
        apply(lane, description, transactions, lane.claim(dict.fromkeys(feed.keys, 1)), 10)


def test_a_lane_waits_for_a_lock_and_goes_on(server_pair: ServerPair) -> None:
    feed = Feed(server_pair, TABLES)
    run(server_pair.source.connect(), f"INSERT INTO {SCHEMA}.keyed VALUES (1, 2)", f"UPDATE {SCHEMA}.keyed SET v = 3")
    description, transactions = feed.read()
    with feed.lane() as lane, server_pair.sink.connect() as other:
        positions = lane.claim(dict.fromkeys(feed.keys, 1))
        with lane._session.connection.cursor() as cursor:  # type: ignore[union-attr]
            cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
        apply(lane, description, transactions[:1], positions, 10)
        other.query("BEGIN")
        other.query(f"SELECT * FROM {SCHEMA}.keyed FOR UPDATE")
        release = threading.Timer(1.5, other.rollback)
        release.start()
        apply(lane, description, transactions, lane.applied.positions, 10)
        release.join()
        assert lane.applied.retries > 0
    assert feed.equal()


def test_a_sink_that_has_no_room_for_a_prepared_statement_is_tried_again(server_pair: ServerPair) -> None:
    feed = Feed(server_pair, TABLES)
    run(server_pair.sink.connect(), "SET GLOBAL max_prepared_stmt_count = 0")
    try:
        with feed.lane() as lane:
            if server_pair.flavour == "mariadb":  # the only one that gets events in a variable
                with pytest.raises(SinkUnavailable, match="1461"):
                    lane.claim(dict.fromkeys(feed.keys, 1))
            else:
                assert lane.claim(dict.fromkeys(feed.keys, 1)).keys() == set(feed.keys)
    finally:
        run(server_pair.sink.connect(), "SET GLOBAL max_prepared_stmt_count = 16382")


def test_a_claim_does_not_wait_for_ever(server_pair: ServerPair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hedgerow.dispatcher.sink.binlog.lane.CLAIM_SECONDS", 0.5)
    feed = Feed(server_pair, TABLES)
    with server_pair.sink.connect() as other:
        other.query("FLUSH TABLES WITH READ LOCK")
        with feed.lane() as lane, pytest.raises(SinkUnavailable, match="does not answer"):
            lane.claim(dict.fromkeys(feed.keys, 1))
    with feed.lane() as lane:
        assert lane.claim(dict.fromkeys(feed.keys, 1)).keys() == set(feed.keys)


def test_cancel_ends_a_lane_that_waits_for_the_server(server_pair: ServerPair) -> None:
    feed = Feed(server_pair, TABLES)
    run(server_pair.source.connect(), f"INSERT INTO {SCHEMA}.keyed VALUES (1, 2)", f"UPDATE {SCHEMA}.keyed SET v = 3")
    description, transactions = feed.read()
    with feed.lane() as lane, server_pair.sink.connect() as other:
        apply(lane, description, transactions[:1], lane.claim(dict.fromkeys(feed.keys, 1)), 10)
        other.query("BEGIN")
        other.query(f"SELECT * FROM {SCHEMA}.keyed FOR UPDATE")
        coalescer = Coalescer(lane.max_allowed_packet)
        coalescer.describe(description)
        coalescer.add(*transactions[1].rows[0])
        coalescer.end_transaction(transactions[1].position)
        lane.submit(coalescer.take())
        begun = time.monotonic()
        lane.cancel()
        assert time.monotonic() - begun < 0.1
        with pytest.raises(LaneStopped):
            lane.drain(1)
        lane.stop()
        assert time.monotonic() - begun < 1.0
        assert lane.error is None
        other.rollback()
    assert feed.rows(server_pair.sink, feed.keys[0]) == [(1, 2)]
    with feed.lane() as lane:
        apply(lane, description, transactions, lane.claim(dict.fromkeys(feed.keys, 1)), 10)
    assert feed.equal()


def test_a_cancelled_lane_does_not_connect(server_pair: ServerPair) -> None:
    feed = Feed(server_pair, TABLES)
    with feed.lane() as lane:
        lane.cancel()
        with pytest.raises(LaneStopped):
            lane.claim(dict.fromkeys(feed.keys, 1))
    with feed.sink() as connection:
        assert {row.session.id for row in list_progress(connection, feed.uid)} == {0}


def test_an_idle_lane_ends_in_order(server_pair: ServerPair) -> None:
    """The server counts connections that end without a goodbye."""
    feed = Feed(server_pair, TABLES)

    def aborted() -> int:
        with server_pair.sink.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Aborted_clients'")
            row = cursor.fetchone()
            assert row is not None
            return int(row[1])

    before = aborted()
    with feed.lane() as lane:
        lane.claim(dict.fromkeys(feed.keys, 1))
    assert aborted() == before
