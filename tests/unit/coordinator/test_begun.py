"""That a changefeed has begun is on record before anything else of its owner's report is acted upon."""

from __future__ import annotations

import pytest

from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.changefeed import Changefeed, Revisions, pause, resume
from hedgerow.coordinator.decisions import SaveCheckpoint, change_for
from hedgerow.coordinator.reconcile import reconcile
from tests.unit.coordinator.builders import NOW, changefeed, maintainer, node, position, world

FATAL = pb.ChangefeedError(code="SinkDiverged", message="1032")


@pytest.mark.parametrize("phase", [mpb.MAINTAINING, mpb.ERRED, mpb.SUPERSEDED])
@pytest.mark.parametrize("suspected", [False, True])
def test_the_first_checkpoint_is_saved_before_errors_and_successors(
    phase: mpb.MaintainerPhase, suspected: bool
) -> None:
    shop = changefeed()
    report = maintainer(shop, phase, error=FATAL, checkpoint=position(4))
    decided = reconcile(world([shop], [node("a", [report], suspected=suspected), node("b")]))
    assert decided == [SaveCheckpoint("shop", position(4))]
    assert not shop.begun


def test_it_has_begun_for_good() -> None:
    shop = changefeed()
    saved = change_for(shop, SaveCheckpoint("shop", position(4)), NOW).status
    assert saved is not None
    begun = Changefeed(shop.spec, shop.ownership, saved, Revisions(2, 2, 2))
    stopped = pause(begun, "a", None, NOW)
    assert stopped.ownership is not None
    assert stopped.status is not None
    paused = Changefeed(shop.spec, stopped.ownership, stopped.status, Revisions(3, 3, 3))
    resumed = resume(paused, "a", NOW)
    assert resumed.ownership is not None
    assert resumed.status is not None
    assert Changefeed(shop.spec, resumed.ownership, resumed.status, Revisions(4, 4, 4)).begun


def test_a_report_of_another_epoch_or_without_a_checkpoint_is_no_beginning() -> None:
    shop = changefeed()
    for report in (maintainer(shop), maintainer(shop, epoch=0, checkpoint=position(4))):
        assert not any(
            isinstance(decision, SaveCheckpoint) for decision in reconcile(world([shop], [node("a", [report])]))
        )
