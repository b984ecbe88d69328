"""Each rule of the reconciler by its name."""

from __future__ import annotations

import pytest

from hedgerow.common.pb.v1 import maintainer_pb2 as mpb
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator import changefeed as edits
from hedgerow.coordinator.changefeed import Change, Changefeed, Revisions
from hedgerow.coordinator.decisions import (
    Advance,
    DeleteKeys,
    MarkClosed,
    Postpone,
    SaveCheckpoint,
    SendAdd,
    SendRemove,
    SetFailed,
    SetNormal,
    SetWarning,
    Write,
    change_for,
)
from hedgerow.coordinator.reconcile import World, reconcile
from tests.unit.coordinator.builders import NOW, changefeed, maintainer, node, position, world

RETRIABLE = pb.ChangefeedError(code="SinkUnavailable", message="sink does not answer", retriable=True)
FATAL = pb.ChangefeedError(code="SinkDiverged", message="1032")


def applied(before: Changefeed, change: Change) -> Changefeed:
    return Changefeed(
        change.spec or before.spec,
        change.ownership or before.ownership,
        change.status or before.status,
        Revisions(2, 2, 2),
    )


def after(before: Changefeed, decision: Write) -> Changefeed:
    return applied(before, change_for(before, decision, NOW))


def test_an_owner_that_maintains_is_left_alone() -> None:
    shop = changefeed()
    for phase in (mpb.BOOTSTRAPPING, mpb.MAINTAINING):
        assert reconcile(world([shop], [node("a", [maintainer(shop, phase)]), node("b")])) == []


def test_an_owner_that_lacks_it_is_told_again_at_the_same_epoch() -> None:
    shop = changefeed()
    assert reconcile(world([shop], [node("a"), node("b")])) == [SendAdd("shop")]
    assert reconcile(world([shop], [node("a", [maintainer(shop, epoch=0)])])) == [SendAdd("shop")]


def test_an_owner_that_has_not_answered_yet_is_waited_for() -> None:
    assert reconcile(world([changefeed()], [node("a", None), node("b")])) == []


@pytest.mark.parametrize(
    ("owner", "cause"),
    [
        (None, "node-gone"),
        (node("a", suspected=True), "node-suspected"),
        (node("a", liveness=pb.DRAINING), "node-leaving"),
    ],
)
def test_an_owner_that_is_gone_suspected_or_leaving_is_replaced(owner: object, cause: str) -> None:
    shop = changefeed()
    nodes = [node("b", [maintainer(changefeed("other", "b"))]), node("c")]
    (decision,) = reconcile(
        world([shop, changefeed("other", "b")], [*nodes, *([owner] if owner is not None else [])])  # type: ignore[list-item]
    )
    assert isinstance(decision, Advance)
    assert (decision.node, decision.cause) == ("c", cause)
    moved = after(shop, decision)
    assert (moved.epoch, moved.ownership.node, moved.ownership.role) == (2, "c", pb.RUN)


def test_without_another_node_a_leaving_owner_goes_on() -> None:
    shop = changefeed()
    assert reconcile(world([shop], [node("a", [maintainer(shop)], liveness=pb.DRAINING)])) == []
    assert reconcile(world([shop], [node("a", suspected=True), node("b", liveness=pb.DRAINING)])) == []


def test_several_orphans_are_spread() -> None:
    changefeeds = [changefeed(name, "dead") for name in ("v", "w", "x", "y")]
    targets = [d.node for d in reconcile(world(changefeeds, [node("a"), node("b")])) if isinstance(d, Advance)]
    assert targets == ["a", "b", "a", "b"]


