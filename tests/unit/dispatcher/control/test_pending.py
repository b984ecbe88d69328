"""The pending of schedule requests: what is in flight, and what a takeover does with it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.epoch import Owner
from hedgerow.dispatcher.control.pending import PendingRequests, RequestKind
from hedgerow.dispatcher.table import Placement

FIRST, SECOND = Owner(1, "a"), Owner(2, "b")


def placement(key: str) -> Placement:
    return Placement(key, 1)


def test_a_remove_of_a_missing_dispatcher_clears_its_entry_and_is_done() -> None:
    pending = PendingRequests()
    assert pending.add(RequestKind.CREATE, placement("t"), FIRST, set())
    assert not pending.add(RequestKind.REMOVE, placement("t"), FIRST, set())
    assert pending.in_flight(RequestKind.CREATE) == []
    assert pending.take_over(SECOND, set()) == ([], [])


def test_a_takeover_drops_creates_and_reports_removes_of_what_exists() -> None:
    pending = PendingRequests()
    existing = {"old", "gone"}
    pending.add(RequestKind.CREATE, placement("new"), FIRST, existing)
    pending.add(RequestKind.REMOVE, placement("old"), FIRST, existing)
    pending.add(RequestKind.REMOVE, placement("gone"), FIRST, existing)
    assert pending.take_over(SECOND, {"old", "new"}) == ([placement("new")], [placement("old")])
    assert pending.in_flight(RequestKind.CREATE) == []


def test_the_same_owner_keeps_its_creates() -> None:
    pending = PendingRequests()
    pending.add(RequestKind.CREATE, placement("new"), FIRST, set())
    assert pending.take_over(FIRST, {"new"}) == ([], [])
    assert [request.placement.dispatcher for request in pending.in_flight(RequestKind.CREATE)] == ["new"]


def test_finishing_one_kind_leaves_the_other() -> None:
    pending = PendingRequests()
    pending.add(RequestKind.REMOVE, placement("t"), FIRST, {"t"})
    pending.finish(RequestKind.CREATE, ["t"])
    assert pending.take_over(SECOND, {"t"}) == ([], [placement("t")])
    pending.finish(RequestKind.REMOVE, ["t"])
    assert pending.take_over(SECOND, {"t"}) == ([], [])


@given(
    st.lists(st.tuples(st.sampled_from(list(RequestKind)), st.sampled_from("abc"), st.integers(1, 3))),
    st.sets(st.sampled_from("abc")),
)
def test_after_a_takeover_no_create_of_another_owner_and_no_remove_of_the_missing_is_left(
    requests: list[tuple[RequestKind, str, int]], existing: set[str]
) -> None:
    pending = PendingRequests()
    for kind, key, epoch in requests:
        pending.add(kind, placement(key), Owner(epoch, "n"), set("abc"))
    successor = Owner(3, "n")
    dropped, removing = pending.take_over(successor, existing)
    assert {one.dispatcher for one in removing} <= existing
    assert all(request.owner == successor for request in pending.in_flight(RequestKind.CREATE))
    assert {one.dispatcher for one in dropped}.isdisjoint(one.dispatcher for one in removing)
    assert {one.placement.dispatcher for one in pending.in_flight(RequestKind.REMOVE)} <= existing
