"""Watches lose and double nothing, whatever member dies; compaction is an error of its own; mirrors recover from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest

from hedgerow.common.errors import EtcdUnavailable
from hedgerow.common.etcd import (
    Compacted,
    Delete,
    Etcd,
    EtcdConfig,
    Mirror,
    Put,
    Snapshot,
    Watch,
    WatchEvent,
    absent,
    prefix,
)
from hedgerow.common.etcd import watch as watch_module
from hedgerow.common.etcd.channels import Endpoint, EtcdStream
from hedgerow.common.pb.etcd import rpc_pb2_grpc
from hedgerow.sandbox.etcd import EtcdCluster


async def test_no_event_is_lost_doubled_or_reordered_while_members_are_killed_and_frozen(
    cluster: EtcdCluster, root: str
) -> None:
    stop = asyncio.Event()
    written = 0

    async def write(etcd: Etcd) -> None:
        nonlocal written
        while not stop.is_set():
            key = f"{root}{written:06}"
            try:
                await etcd.txn([absent(key)], [Put(key, b"x")])
            except EtcdUnavailable:
                continue  # the same key again: there is one event per key, whatever happened
            written += 1
            await asyncio.sleep(0.002)

    seen: list[WatchEvent] = []

    async def read(watch: Watch) -> None:
        async for batch in watch:
            assert batch.revision == batch.events[-1].revision
            seen.extend(batch.events)

    # The watcher begins at member 0, the writer at member 1.
    turned = (*cluster.endpoints[1:], cluster.endpoints[0])
    async with Etcd(cluster.config) as etcd, Etcd(EtcdConfig(turned)) as writing:
        revision = (await etcd.range(prefix(root))).revision
        watch = Watch(etcd, prefix(root), revision + 1)
        reader = asyncio.create_task(read(watch))
        writer = asyncio.create_task(write(writing))
        await _until(lambda: len(seen) > 100)
        for member in (0, 1):
            cluster.kill(member)
            at = len(seen)
            await _until(lambda at=at: len(seen) > at + 50)  # type: ignore[misc]
            await asyncio.to_thread(cluster.restart, member)
        for member in range(3):
            cluster.freeze(member)
            at = len(seen)
            await _until(lambda at=at: len(seen) > at + 50)  # type: ignore[misc]
            cluster.thaw(member)
        stop.set()
        await writer
        last = f"{root}{written - 1:06}"
        await _until(lambda: bool(seen) and seen[-1].key == last)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        await watch.close()
        stored = await etcd.range(prefix(root))
    expected = sorted((item.mod_revision, key) for key, item in stored.items.items())
    assert [(event.revision, event.key) for event in seen] == expected
    assert len(seen) == written


async def test_an_event_knows_a_deletion_from_a_value(etcd: Etcd, root: str) -> None:
    key = f"{root}a"
    one = await etcd.txn([], [Put(key, b"1"), Put(f"{root}b", b"2")])
    two = await etcd.txn([], [Delete(key)])
    async with Watch(etcd, prefix(root), one.revision) as watch:
        events: list[WatchEvent] = []
        while len(events) < 3:
            batch = await anext(watch)
            events.extend(batch.events)
    assert [(event.key, event.revision, event.now and event.now.value) for event in events] == [
        (key, one.revision, b"1"),
        (f"{root}b", one.revision, b"2"),
        (key, two.revision, None),
    ]


async def test_compaction_is_an_error_with_the_oldest_revision(etcd: Etcd, root: str) -> None:
    first = (await etcd.txn([], [Put(f"{root}a", b"1")])).revision
    await etcd.txn([], [Put(f"{root}a", b"2")])
    last = (await etcd.txn([], [Put(f"{root}a", b"3")])).revision
    await etcd.compact(last)
    async with Watch(etcd, prefix(root), first) as watch:
        with pytest.raises(Compacted) as caught:
            await anext(watch)
    assert (caught.value.asked, caught.value.oldest) == (first, last)


class _Counting(Etcd):
    """Counts the streams that it opens."""

    opened = 0

    async def open_stream(self, method: Callable[[Endpoint], Any], timeout: float) -> EtcdStream:
        self.opened += 1
        return await super().open_stream(method, timeout)


async def test_silence_of_a_living_member_is_no_reason_to_leave_it(
    cluster: EtcdCluster, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "_SILENCE", 0.3)
    async with _Counting(cluster.config) as etcd:
        revision = (await etcd.range(prefix(root))).revision
        async with Watch(etcd, prefix(root), revision + 1) as watch:
            pending = asyncio.ensure_future(anext(watch))
            done, _ = await asyncio.wait((pending,), timeout=3.0)
            assert not done
            assert etcd.opened == 1
            await etcd.txn([], [Put(f"{root}a", b"1")])
            assert [event.key for event in (await pending).events] == [f"{root}a"]


class _Mute(rpc_pb2_grpc.WatchServicer):
    """Takes every request and answers none; HTTP/2 pings are answered below it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def Watch(self, requests: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        async for request in requests:
            self.asked.append(request.WhichOneof("request_union"))
        return
        yield


async def test_a_member_that_leaves_two_probes_unanswered_is_left(
    cluster: EtcdCluster, etcd: Etcd, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "_SILENCE", 0.3)
    monkeypatch.setattr(watch_module, "_PATIENCE", 0.2)
    first = (await etcd.txn([], [Put(f"{root}a", b"1")])).revision
    server, mute = grpc.aio.server(), _Mute()
    rpc_pb2_grpc.add_WatchServicer_to_server(mute, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        config = EtcdConfig((f"127.0.0.1:{port}", *cluster.endpoints))
        async with Etcd(config) as client, Watch(client, prefix(root), first) as watch:
            batch = await asyncio.wait_for(anext(watch), 5.0)
    finally:
        await server.stop(0)
    assert [event.key for event in batch.events] == [f"{root}a"]
    assert mute.asked == ["create_request", "progress_request", "progress_request"]


async def test_silence_of_a_frozen_member_is_noticed(cluster: EtcdCluster, root: str) -> None:
    async with Etcd(cluster.config) as etcd, Etcd(EtcdConfig(cluster.endpoints[1:])) as writing:
        first = (await writing.txn([], [Put(f"{root}a", b"1")])).revision
        async with Watch(etcd, prefix(root), first) as watch:
            await anext(watch)
            cluster.freeze(0)
            await writing.txn([absent(f"{root}b")], [Put(f"{root}b", b"2")])
            batch = await asyncio.wait_for(anext(watch), 6.0)
            assert [event.key for event in batch.events] == [f"{root}b"]


async def test_a_mirror_follows_and_wakes_who_waits(etcd: Etcd, root: str) -> None:
    await etcd.txn([], [Put(f"{root}a", b"1")])
    mirror = await Mirror.open(etcd, prefix(root))
    first = mirror.snapshot
    waiting = asyncio.create_task(mirror.changed(first.revision))
    result = await etcd.txn([], [Put(f"{root}b", b"2"), Delete(f"{root}a")])
    second = await waiting
    assert set(first.items) == {f"{root}a"}
    assert set(second.items) == {f"{root}b"}
    assert second.revision == result.revision
    late = asyncio.create_task(mirror.changed(second.revision))
    await asyncio.sleep(0)
    await mirror.close()
    with pytest.raises(EtcdUnavailable, match="closed"):
        await late


async def test_a_mirror_whose_history_was_compacted_lists_again(etcd: Etcd, root: str) -> None:
    await etcd.txn([], [Put(f"{root}a", b"1")])
    stale = await etcd.range(prefix(root))
    await etcd.txn([], [Put(f"{root}b", b"2"), Delete(f"{root}a")])
    last = (await etcd.txn([], [Put(f"{root}c", b"3")])).revision
    await etcd.compact(last)
    mirror = Mirror(etcd, prefix(root), stale)
    fresh: Snapshot = await asyncio.wait_for(mirror.changed(stale.revision), 5)
    assert set(fresh.items) == {f"{root}b", f"{root}c"}
    await etcd.txn([], [Put(f"{root}d", b"4")])
    await asyncio.wait_for(mirror.until(lambda snapshot: f"{root}d" in snapshot.items), 5)
    await mirror.close()


async def _until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what it waits for happens in etcd
            await asyncio.sleep(0.01)