def test_an_error_that_a_retry_fixes_waits_then_starts_again_under_a_new_epoch() -> None:
    shop = changefeed()
    nodes = [node("a", [maintainer(shop, mpb.ERRED, error=RETRIABLE)])]
    (warning,) = reconcile(world([shop], nodes))
    assert isinstance(warning, SetWarning)
    assert warning.attempts == 1
    assert warning.retry_at is not None
    assert 0.89 < warning.retry_at - NOW < 1.11
    shop = after(shop, warning)
    assert (shop.status.state, shop.status.error, shop.epoch) == (pb.WARNING, RETRIABLE, 1)

    assert reconcile(world([shop], nodes, now=warning.retry_at - 0.01)) == []
    (retry,) = reconcile(world([shop], nodes, now=warning.retry_at + 0.01))
    assert isinstance(retry, Advance)
    shop = after(shop, retry)
    assert (shop.epoch, shop.status.state, shop.status.attempts) == (2, pb.WARNING, 1)
    assert not shop.status.HasField("retry_at")

    nodes = [node("a", [maintainer(shop, mpb.ERRED, error=RETRIABLE)])]
    (again,) = reconcile(world([shop], nodes))
    assert isinstance(again, SetWarning)
    assert again.attempts == 2
    assert again.retry_at is not None
    assert 1.79 < again.retry_at - NOW < 2.21


def test_every_second_retry_goes_to_another_node_where_there_is_one() -> None:
    owners = []
    for attempts in (1, 2, 3, 4):
        shop = after(changefeed(), SetWarning("shop", RETRIABLE, attempts, NOW - 1))
        (retry,) = reconcile(world([shop], [node("a"), node("b")]))
        assert isinstance(retry, Advance)
        owners.append(retry.node)
    assert owners == ["a", "b", "a", "b"]
    shop = after(changefeed(), SetWarning("shop", RETRIABLE, 2, NOW - 1))
    (retry,) = reconcile(world([shop], [node("a"), node("b", liveness=pb.DRAINING)]))
    assert isinstance(retry, Advance)
    assert retry.node == "a"


def test_recovery_clears_the_warning() -> None:
    shop = after(changefeed(), SetWarning("shop", RETRIABLE, 3, None))
    assert reconcile(world([shop], [node("a", [maintainer(shop, mpb.BOOTSTRAPPING)])])) == []
    (normal,) = reconcile(world([shop], [node("a", [maintainer(shop)])]))
    assert normal == SetNormal("shop")
    shop = after(shop, SetNormal("shop"))
    assert (shop.status.state, shop.status.HasField("error")) == (pb.NORMAL, False)


@pytest.mark.parametrize(("healthy_for", "attempts"), [(59.0, 4), (61.0, 1)])
def test_only_an_owner_that_stays_healthy_ends_a_row_of_failures(healthy_for: float, attempts: int) -> None:
    shop = after(changefeed(), SetWarning("shop", RETRIABLE, 3, None))
    shop = after(shop, SetNormal("shop"))
    nodes = [node("a", [maintainer(shop, mpb.ERRED, error=RETRIABLE)])]
    (warning,) = reconcile(world([shop], nodes, now=NOW + healthy_for))
    assert isinstance(warning, SetWarning)
    assert warning.attempts == attempts


def test_an_error_that_dispatchers_retry_is_only_shown() -> None:
    shop = changefeed()
    nodes = [node("a", [maintainer(shop, error=RETRIABLE)])]
    (warning,) = reconcile(world([shop], nodes))
    assert warning == SetWarning("shop", RETRIABLE, 0, None)
    assert reconcile(world([after(shop, SetWarning("shop", RETRIABLE, 0, None))], nodes)) == []


@pytest.mark.parametrize("phase", [mpb.ERRED, mpb.MAINTAINING, mpb.BOOTSTRAPPING])
def test_an_error_that_no_retry_fixes_fails_it_and_the_stop_is_fenced(phase: mpb.MaintainerPhase) -> None:
    shop = changefeed()
    (failed,) = reconcile(world([shop], [node("a", [maintainer(shop, phase, error=FATAL)]), node("b")]))
    assert failed == SetFailed("shop", "a", FATAL)
    shop = after(shop, SetFailed("shop", "a", FATAL))
    assert (shop.status.state, shop.epoch, shop.ownership.role) == (pb.FAILED, 2, pb.CLOSE)
    assert shop.status.error == FATAL


