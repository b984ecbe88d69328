"""The owner's node, which hosts dispatchers too, loses one of its wires while the others hold."""

from __future__ import annotations

import pytest

from hedgerow.sandbox.process import wait_until
from tests.drills.conftest import Judge, StartDrill

pytestmark = pytest.mark.timeout(120)


def test_cut_off_from_etcd(start_drill: StartDrill, judge: Judge) -> None:
    """It fences itself before its lease ends, and comes back as a new node."""
    with start_drill("cut_off_from_etcd") as drill:
        owner = drill.owner_apart_from_coordinator()
        before = drill.feed()
        drill.cluster.cut_off_from_etcd(owner, "cut")  # held back, its keepalives would renew the lease later
        drill.did(f"cut {before['owner']} off from etcd at epoch {before['epoch']}, not from the sink")
        drill.wait_for_epoch_at_work(before["epoch"] + 1)
        after = drill.feed()
        drill.did(f"{after['owner']} took over ({after['ownership_changes'][-1]['reason']})")
        assert '"event": "session-lost"' in owner.process.log.read_text()
        drill.cluster.heal_wires()

        def new_ids() -> set[str]:
            listed = {each["id"] for each in drill.cluster.command("node", "list") if each["reachable"]}
            return {node for node in listed if node.startswith(owner.name)} - {before["owner"]}

        assert wait_until(lambda: len(new_ids()) == 1, 20.0, 0.2), new_ids()
        drill.did(f"healed; the node came back as {new_ids().pop()}")
        report = judge(drill.finish())
    assert report.epochs[1] > report.epochs[0]


def test_cut_off_from_peers(start_drill: StartDrill, judge: Judge) -> None:
    """etcd says that it lives and it thinks so too: it writes on, and only the sink can refuse it."""
    with start_drill("cut_off_from_peers") as drill:
        owner = drill.owner_apart_from_coordinator()
        before = drill.feed()
        drill.cluster.cut_off_from_peers(owner)
        drill.did(f"cut {before['owner']} off from its peers at epoch {before['epoch']}, not from etcd and the sink")
        drill.wait_for_epoch_at_work(before["epoch"] + 1)
        after = drill.feed()
        drill.did(f"{after['owner']} took over ({after['ownership_changes'][-1]['reason']})")
        drill.wait_refused_at_sink(owner)
        listed = {each["id"] for each in drill.cluster.command("node", "list")}
        assert before["owner"] in listed, "it has lost its lease: this drill is about a node that has not"
        report = judge(drill.finish())
    assert report.refused[owner.name].at_sink > 0


def test_cut_off_from_sink(start_drill: StartDrill, judge: Judge) -> None:
    """What it has sent arrives late: after another node has claimed its dispatchers, within the same epoch."""
    with start_drill("cut_off_from_sink") as drill:
        node = drill.other_than(drill.cluster.owner(drill.name), drill.cluster.coordinator())
        before = drill.feed()
        tables = drill.tables_on(node)
        with drill.blocked(tables[0]):
            drill.wait_in_transaction(node)
            drill.cluster.cut_off_from_sink(node)
        drill.did(f"cut {node.name} off from the sink while it changed {tables[0]}")
        target = drill.cluster.owner(drill.name)
        for table in tables:
            drill.cluster.command("changefeed", "move-dispatcher", drill.name, table, target.name)
        drill.wait_for_epoch_at_work(before["epoch"], tables=tables)
        drill.did(f"moved its {len(tables)} dispatchers to {target.name}, which applied")
        drill.cluster.heal_wires()
        drill.did("what was held back arrived at the sink")
        drill.wait_for_epoch_at_work(before["epoch"])
        report = judge(drill.finish())
    assert report.epochs[1] == report.epochs[0]
