"""Two live maintainers: one that was frozen wakes up, with a valid session, after another has taken over."""

from __future__ import annotations

import pytest

from tests.drills.conftest import Judge, StartDrill

pytestmark = pytest.mark.timeout(120)


def test_frozen_in_a_transaction(start_drill: StartDrill, judge: Judge) -> None:
    """Its lane is inside a sink transaction, locks held, when it freezes: the successor ends that transaction."""
    with start_drill("frozen_in_a_transaction") as drill:
        zombie = drill.owner_apart_from_coordinator()
        before = drill.feed()
        tables = drill.tables_on(zombie)
        with drill.blocked(tables[0]):
            drill.wait_in_transaction(zombie)
            drill.cluster.freeze(zombie)
        drill.did(f"froze {before['owner']} at epoch {before['epoch']} while it changed {tables[0]}")
        drill.move_to(drill.other_than(zombie))
        drill.wait_for_epoch_at_work(before["epoch"] + 1, tables=tables)
        drill.did(f"moved the changefeed to {drill.feed()['owner']}, which applied")
        drill.cluster.thaw(zombie)
        drill.did(f"thawed {zombie.name}")
        drill.wait_for_epoch_at_work(before["epoch"] + 1)
        report = judge(drill.finish())
    assert sum(each.ended for each in report.refused.values()) > 0
    assert report.epochs[1] > report.epochs[0]


def test_frozen_between_transactions(start_drill: StartDrill, judge: Judge) -> None:
    """It wakes up with work to do and a valid session, and nobody can tell it: only the sink can refuse it."""
    with start_drill("frozen_between_transactions") as drill:
        zombie = drill.owner_apart_from_coordinator()
        before = drill.feed()
        tables = drill.tables_on(zombie)
        drill.cluster.cut_off_from_peers(zombie)
        drill.cluster.freeze(zombie)
        drill.did(f"froze {before['owner']} at epoch {before['epoch']} and cut it off from its peers")
        drill.move_to(drill.other_than(zombie))
        drill.wait_for_epoch_at_work(before["epoch"] + 1, tables=tables)
        drill.did(f"moved the changefeed to {drill.feed()['owner']}, which applied")
        drill.cluster.thaw(zombie)
        drill.did(f"thawed {zombie.name}, still cut off")
        drill.wait_refused_at_sink(zombie)
        report = judge(drill.finish())
    assert report.refused[zombie.name].at_sink > 0
