"""The rules by which a transaction may be sent again, against a model of etcd."""

from __future__ import annotations

from collections.abc import Sequence

import hypothesis.strategies as st
import pytest
from hypothesis import given

from hedgerow.common.etcd.values import (
    Compare,
    Delete,
    KeyValue,
    Operation,
    Put,
    Snapshot,
    WatchEvent,
    absent,
    applies_once,
    created_at,
    modified_at,
    prefix,
    was_applied,
)


class Model:
    """etcd's transactions: one revision for each one that writes."""

    def __init__(self) -> None:
        self.revision = 1
        self.items: dict[str, KeyValue] = {}

    def txn(self, compares: Sequence[Compare], operations: Sequence[Operation]) -> bool:
        if not all(compare.holds(self.items.get(compare.key)) for compare in compares):
            return False
        self.revision += 1
        for operation in operations:
            before = self.items.pop(operation.key, None)
            if isinstance(operation, Put):
                created = before.create_revision if before else self.revision
                self.items[operation.key] = KeyValue(
                    operation.key, operation.value, created, self.revision, operation.lease
                )
        return True

    def found(self) -> dict[str, KeyValue | None]:
        return {key: self.items.get(key) for key in KEYS}


KEYS = ("a", "b", "c")
keys = st.sampled_from(KEYS)
compares = st.builds(Compare, keys, st.sampled_from(["create", "mod"]), st.integers(0, 4))
values = st.binary(min_size=1, max_size=1)
operations = st.lists(st.one_of(st.builds(Put, keys, values), st.builds(Delete, keys)), min_size=1, max_size=2).filter(
    lambda chosen: len({operation.key for operation in chosen}) == len(chosen)
)
transactions = st.tuples(st.lists(compares, max_size=3), operations)
# What others do; their values are never ours, and two bytes long.
others = st.lists(st.one_of(st.builds(Put, keys, st.just(b"xx")), st.builds(Delete, keys)), max_size=4)


@given(others, transactions)
def test_a_transaction_that_applies_once_changes_nothing_when_sent_again(
    before: list[Operation], ours: tuple[list[Compare], list[Operation]]
) -> None:
    if not applies_once(*ours):
        return
    model = Model()
    for operation in before:
        model.txn([], [operation])
    if model.txn(*ours):
        revision = model.revision
        sent_again = model.txn(*ours)
        assert not sent_again
        assert model.revision == revision


@given(others, transactions, st.booleans(), others, others)
def test_what_is_told_of_a_lost_answer_is_true(
    before: list[Operation],
    ours: tuple[list[Compare], list[Operation]],
    arrived: bool,
    between: list[Operation],
    later: list[Operation],
) -> None:
    if not applies_once(*ours):
        return
    model = Model()
    for operation in before:
        model.txn([], [operation])
    applied = arrived and model.txn(*ours)
    for operation in between:
        model.txn([], [operation])
    if model.txn(*ours):  # sent again, and it holds: then the first one had not been applied
        assert not applied
        return
    told = was_applied(*ours, model.found())
    if told is True:
        assert applied
    elif told is False:
        assert not applied
        for operation in later:
            model.txn([], [operation])
            late = model.txn(*ours)
            assert not late, "it was said never to be applied"


@pytest.mark.parametrize(
    ("guard", "operation", "once"),
    [
        ([absent("a")], Put("a", b"1"), True),
        ([modified_at("a", 7)], Put("a", b"1"), True),
        ([created_at("a", 7)], Put("a", b"1"), False),
        ([created_at("a", 7)], Delete("a"), True),
        ([modified_at("b", 7)], Put("a", b"1"), False),
        ([], Put("a", b"1"), False),
    ],
)
def test_which_transactions_apply_once(guard: list[Compare], operation: Operation, once: bool) -> None:
    assert applies_once(guard, [operation]) is once


def test_an_own_write_is_recognised_and_anothers_is_not() -> None:
    guard, put = [modified_at("a", 5), created_at("term", 3)], [Put("a", b"ours")]
    term = KeyValue("term", b"me", 3, 3)
    assert was_applied(guard, put, {"a": KeyValue("a", b"ours", 2, 9), "term": term}) is True
    assert was_applied(guard, put, {"a": KeyValue("a", b"theirs", 2, 9), "term": term}) is None
    assert was_applied(guard, put, {"a": KeyValue("a", b"ours", 2, 9), "term": None}) is None
    assert was_applied(guard, put, {"a": KeyValue("a", b"old", 2, 5), "term": None}) is False


def test_a_prefix_covers_exactly_the_keys_that_begin_with_it() -> None:
    keys = prefix("/a/")
    assert keys.start <= b"/a/" < keys.end
    assert keys.start <= b"/a/\xff\xff" < keys.end
    assert not keys.start <= b"/a0" < keys.end
    assert not keys.start <= b"/a" < keys.end


def test_a_snapshot_after_events_leaves_the_one_before_alone() -> None:
    one = KeyValue("a", b"1", 2, 2)
    two = KeyValue("b", b"2", 3, 3)
    first = Snapshot.of(2, [one])
    second = first.after(4, [WatchEvent("b", 3, two), WatchEvent("a", 4, None)])
    assert dict(first.items) == {"a": one}
    assert dict(second.items) == {"b": two}
    assert second.revision == 4
