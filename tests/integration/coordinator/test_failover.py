"""Coordinators that fail, are deposed, or lose answers: nothing is lost, and nothing goes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest
from prometheus_client import Counter

from hedgerow.common.errors import TermLost
from hedgerow.common.etcd import Compare, Etcd, EtcdConfig, Leadership, Operation, Put, Session, TxnResult, absent
from hedgerow.common.etcd.errors import Ambiguous, EtcdRefused
from hedgerow.common.ids import Keys
from hedgerow.common.metrics import REJECTIONS
from hedgerow.common.pb.v1 import admin_pb2 as apb
from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator import changefeed as edits
from hedgerow.coordinator.changefeed import Change, Changefeed, first_ownership
from hedgerow.coordinator.store import ChangefeedStore
from tests.integration.coordinator.conftest import StartNode
from tests.integration.coordinator.nodes import CLUSTER, creation, eventually, named

KEYS = Keys(CLUSTER)
NOW = 1_700_000_000.0


class AlwaysValid:
    """A session that believes in itself, as a frozen node's does until it looks at the clock."""

    def check(self) -> None:
        return


@dataclass(frozen=True, slots=True)
class Forgetful(Leadership):
    """Loses the answer of each write that was done, once."""

    lost: set[tuple[str, ...]] = field(default_factory=set)

    async def txn(
        self, compares: Sequence[Compare], operations: Sequence[Operation], *, timeout: float | None = None
    ) -> TxnResult:
        result = await Leadership.txn(self, compares, operations, timeout=timeout)
        keys = tuple(operation.key for operation in operations)
        if result.succeeded and keys not in self.lost:
            self.lost.add(keys)
            raise Ambiguous("the answer is lost")
        return result


async def lead(etcd: Etcd, kind: type[Leadership] = Leadership) -> Leadership:
    key = f"{Keys(CLUSTER).election}1"
    result = await etcd.txn([absent(key)], [Put(key, b"a")])
    return kind(etcd, cast(Session, AlwaysValid()), key, result.revision)


async def create(store: ChangefeedStore) -> Changefeed:
    spec = pb.ChangefeedSpec(name="shop", uid="u1", flavour="mysql")
    return await store.create(
        spec, first_ownership("u1", "a", "created", NOW), pb.ChangefeedStatus(state=pb.NORMAL), timeout=5
    )


def _count(counter: Counter) -> float:
    return sum(sample.value for metric in counter.collect() for sample in metric.samples if "_total" in sample.name)


async def test_a_write_from_an_old_reading_is_refused_and_counted(etcd_config: EtcdConfig) -> None:
    async with Etcd(etcd_config) as etcd:
        store = ChangefeedStore(await lead(etcd), KEYS)
        shop = await create(store)
        moved = await store.write(shop, edits.move(shop, "b", "first", NOW), timeout=5)
        refused = REJECTIONS.labels("etcd", "revision")
        before = _count(refused)
        late = await store.write(shop, edits.move(shop, "c", "second", NOW), timeout=5)
        assert (late.done, late.changefeed) == (False, moved.changefeed)
        assert _count(refused) == before + 1


async def test_a_deposed_coordinator_cannot_write(etcd_config: EtcdConfig) -> None:
    async with Etcd(etcd_config) as etcd:
        lease, _ = await etcd.grant_lease(30)
        key = f"{Keys(CLUSTER).election}{lease:x}"
        elected = await etcd.txn([absent(key)], [Put(key, b"a", lease)])
        store = ChangefeedStore(Leadership(etcd, cast(Session, AlwaysValid()), key, elected.revision), KEYS)
        shop = await create(store)
        await etcd.revoke_lease(lease)
        change = edits.pause(shop, "a", None, NOW)
        refused = REJECTIONS.labels("etcd", "term")
        before = _count(refused)
        with pytest.raises(TermLost):
            await store.write(shop, change, timeout=5)
        assert _count(refused) == before + 1
        with pytest.raises(TermLost):
            await store.edit("shop", lambda changefeed: edits.pause(changefeed, "a", None, NOW), timeout=5)
        with pytest.raises(TermLost):
            await store.write(shop, Change(delete=True), timeout=5)
        with pytest.raises(TermLost):
            await store.create(pb.ChangefeedSpec(name="other"), shop.ownership, shop.status, timeout=5)
        assert await store.get("shop", timeout=5) == shop
        assert await store.get("other", timeout=5) is None


async def test_a_pause_that_races_with_epoch_advances_never_lowers_the_epoch(etcd_config: EtcdConfig) -> None:
    async with Etcd(etcd_config) as etcd:
        store = ChangefeedStore(await lead(etcd), KEYS)
        stale = await create(store)

        async def advance(turn: int) -> Changefeed:
            def decide(changefeed: Changefeed) -> Change:
                return Change(
                    ownership=edits.advance(changefeed.ownership, f"n{turn}", changefeed.ownership.role, "race", NOW)
                )

            return await store.edit("shop", decide, timeout=10)

        pausing = store.edit("shop", lambda changefeed: edits.pause(changefeed, "a", None, NOW), timeout=10)
        written = await asyncio.gather(*(advance(turn) for turn in range(8)), pausing)
        assert sorted(changefeed.epoch for changefeed in written) == list(range(2, 11))
        shop = await store.get("shop", timeout=5)
        assert shop is not None
        assert (shop.epoch, shop.status.state, shop.ownership.role) == (10, pb.STOPPED, pb.CLOSE)
        assert [change.epoch for change in shop.ownership.changes] == list(range(1, 11))
        late = await store.write(stale, edits.pause(stale, "a", None, NOW), timeout=5)
        assert not late.done
        assert late.changefeed == shop


