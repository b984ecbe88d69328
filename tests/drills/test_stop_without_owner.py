"""Pause and remove while the owner's node is dead, and while it is frozen: nothing is applied from then on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import pytest

from hedgerow.sandbox.cluster import NodeProcess
from hedgerow.sandbox.drill import Drill, ask
from hedgerow.sandbox.process import wait_until
from tests.drills.conftest import Judge, StartDrill

pytestmark = pytest.mark.timeout(120)
Fault = Literal["dead", "frozen"]


@pytest.mark.parametrize("fault", ["dead", "frozen"])
def test_pause_and_remove_while_the_owner_is(fault: Fault, start_drill: StartDrill, judge: Judge) -> None:
    """Two changefeeds of the same owner, one paused and one removed, at once. The removed one, created again under the
    same name, begins again: the tombstone is of the former one only."""
    with start_drill(f"pause_while_{fault}") as paused, start_drill(f"remove_while_{fault}") as removed:
        cluster = paused.cluster
        owner = paused.owner_apart_from_coordinator()
        if cluster.owner(removed.name) is not owner:
            removed.move_to(owner)
            removed.wait_for_epoch_at_work(removed.feed()["epoch"])
        before = {drill.name: drill.feed() for drill in (paused, removed)}
        if fault == "dead":
            cluster.kill(owner)
        else:
            cluster.freeze(owner)
        for drill in (paused, removed):
            drill.did(f"the owner {owner.name} is {fault}")
        with ThreadPoolExecutor() as pool:
            pause = pool.submit(cluster.command, "changefeed", "pause", paused.name)
            pool.submit(cluster.command, "changefeed", "remove", removed.name, "--yes").result()
            stopped = pause.result()
        assert (stopped["state"], stopped["closed"]) == ("stopped", True)
        assert stopped["epoch"] > before[paused.name]["epoch"]
        paused.did(f"paused at epoch {stopped['epoch']}")
        uid = before[removed.name]["uid"]
        tombstone = _tombstone(removed, uid)
        assert tombstone > before[removed.name]["epoch"]
        removed.did(f"removed, with a tombstone at epoch {tombstone}")

        _nothing_is_applied(owner, paused, removed)
        assert _tombstone(removed, uid) == tombstone
        cluster.command("changefeed", "resume", paused.name)
        paused.did("resumed")
        ask(removed.sink, f"DROP DATABASE {removed.name}")
        removed.create()
        removed.did("created again under the same name")
        report = judge(paused.finish())
        judge(removed.finish())
    assert report.epochs[1] > stopped["epoch"]


def _nothing_is_applied(owner: NodeProcess, *drills: Drill) -> None:
    """While the sources change, and the node that was frozen wakes up, or the one that was dead starts again."""
    still = [drill.applied() for drill in drills]
    cluster = drills[0].cluster
    if cluster.is_frozen(owner):
        cluster.thaw(owner)
    else:
        cluster.start_node(owner)
    owner.process.wait_ready(owner.answers, 30.0)
    written = drills[0].workload.transactions
    assert wait_until(lambda: drills[0].workload.transactions > written + 150, 30.0)
    assert [drill.applied() for drill in drills] == still, "something was applied after the stop"
    for drill in drills:
        drill.did(f"{owner.name} came back; nothing was applied")


def _tombstone(drill: Drill, uid: str) -> int:
    assert ask(drill.sink, "SELECT * FROM hedgerow.progress WHERE changefeed_uid = %s", uid) == ()
    ((epoch, removed),) = ask(
        drill.sink, "SELECT epoch, removed_at IS NOT NULL FROM hedgerow.fence WHERE changefeed_uid = %s", uid
    )
    assert removed
    return int(epoch)
