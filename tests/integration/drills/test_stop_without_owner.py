"""Pause and remove while the owner's node is dead, and while it is frozen: nothing is applied from then on."""

from __future__ import annotations

from typing import Literal

import pytest

from hedgerow.sandbox.drill import Drill, ask
from hedgerow.sandbox.process import wait_until
from tests.integration.drills.conftest import Judge, StartDrill

pytestmark = pytest.mark.timeout(120)
Fault = Literal["dead", "frozen"]


@pytest.mark.parametrize("fault", ["dead", "frozen"])
def test_pause_while_owner_is(fault: Fault, start_drill: StartDrill, judge: Judge) -> None:
    with start_drill(f"pause_while_{fault}") as drill:
        before = drill.feed()
        _break_owner(drill, fault)
        paused = drill.cluster.command("changefeed", "pause", drill.name)
        assert (paused["state"], paused["closed"], paused["epoch"] > before["epoch"]) == ("stopped", True, True)
        drill.did(f"paused at epoch {paused['epoch']}")
        _nothing_is_applied(drill)
        drill.cluster.command("changefeed", "resume", drill.name)
        drill.did("resumed")
        report = judge(drill.finish())
    assert report.epochs[1] > paused["epoch"]


@pytest.mark.parametrize("fault", ["dead", "frozen"])
def test_remove_while_owner_is(fault: Fault, start_drill: StartDrill, judge: Judge) -> None:
    """Created again under the same name, it begins anew: the tombstone is of the former one only."""
    with start_drill(f"remove_while_{fault}") as drill:
        before = drill.feed()
        _break_owner(drill, fault)
        drill.cluster.command("changefeed", "remove", drill.name)
        tombstone = _tombstone(drill, before["uid"])
        assert tombstone > before["epoch"]
        drill.did(f"removed; its tombstone is at epoch {tombstone}")
        _nothing_is_applied(drill)
        assert _tombstone(drill, before["uid"]) == tombstone
        drill.cluster.heal()
        ask(drill.sink, f"DROP DATABASE {drill.name}")
        drill.create()
        drill.did("created again under the same name")
        judge(drill.finish())


def _break_owner(drill: Drill, fault: Fault) -> None:
    owner = drill.cluster.owner(drill.name)
    if fault == "dead":
        drill.cluster.kill(owner)
    else:
        drill.cluster.freeze(owner)
    drill.did(f"the owner {owner.name} is {fault}")


def _nothing_is_applied(drill: Drill) -> None:
    """While the source changes, the node that was frozen wakes up, and the one that was dead starts again."""
    still = drill.applied()
    for node in drill.cluster.nodes:
        if drill.cluster.is_frozen(node):
            drill.cluster.thaw(node)
        elif not node.process.running:
            node.process.start()
    written = drill.workload.transactions
    assert wait_until(lambda: drill.workload.transactions > written + 400, 30.0)
    assert drill.applied() == still, "something was applied after the stop"
    drill.did("nothing was applied afterwards")


def _tombstone(drill: Drill, uid: str) -> int:
    assert ask(drill.sink, "SELECT * FROM hedgerow.progress WHERE changefeed_uid = %s", uid) == ()
    ((epoch, removed),) = ask(
        drill.sink, "SELECT epoch, removed_at IS NOT NULL FROM hedgerow.fence WHERE changefeed_uid = %s", uid
    )
    assert removed
    return int(epoch)
