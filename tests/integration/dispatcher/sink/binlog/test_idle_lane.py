"""Small batches for a lane that waits: the thread that submits them sends their beginning itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from hedgerow.common.errors import Fenced, SinkUnavailable
from hedgerow.common.ledger.ownership import raise_fence
from hedgerow.dispatcher.sink.api import Batch
from hedgerow.dispatcher.sink.binlog.apply import Transaction
from hedgerow.dispatcher.sink.binlog.lane import Lane
from hedgerow.sandbox.proxy import FaultProxy
from hedgerow.sandbox.servers import ServerPair
from tests.integration.dispatcher.sink.harness import SCHEMA, Feed, SourceTransaction, apply, run

TABLES = {"keyed": "(id INT PRIMARY KEY, v INT)", "keyless": "(v INT, w VARCHAR(20))"}


@pytest.fixture
def senders(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The thread that has sent each batch."""
    senders: list[threading.Thread] = []
    send = Transaction.send

    def recorded(self: Transaction, batch: Batch) -> None:
        senders.append(threading.current_thread())
        send(self, batch)

    monkeypatch.setattr(Transaction, "send", recorded)
    return senders


def written(pair: ServerPair, count: int) -> tuple[Feed, bytes, list[SourceTransaction]]:
    feed = Feed(pair, TABLES)
    for number in range(count):
        run(
            pair.source.connect(),
            "BEGIN",
            f"INSERT INTO {SCHEMA}.keyed VALUES ({number}, 1)",
            f"INSERT INTO {SCHEMA}.keyless VALUES ({number % 3}, 'w')",
            "COMMIT",
        )
    return feed, *feed.read()


def apply_singly(lane: Lane, description: bytes, transactions: list[SourceTransaction]) -> None:
    for transaction in transactions:
        apply(lane, description, [transaction], lane.applied.positions, group=1)


def test_every_row_is_applied_once(server_pair: ServerPair, senders: list[threading.Thread]) -> None:
    feed, description, transactions = written(server_pair, 40)
    with feed.lane() as lane:
        lane.claim(dict.fromkeys(feed.keys, 1))
        apply_singly(lane, description, transactions)
        assert lane.applied.transactions == 40
    assert senders[0].name == "lane-0"  # which tells the server the source's format before
    assert len(senders) == 40
    assert senders.count(threading.current_thread()) > 20  # not where the lane happens to count rows
    assert feed.equal()


def test_one_that_was_fenced_meanwhile_writes_nothing(server_pair: ServerPair, senders: list[threading.Thread]) -> None:
    feed, description, transactions = written(server_pair, 3)
    with feed.lane() as lane:
        lane.claim(dict.fromkeys(feed.keys, 1))
        apply_singly(lane, description, transactions[:2])
        with feed.sink() as connection:
            raise_fence(connection, feed.uid, 2, "n2")
        with pytest.raises(Fenced, match="epoch 2"):
            apply_singly(lane, description, transactions[2:])
        assert lane.applied.refused == 1
    assert senders[2] is threading.current_thread()
    assert len(feed.rows(server_pair.sink, feed.keys[1])) == 2


def test_one_whose_connection_was_lost_meanwhile_writes_nothing(
    server_pair: ServerPair, fault_proxy: Callable[[int], FaultProxy], senders: list[threading.Thread]
) -> None:
    feed, description, transactions = written(server_pair, 3)
    proxy = fault_proxy(server_pair.sink.port)
    with feed.lane(port=proxy.port) as lane:
        lane.claim(dict.fromkeys(feed.keys, 1))
        apply_singly(lane, description, transactions[:2])
        proxy.reset_connections()
        with pytest.raises(SinkUnavailable):
            apply_singly(lane, description, transactions[2:])
    assert senders[2] is threading.current_thread()
    assert len(feed.rows(server_pair.sink, feed.keys[1])) == 2