async def test_a_write_whose_answer_is_lost_is_found_and_not_repeated(etcd_config: EtcdConfig) -> None:
    async with Etcd(etcd_config) as etcd:
        store = ChangefeedStore(await lead(etcd, Forgetful), KEYS)
        shop = await create(store)
        assert shop.epoch == 1
        paused = await store.edit("shop", lambda changefeed: edits.pause(changefeed, "a", None, NOW), timeout=5)
        assert (paused.epoch, paused.status.state) == (2, pb.STOPPED)
        store = ChangefeedStore(await relead(etcd), KEYS)
        resumed = await store.edit("shop", lambda changefeed: edits.resume(changefeed, "a", NOW), timeout=5)
        assert (resumed.epoch, resumed.status.state) == (3, pb.NORMAL)


async def relead(etcd: Etcd) -> Leadership:
    found = await etcd.get(f"{Keys(CLUSTER).election}1")
    assert found is not None
    return Forgetful(etcd, cast(Session, AlwaysValid()), found.key, found.create_revision)


async def test_a_new_coordinator_goes_on_where_the_old_one_stopped(start_node: StartNode) -> None:
    a = await start_node("a")
    await eventually(lambda: a.coordinator.term)
    b = await start_node("b")
    shop = await a.admin.CreateChangefeed(creation("shop"), timeout=10)
    await a.admin.CreateChangefeed(creation("mail"), timeout=10)
    owner = next(node for node in (a, b) if node.id == shop.ownership.node)
    owner.host.closes = False
    pausing = asyncio.ensure_future(b.admin.Pause(named("shop"), timeout=15))
    await eventually(lambda: any(kind == "close" for kind, _ in owner.host.requests))

    term = a.coordinator.term.number if a.coordinator.term else 0
    await a.stop_coordinating()
    found = await eventually(lambda: b.coordinator.term)
    assert found.number > term
    owner.host.report(shop.spec.uid, mpb.CLOSED)
    paused = await pausing
    assert (paused.status.state, paused.ownership.epoch, paused.ownership.closed) == (pb.STOPPED, 2, True)
    mail = await b.admin.Get(named("mail"), timeout=5)
    assert (mail.ownership.epoch, mail.live.phase) == (1, mpb.MAINTAINING)


async def test_a_killed_coordinator_is_replaced_without_waiting_for_its_lease(start_node: StartNode) -> None:
    a = await start_node("a", ttl=30)
    await eventually(lambda: a.coordinator.term)
    b = await start_node("b")
    await a.admin.CreateChangefeed(creation(), timeout=10)
    began = time.monotonic()
    await a.vanish()
    await eventually(lambda: b.coordinator.term)
    assert time.monotonic() - began < 5
    await eventually(lambda: a.membership.session.lost.is_set())
    shop = await b.admin.Get(named(), timeout=10)
    assert shop.spec.name == "shop"
    await eventually(lambda: shop.spec.uid in b.host.statuses)
    nodes = (await b.admin.ListNodes(apb.ListNodesRequest(), timeout=5)).nodes
    assert [(node.info.id, node.maintains) for node in nodes] == [(b.id, ["shop"])]


async def test_an_etcd_that_refuses_writes_ends_neither_the_term_nor_the_node(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await start_node("a"), await start_node("b", coordinates=False)
    await a.admin.CreateChangefeed(creation(), timeout=10)
    term = await eventually(lambda: a.coordinator.term)
    uid = await eventually(lambda: next(iter({**a.host.statuses, **b.host.statuses}), None))
    owner = a if uid in a.host.statuses else b
    refused: list[str] = []

    async def full(self: Leadership, *_: object, **__: object) -> TxnResult:
        refused.append("txn")
        raise EtcdRefused("etcdserver: mvcc: database space exceeded")

    with monkeypatch.context() as patch:
        patch.setattr(Leadership, "txn", full)
        owner.host.report(uid, mpb.ERRED, pb.ChangefeedError(code="SinkUnavailable", retriable=True))
        await eventually(lambda: len(refused) >= 2)
    await eventually(lambda: term.table.changefeeds["shop"].status.state == pb.WARNING)
    assert a.coordinator.term is term


async def test_a_candidacy_that_etcd_refuses_is_tried_again(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = await start_node("a", coordinates=False)
    campaign = a.membership.election.campaign
    outcomes = ["refused"]

    async def refused_once() -> Leadership:
        if outcomes:
            raise EtcdRefused(outcomes.pop())
        return await campaign()

    monkeypatch.setattr(a.membership.election, "campaign", refused_once)
    a.campaign()
    await eventually(lambda: a.coordinator.term)
    assert outcomes == []