def test_an_owner_that_was_superseded_on_record_is_replaced_after_a_wait() -> None:
    shop = changefeed()
    (warning,) = reconcile(world([shop], [node("a", [maintainer(shop, mpb.SUPERSEDED)])]))
    assert isinstance(warning, SetWarning)
    assert warning.retry_at is not None
    assert warning.error.code == "Rejected"


def test_a_lost_dispatcher_ownership_is_not_a_failure() -> None:
    shop = changefeed()
    fenced = pb.ChangefeedError(code="Fenced", message="epoch 1 is below 2")
    assert reconcile(world([shop], [node("a", [maintainer(shop, error=fenced)])])) == []


def test_an_epoch_above_the_record_is_passed() -> None:
    shop = changefeed()
    (decision,) = reconcile(world([shop], [node("a", [maintainer(shop, epoch=7)])]))
    assert isinstance(decision, Advance)
    assert after(shop, decision).epoch == 8
    refused = World({"shop": shop}, {"a": node("a")}, NOW, refused={shop.uid: 4})
    (decision,) = reconcile(refused)
    assert isinstance(decision, Advance)
    assert after(shop, decision).epoch == 5


def test_a_stop_is_told_until_it_is_confirmed_then_recorded() -> None:
    shop = applied(changefeed(), edits.pause(changefeed(), "a", None, NOW))
    assert (shop.epoch, shop.ownership.role, shop.status.state) == (2, pb.CLOSE, pb.STOPPED)
    for reports in ([], [maintainer(shop, epoch=1)], [maintainer(shop, mpb.ERRED)]):
        assert reconcile(world([shop], [node("a", reports)])) == [SendRemove("shop")]
    assert reconcile(world([shop], [node("a", [maintainer(shop, mpb.CLOSING)])])) == []
    closed = maintainer(shop, mpb.CLOSED, checkpoint=position(9))
    assert reconcile(world([shop], [node("a", [closed])])) == [MarkClosed("shop", position(9))]
    shop = after(shop, MarkClosed("shop", position(9)))
    assert shop.ownership.closed
    assert shop.status.checkpoint == position(9)
    assert reconcile(world([shop], [node("b")])) == []


def test_a_stop_whose_executor_died_goes_to_another_under_a_new_epoch() -> None:
    shop = applied(changefeed(), edits.pause(changefeed(), "a", None, NOW))
    (decision,) = reconcile(world([shop], [node("b")]))
    assert isinstance(decision, Advance)
    shop = after(shop, decision)
    assert (shop.epoch, shop.ownership.node, shop.ownership.role) == (3, "b", pb.CLOSE)
    assert reconcile(world([shop], [node("b")])) == [SendRemove("shop")]


def test_a_stop_that_a_higher_epoch_refused_goes_above_it() -> None:
    shop = applied(changefeed(), edits.pause(changefeed(), "a", None, NOW))
    for attempts, (epoch, seen) in enumerate(((2, 0), (3, 40), (41, 40)), start=1):
        assert shop.epoch == epoch
        superseded = maintainer(shop, mpb.SUPERSEDED)
        superseded.seen_epoch = seen
        nodes = [node("a", [superseded])]
        (wait,) = reconcile(world([shop], nodes))
        assert isinstance(wait, Postpone)
        assert wait.attempts == attempts
        assert wait.retry_at - NOW > 0.89 * 2 ** (attempts - 1)
        shop = after(shop, wait)
        assert reconcile(world([shop], nodes)) == []
        (decision,) = reconcile(world([shop], nodes, now=wait.retry_at + 0.01))
        assert isinstance(decision, Advance)
        shop = after(shop, decision)
        assert (shop.ownership.node, shop.ownership.role, shop.status.state) == ("a", pb.CLOSE, pb.STOPPED)
    shop = after(shop, MarkClosed("shop", None))
    assert (shop.status.attempts, shop.status.HasField("retry_at")) == (0, False)


