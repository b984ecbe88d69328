"""Connections to the sink through a tunnel that acknowledges everything and delivers nothing, while new ones work."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hedgerow.common.ledger.sessions import IDLE_IN_TRANSACTION
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.sink.timeouts import IDLE_TIMEOUT
from hedgerow.sandbox.accounts import SINK_USER
from hedgerow.sandbox.compare import wait_until_equal
from hedgerow.sandbox.proxy import FaultProxy
from hedgerow.sandbox.servers import ServerPair
from tests.integration.dispatcher.harness import Changefeed, in_thread, nodes

SECONDS = 3.0 * (IDLE_TIMEOUT + IDLE_IN_TRANSACTION) + 20


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server needs IDLE_TIMEOUT to end the session anyway."""
    monkeypatch.setattr("hedgerow.dispatcher.stream.stall.SILENT_SECONDS", 1.0)
    monkeypatch.setattr("hedgerow.dispatcher.stream.stall.ASK_AGAIN_SECONDS", 1.0)


def run(pair: ServerPair, *statements: str) -> None:
    with pair.source.connect() as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


async def tunnelled(pair: ServerPair, proxy: FaultProxy) -> Changefeed:
    await in_thread(
        run,
        pair,
        "CREATE DATABASE shop",
        "CREATE TABLE shop.keyed (id INT PRIMARY KEY, v INT)",
        "CREATE TABLE shop.keyless (v INT)",
    )
    changefeed = Changefeed(pair, "shop.*", lanes=2)
    changefeed.spec.sink = pair.sink.account(SINK_USER).at(proxy.host, proxy.port).uri
    await in_thread(changefeed.copy_tables)
    return changefeed


async def is_equal(pair: ServerPair, seconds: float) -> None:
    found = await in_thread(wait_until_equal, pair.source.root, pair.sink.root, "shop", seconds=seconds)
    assert found.equal, str(found)


async def test_half_dead_connections_are_made_anew(
    server_pair: ServerPair, fault_proxy: Callable[[int], FaultProxy], impatient: None
) -> None:
    """Idle ones: the rows that come next meet them."""
    proxy = fault_proxy(server_pair.sink.port)
    changefeed = await tunnelled(server_pair, proxy)
    async with nodes("a") as (node,):
        await changefeed.run(node, lanes={"shop.keyless": 1})
        await in_thread(run, server_pair, "INSERT INTO shop.keyed VALUES (1, 1)", "INSERT INTO shop.keyless VALUES (1)")
        await is_equal(server_pair, 20)
        assert await in_thread(proxy.deaden) >= 2
        await in_thread(
            run,
            server_pair,
            "INSERT INTO shop.keyed VALUES (2, 1)",
            *["INSERT INTO shop.keyless VALUES (1)"] * 5,
            "DELETE FROM shop.keyless WHERE v = 1 LIMIT 2",
        )
        statuses = await changefeed.wait(node, lambda found: found["shop.keyless"].state == pb.RETRYING)
        assert statuses["shop.keyless"].error.code == "SinkUnavailable"
        await changefeed.wait(
            node, lambda found: any("no session" in one.error.message for one in found.values()), SECONDS
        )
        await is_equal(server_pair, SECONDS)
        await in_thread(run, server_pair, "INSERT INTO shop.keyless VALUES (2)")
        await is_equal(server_pair, 20)
        await changefeed.wait(node, lambda found: all(one.state == pb.RUNNING for one in found.values()), SECONDS)


async def test_a_statement_whose_answer_is_lost_is_applied_once(
    server_pair: ServerPair, fault_proxy: Callable[[int], FaultProxy], impatient: None
) -> None:
    """The sink executes it to its end, and nobody hears of it."""
    proxy = fault_proxy(server_pair.sink.port)
    changefeed = await tunnelled(server_pair, proxy)
    async with nodes("a") as (node,):
        await changefeed.run(node)
        with server_pair.sink.connect(autocommit=False) as holder, holder.cursor() as cursor:
            cursor.execute("LOCK TABLES shop.keyless READ")  # the lane's statement waits
            await in_thread(run, server_pair, "INSERT INTO shop.keyless VALUES (1), (1), (1)")
            statuses = await changefeed.wait(node, lambda found: found["shop.keyless"].state == pb.RETRYING)
            await in_thread(proxy.deaden)
            cursor.execute("UNLOCK TABLES")
        assert statuses["shop.keyless"].error.code == "SinkUnavailable"
        await is_equal(server_pair, SECONDS)
        await changefeed.wait(node, lambda found: all(one.state == pb.RUNNING for one in found.values()), SECONDS)
