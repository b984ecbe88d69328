"""Reads and guarded transactions over endpoints that die, freeze, and lose answers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from hedgerow.common.errors import EtcdUnavailable
from hedgerow.common.etcd import (
    Ambiguous,
    Delete,
    Etcd,
    EtcdConfig,
    LeaseNotFound,
    Put,
    absent,
    created_at,
    modified_at,
    prefix,
)
from hedgerow.common.pb.etcd import rpc_pb2_grpc
from hedgerow.sandbox.etcd import EtcdCluster
from hedgerow.sandbox.ports import free_port


async def test_a_guarded_write_happens_once_and_a_refused_one_shows_what_is_there(etcd: Etcd, root: str) -> None:
    key = f"{root}a"
    first = await etcd.txn([absent(key)], [Put(key, b"1")])
    assert first.succeeded
    second = await etcd.txn([absent(key)], [Put(key, b"2")])
    assert not second.succeeded
    found = second.found[key]
    assert found is not None
    assert (found.value, found.create_revision, found.mod_revision) == (b"1", first.revision, first.revision)
    third = await etcd.txn([modified_at(key, first.revision)], [Put(key, b"3"), Put(f"{root}b", b"4")])
    snapshot = await etcd.range(prefix(root))
    assert third.succeeded
    assert {item.key: (item.value, item.mod_revision) for item in snapshot.items.values()} == {
        key: (b"3", third.revision),
        f"{root}b": (b"4", third.revision),
    }
    assert snapshot.revision >= third.revision
    assert (await etcd.txn([created_at(key, first.revision)], [Delete(key)])).succeeded
    assert await etcd.get(key) is None


async def test_a_snapshot_cannot_be_changed(etcd: Etcd, root: str) -> None:
    snapshot = await etcd.range(prefix(root))
    with pytest.raises(TypeError):
        snapshot.items["x"] = None  # type: ignore[index]


async def test_killed_members_are_passed_over(cluster: EtcdCluster, etcd: Etcd, root: str) -> None:
    await etcd.txn([], [Put(f"{root}a", b"1")])
    cluster.kill(0)
    result = await etcd.txn([absent(f"{root}b")], [Put(f"{root}b", b"2")])
    assert result.succeeded
    assert set((await etcd.range(prefix(root))).items) == {f"{root}a", f"{root}b"}


async def test_a_frozen_member_costs_its_share_of_the_deadline(cluster: EtcdCluster, root: str) -> None:
    config = EtcdConfig(cluster.endpoints, timeout=3.0)
    async with Etcd(config) as etcd:
        await etcd.txn([], [Put(f"{root}a", b"1")])
        cluster.freeze(0)
        began = time.monotonic()
        result = await etcd.txn([absent(f"{root}b")], [Put(f"{root}b", b"2")])
        assert result.succeeded
        assert 0.9 < time.monotonic() - began < 2.9
        began = time.monotonic()
        await etcd.get(f"{root}b")
        assert time.monotonic() - began < 0.9, "the next operation begins where the last one was answered"


async def test_nobody_answers(root: str) -> None:
    endpoints = (f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}")
    async with Etcd(EtcdConfig(endpoints, timeout=0.5)) as etcd:
        began = time.monotonic()
        with pytest.raises(EtcdUnavailable) as caught:
            await etcd.txn([], [Put(f"{root}a", b"1")])
        assert 0.4 < time.monotonic() - began < 0.7
    assert not isinstance(caught.value, Ambiguous), "what was never sent leaves no doubt"
    assert all(endpoint in str(caught.value) for endpoint in endpoints)
    assert "refused" in str(caught.value)


async def test_without_a_majority_a_write_is_ambiguous_and_a_read_is_not(cluster: EtcdCluster, root: str) -> None:
    async with Etcd(EtcdConfig(cluster.endpoints, timeout=1.5)) as etcd:
        await etcd.get(root)
        cluster.freeze(1)
        cluster.freeze(2)
        with pytest.raises(Ambiguous):
            await etcd.txn([], [Put(f"{root}a", b"1")])
        with pytest.raises(EtcdUnavailable) as caught:
            await etcd.get(f"{root}a")
        assert not isinstance(caught.value, Ambiguous)


async def test_a_lease_ends_with_its_keys(etcd: Etcd, root: str) -> None:
    lease, ttl = await etcd.grant_lease(5)
    assert ttl == 5
    await etcd.txn([], [Put(f"{root}a", b"1", lease)])
    item = await etcd.get(f"{root}a")
    assert item is not None
    assert item.lease == lease
    await etcd.revoke_lease(lease)
    assert await etcd.get(f"{root}a") is None
    with pytest.raises(LeaseNotFound):
        await etcd.revoke_lease(lease)
    with pytest.raises(LeaseNotFound):
        await etcd.txn([], [Put(f"{root}a", b"1", lease)])


class _LosesAnswers(rpc_pb2_grpc.KVServicer):
    """A proxy of etcd that loses the answer of the first transaction, after `meanwhile` was done."""

    def __init__(self, target: str, meanwhile: Callable[[], Any] | None) -> None:
        self._channel = grpc.aio.insecure_channel(target)
        self._kv: Any = rpc_pb2_grpc.KVStub(self._channel)
        self._meanwhile = meanwhile
        self.transactions = 0

    async def Txn(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        self.transactions += 1
        answer = await self._kv.Txn(request)
        if self.transactions == 1:
            if self._meanwhile is not None:
                await self._meanwhile()
            await context.abort(grpc.StatusCode.UNAVAILABLE, "etcdserver: server stopped")
        return answer

    async def close(self) -> None:
        await self._channel.close()


@asynccontextmanager
async def losing_answers(
    cluster: EtcdCluster, meanwhile: Callable[[], Any] | None = None
) -> AsyncIterator[tuple[Etcd, _LosesAnswers]]:
    server = grpc.aio.server()
    proxy = _LosesAnswers(cluster.endpoints[0], meanwhile)
    rpc_pb2_grpc.add_KVServicer_to_server(proxy, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with Etcd(EtcdConfig((f"127.0.0.1:{port}",))) as etcd:
            yield etcd, proxy
    finally:
        await server.stop(0)
        await proxy.close()


async def test_a_lost_answer_of_a_guarded_write_is_found_out(cluster: EtcdCluster, etcd: Etcd, root: str) -> None:
    key = f"{root}a"
    async with losing_answers(cluster) as (client, proxy):
        result = await client.txn([absent(key)], [Put(key, b"mine")])
    item = await etcd.get(key)
    assert item is not None
    assert (result.succeeded, result.revision) == (True, item.mod_revision)
    assert item.mod_revision == item.create_revision, "written once"
    assert proxy.transactions == 2


async def test_a_lost_answer_of_an_unguarded_write_is_never_sent_again(
    cluster: EtcdCluster, etcd: Etcd, root: str
) -> None:
    async with losing_answers(cluster) as (client, proxy):
        with pytest.raises(Ambiguous, match="may have been applied"):
            await client.txn([], [Put(f"{root}a", b"mine")])
    assert proxy.transactions == 1
    assert await etcd.get(f"{root}a") is not None


async def test_a_lost_answer_is_ambiguous_when_somebody_has_overwritten_it(
    cluster: EtcdCluster, etcd: Etcd, root: str
) -> None:
    key = f"{root}a"

    async def overwrite() -> None:
        await etcd.txn([], [Put(key, b"theirs")])

    async with losing_answers(cluster, overwrite) as (client, _):
        with pytest.raises(Ambiguous):
            await client.txn([absent(key)], [Put(key, b"mine")])


async def test_a_lost_answer_of_a_failed_compare_is_just_a_failed_compare(
    cluster: EtcdCluster, etcd: Etcd, root: str
) -> None:
    key = f"{root}a"
    revision = (await etcd.txn([], [Put(key, b"1")])).revision
    async with losing_answers(cluster) as (client, _):
        result = await client.txn([modified_at(key, revision), created_at(f"{root}term", 1)], [Put(key, b"2")])
    assert not result.succeeded
    assert result.found[f"{root}term"] is None
