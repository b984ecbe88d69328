"""Nodes that come, are seen, change, are suspected and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from hedgerow.common.control.membership import Members, Membership
from hedgerow.common.errors import EtcdUnavailable, SessionLost
from hedgerow.common.etcd import Ambiguous, Etcd, EtcdConfig, TxnResult
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.sandbox.etcd import EtcdCluster
from hedgerow.sandbox.ports import free_port

Join = Callable[[str], Awaitable[Membership]]


@pytest.fixture
async def join(etcd: Etcd, root: str) -> AsyncIterator[Join]:
    async with AsyncExitStack() as stack:

        async def join(name: str) -> Membership:
            cluster = root.split("/")[2]
            node = await Membership.join(etcd, cluster=cluster, name=name, address=f"{name}:7300", version="1", ttl=5)
            stack.push_async_callback(node.close)
            return node

        yield join


async def until(node: Membership, condition: Callable[[Members], bool]) -> Members:
    async with asyncio.timeout(5):
        while not condition(members := node.members):
            await node.changed(members.revision)
    return members


async def test_nodes_see_each_other_come_and_go(join: Join) -> None:
    a, b = await join("a"), await join("b")
    members = await until(a, lambda members: len(members.nodes) == 2)
    assert members.nodes[b.node] == b.info
    assert (b.info.address, b.info.version, b.info.liveness) == ("b:7300", "1", pb.ALIVE)
    assert (members.coordinator, members.term) == (None, 0)
    await b.close()
    assert set((await until(a, lambda members: len(members.nodes) == 1)).nodes) == {a.node}


async def test_a_node_that_starts_again_is_another_node(join: Join) -> None:
    a = await join("a")
    await a.close()
    again = await join("a")
    assert again.node != a.node
    assert set(again.members.nodes) == {again.node}


async def test_the_coordinator_is_a_member_property(join: Join) -> None:
    a, b = await join("a"), await join("b")
    leadership = await a.election.campaign()
    members = await until(b, lambda members: members.coordinator is not None)
    assert (members.coordinator, members.term) == (a.node, leadership.term)


async def test_liveness_is_published(join: Join) -> None:
    a, b = await join("a"), await join("b")
    for liveness in (pb.DRAINING, pb.STOPPING):
        await a.set_liveness(liveness)
        await until(b, lambda members, liveness=liveness: members.nodes[a.node].liveness == liveness)  # type: ignore[misc]
    assert a.info.liveness == pb.STOPPING


async def test_a_suspected_node_is_gone_at_once_and_knows(join: Join) -> None:
    a, b = await join("a"), await join("b")
    await b.election.campaign()
    await until(a, lambda members: members.coordinator == b.node)
    await a.suspect_dead(b.node)
    await asyncio.wait_for(b.session.lost.wait(), 1.0)
    assert not b.session.valid
    members = await until(a, lambda members: b.node not in members.nodes)
    assert members.coordinator is None
    assert a.session.valid
    with pytest.raises(SessionLost):
        await b.set_liveness(pb.DRAINING)
    await a.suspect_dead(b.node)


async def test_a_liveness_whose_answer_was_lost_costs_no_session(join: Join, etcd: Etcd) -> None:
    a, b = await join("a"), await join("b")
    write = etcd.txn

    async def forget(*given: Any, **named: Any) -> TxnResult:
        assert (await write(*given, **named)).succeeded
        raise Ambiguous("the answer is lost")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(etcd, "txn", forget)
        with pytest.raises(Ambiguous):
            await a.set_liveness(pb.DRAINING)
    await until(b, lambda members: members.nodes[a.node].liveness == pb.DRAINING)
    await a.set_liveness(pb.STOPPING)
    assert a.session.valid
    await until(b, lambda members: members.nodes[a.node].liveness == pb.STOPPING)


async def test_who_waits_is_told_when_it_closes(join: Join) -> None:
    a = await join("a")
    waiting = asyncio.create_task(a.changed(a.members.revision))
    await asyncio.sleep(0)
    await a.close()
    with pytest.raises(EtcdUnavailable):
        await waiting


async def test_it_cannot_join_without_etcd() -> None:
    async with Etcd(EtcdConfig((f"127.0.0.1:{free_port()}",), timeout=0.3)) as etcd:
        with pytest.raises(EtcdUnavailable):
            await Membership.join(etcd, cluster="c", name="a", address="a:1", version="1", ttl=5)


async def test_it_lives_on_when_a_member_of_etcd_dies(cluster: EtcdCluster, join: Join) -> None:
    a = await join("a")
    cluster.kill(0)
    b = await join("b")
    assert set((await until(a, lambda members: len(members.nodes) == 2)).nodes) == {a.node, b.node}
    assert a.session.valid