def test_after_an_etcd_that_was_set_back_one_retry_goes_above_what_the_sink_has_seen() -> None:
    shop = changefeed()
    fenced = maintainer(shop, mpb.SUPERSEDED, error=pb.ChangefeedError(code="Fenced", message="the fence is at 30"))
    fenced.seen_epoch = 30
    (warning,) = reconcile(world([shop], [node("a", [fenced])]))
    assert isinstance(warning, SetWarning)
    shop = after(shop, warning)
    (retry,) = reconcile(world([shop], [node("a", [fenced])], now=NOW + 2))
    assert isinstance(retry, Advance)
    assert after(shop, retry).epoch == 31


def test_a_removal_ends_with_the_keys() -> None:
    shop = applied(changefeed(), edits.remove(changefeed(), "a", NOW))
    assert reconcile(world([shop], [node("a")])) == [SendRemove("shop")]
    assert reconcile(world([shop], [node("a", [maintainer(shop, mpb.CLOSED)])])) == [DeleteKeys("shop")]
    assert change_for(shop, DeleteKeys("shop"), NOW).delete


def test_a_confirmed_stop_of_an_older_epoch_confirms_nothing() -> None:
    stopped = applied(changefeed(), edits.pause(changefeed(), "a", None, NOW))
    removed = applied(stopped, edits.remove(stopped, "a", NOW))
    assert reconcile(world([removed], [node("a", [maintainer(stopped, mpb.CLOSED)])])) == [SendRemove("shop")]


def test_a_checkpoint_is_saved_in_intervals_and_never_goes_back() -> None:
    shop = after(changefeed(), SaveCheckpoint("shop", position(100)))
    ahead, behind = ([node("a", [maintainer(shop, checkpoint=position(offset))])] for offset in (200, 50))
    assert reconcile(World({"shop": shop}, {"a": ahead[0]}, NOW)) == [SaveCheckpoint("shop", position(200))]
    assert reconcile(World({"shop": shop}, {"a": ahead[0]}, NOW, saved_at={"shop": NOW - 4.9})) == []
    assert reconcile(World({"shop": shop}, {"a": behind[0]}, NOW)) == []
    other = pb.Position(file="binlog.000009", offset=9, source_id="another server")
    assert reconcile(World({"shop": shop}, {"a": node("a", [maintainer(shop, checkpoint=other)])}, NOW)) == []


def test_a_node_that_joins_takes_one_maintainer_at_a_time_while_all_is_calm() -> None:
    changefeeds = [changefeed(name, "a") for name in ("x", "y", "z")]
    busy = node("a", [maintainer(each) for each in changefeeds])
    (step,) = reconcile(world(changefeeds, [busy, node("b")], rebalance=True))
    assert isinstance(step, Advance)
    assert (step.name, step.node, step.cause) == ("x", "b", "balance")
    assert reconcile(world(changefeeds, [busy, node("b")])) == []
    starting = node("a", [maintainer(each, mpb.BOOTSTRAPPING) for each in changefeeds])
    assert reconcile(world(changefeeds, [starting, node("b")], rebalance=True)) == []


def test_trouble_elsewhere_does_not_keep_a_new_node_idle() -> None:
    changefeeds = [changefeed(name, "a") for name in ("x", "y", "z")]
    changefeeds[0] = after(changefeeds[0], SetWarning("x", RETRIABLE, 0, None))
    busy = node("a", [maintainer(changefeeds[0], error=RETRIABLE), *(maintainer(each) for each in changefeeds[1:])])
    others = [node("leaving", liveness=pb.DRAINING), node("silent", None), node("gone", suspected=True)]
    (step,) = reconcile(world(changefeeds, [busy, node("b"), *others], rebalance=True))
    assert isinstance(step, Advance)
    assert (step.name, step.node, step.cause) == ("y", "b", "balance")


def test_only_the_newest_changes_of_ownership_are_kept() -> None:
    ownership = changefeed().ownership
    for turn in range(30):
        ownership = edits.advance(ownership, "a", pb.RUN, f"turn {turn}", NOW)
    assert len(ownership.changes) == edits.CHANGES_KEPT
    assert (ownership.changes[-1].reason, ownership.changes[-1].epoch) == ("turn 29", 31)
