"""The journal of schedule requests: what is in flight, and what a takeover does with it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hedgerow.common.epoch import Owner
from hedgerow.dispatcher.control.pending import Journal, Kind, Placement

FIRST, SECOND = Owner(1, "a"), Owner(2, "b")


def placement(key: str) -> Placement:
    return Placement(key, 1)


def test_a_remove_of_a_missing_dispatcher_clears_its_entry_and_is_done() -> None:
    journal = Journal()
    assert journal.add(Kind.CREATE, placement("t"), FIRST, set())
    assert not journal.add(Kind.REMOVE, placement("t"), FIRST, set())
    assert journal.in_flight(Kind.CREATE) == []
    assert journal.take_over(SECOND, set()) == ([], [])


def test_a_takeover_drops_creates_and_reports_removes_of_what_exists() -> None:
    journal = Journal()
    existing = {"old", "gone"}
    journal.add(Kind.CREATE, placement("new"), FIRST, existing)
    journal.add(Kind.REMOVE, placement("old"), FIRST, existing)
    journal.add(Kind.REMOVE, placement("gone"), FIRST, existing)
    assert journal.take_over(SECOND, {"old", "new"}) == ([placement("new")], [placement("old")])
    assert journal.in_flight(Kind.CREATE) == []


def test_the_same_owner_keeps_its_creates() -> None:
    journal = Journal()
    journal.add(Kind.CREATE, placement("new"), FIRST, set())
    assert journal.take_over(FIRST, {"new"}) == ([], [])
    assert [request.placement.dispatcher for request in journal.in_flight(Kind.CREATE)] == ["new"]


def test_finishing_one_kind_leaves_the_other() -> None:
    journal = Journal()
    journal.add(Kind.REMOVE, placement("t"), FIRST, {"t"})
    journal.finish(Kind.CREATE, ["t"])
    assert journal.take_over(SECOND, {"t"}) == ([], [placement("t")])
    journal.finish(Kind.REMOVE, ["t"])
    assert journal.take_over(SECOND, {"t"}) == ([], [])


@given(
    st.lists(st.tuples(st.sampled_from(list(Kind)), st.sampled_from("abc"), st.integers(1, 3))),
    st.sets(st.sampled_from("abc")),
)
def test_after_a_takeover_no_create_of_another_owner_and_no_remove_of_the_missing_is_left(
    requests: list[tuple[Kind, str, int]], existing: set[str]
) -> None:
    journal = Journal()
    for kind, key, epoch in requests:
        journal.add(kind, placement(key), Owner(epoch, "n"), set("abc"))
    successor = Owner(3, "n")
    dropped, removing = journal.take_over(successor, existing)
    assert {one.dispatcher for one in removing} <= existing
    assert all(request.owner == successor for request in journal.in_flight(Kind.CREATE))
    assert {one.dispatcher for one in dropped}.isdisjoint(one.dispatcher for one in removing)
    assert {one.placement.dispatcher for one in journal.in_flight(Kind.REMOVE)} <= existing
