"""A coordinator that was frozen past its lease wakes up while its successor moves a changefeed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from hedgerow.sandbox.process import wait_until
from tests.drills.conftest import Judge, StartDrill

pytestmark = pytest.mark.timeout(120)


def test_coordinator_frozen_past_its_lease(start_drill: StartDrill, judge: Judge) -> None:
    with start_drill("coordinator_frozen") as drill, ThreadPoolExecutor(1) as pool:
        cluster = drill.cluster
        owner = drill.owner_apart_from_coordinator()
        before = drill.feed()
        former = cluster.coordinator()
        cluster.freeze(former)
        drill.did(f"froze the coordinator {former.name}")
        third = drill.other_than(former, owner)
        assert wait_until(lambda: cluster.coordinator() is not former, 30.0, 0.2)
        drill.wait_for_epoch_at_work(before["epoch"])
        moving = pool.submit(drill.move_to, third if cluster.owner(drill.name) is owner else owner)
        cluster.thaw(former)
        moving.result()
        moved = drill.feed()
        drill.did(f"{cluster.coordinator().name} moved the changefeed to {moved['owner']} while {former.name} thawed")
        drill.wait_for_epoch_at_work(before["epoch"] + 1)
        assert wait_until(former.answers, 20.0, 0.1)
        changes = drill.feed()["ownership_changes"]
        assert [each["epoch"] for each in changes] == sorted({each["epoch"] for each in changes})
        report = judge(drill.finish())
    assert report.epochs[1] > report.epochs[0]
