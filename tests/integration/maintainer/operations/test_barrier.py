"""One owner and the DDL that its dispatchers meet."""

from __future__ import annotations

import asyncio

import pytest

from hedgerow.common.pb.v1 import model_pb2 as pb
from tests.integration.maintainer.conftest import Bench
from tests.integration.maintainer.steps import at, ddl_at, finish_ddl, started

pytestmark = pytest.mark.timeout(60)


async def test_a_ddl_is_written_when_all_are_blocked_and_passed_when_the_sink_has_it(bench: Bench) -> None:
    (fake,) = await started(bench, ["a", "b"], [])
    ddl = ddl_at(50, "a")
    fake.set("*", pb.BLOCKED, blocked=ddl, position=at(49).write())
    fake.set("shop.a", pb.RUNNING, position=at(20).write())
    await asyncio.sleep(0.1)  # nothing may happen: give it the time to go wrong
    assert fake.barriers == []
    fake.set("shop.a", pb.BLOCKED, blocked=ddl, position=at(49).write())
    await bench.eventually(lambda: ("WRITE", ("*",)) in fake.barriers)
    assert ("PASS", ("shop.a",)) not in fake.barriers
    finish_ddl(bench, 50)
    fake.set("*", pb.RUNNING, position=at(50).write())
    await bench.eventually(lambda: ("PASS", ("shop.a",)) in fake.barriers)
    fake.set("shop.b", pb.RUNNING, position=at(60).write())
    fake.set("shop.a", pb.RUNNING, position=at(55).write())
    await bench.report(lambda s: s.checkpoint == at(50).write())


async def test_dispatchers_of_created_tables_appear_and_hold_the_checkpoint_and_dropped_ones_vanish(
    bench: Bench,
) -> None:
    (fake,) = await started(bench, ["a", "b"], [])
    fake.set("*", pb.BLOCKED, blocked=ddl_at(50), position=at(49).write())
    fake.set("shop.a", pb.BLOCKED, blocked=ddl_at(60, "a"), position=at(59).write())
    fake.set("shop.b", position=at(70).write())
    await bench.eventually(lambda: ("WRITE", ("*",)) in fake.barriers)
    finish_ddl(bench, 50, add=["shop.new"])
    fake.set("*", pb.BLOCKED, blocked=ddl_at(60, "a"), position=at(59).write())
    await bench.eventually(lambda: "shop.new" in fake.statuses)
    await bench.report(lambda s: s.checkpoint == at(50).write())
    fake.set("shop.new", position=at(70).write())
    await bench.eventually(lambda: fake.barriers.count(("WRITE", ("*",))) == 2)
    finish_ddl(bench, 60, drop=["shop.a"])
    fake.set("*", position=at(70).write())
    await bench.eventually(lambda: "shop.a" not in fake.statuses)
    assert not [keys for action, keys in fake.barriers if action == "PASS"]
    await bench.report(lambda s: s.checkpoint == at(70).write())


async def test_tables_that_a_ddl_ties_together_are_moved_together_before_they_pass(bench: Bench) -> None:
    first, second = await started(bench, ["parent", "child"], ["n2"])
    where = bench.cluster.where()
    assert where["shop.child"] != where["shop.parent"]
    ddl = ddl_at(50, "child", "parent")
    nodes = {"n1": first, "n2": second}
    for key in ("*", "shop.child", "shop.parent"):
        nodes[where[key]].set(key, pb.BLOCKED, blocked=ddl, position=at(49).write())
    await bench.eventually(lambda: ("WRITE", ("*",)) in nodes[where["*"]].barriers)
    for fake in nodes.values():
        fake.first_state = pb.STARTING
    bench.sink("ALTER TABLE shop.child ADD FOREIGN KEY (id) REFERENCES shop.parent (id)")
    finish_ddl(bench, 50)
    nodes[where["*"]].set("*", position=at(50).write())
    await bench.eventually(lambda: _together(bench))
    home = nodes[bench.cluster.where()["shop.child"]]
    assert home.lanes["shop.child"] == home.lanes["shop.parent"]
    await asyncio.sleep(0.1)  # nothing may happen: give it the time to go wrong
    assert not [keys for fake in nodes.values() for action, keys in fake.barriers if action == "PASS"]
    for key in ("shop.child", "shop.parent"):
        home.set(key, pb.BLOCKED, blocked=ddl, position=at(49).write())
    await bench.eventually(lambda: ("PASS", ("shop.child", "shop.parent")) in home.barriers)


def _together(bench: Bench) -> bool:
    where = bench.cluster.where()
    return "shop.parent" in where and where.get("shop.child") == where["shop.parent"]
