"""Judging failures, and dividing one deadline over attempts."""

from __future__ import annotations

import grpc
import pytest

from hedgerow.common.errors import EtcdUnavailable
from hedgerow.common.etcd.attempts import Attempts
from hedgerow.common.etcd.errors import Ambiguous, EtcdRefused, Judgement, LeaseNotFound, judge, refusal

Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "details", "judgement"),
    [
        (Code.UNAVAILABLE, "failed to connect to all addresses; last error: refused", Judgement.NOT_APPLIED),
        (Code.UNAVAILABLE, "etcdserver: no leader", Judgement.NOT_APPLIED),
        (Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests", Judgement.NOT_APPLIED),
        (Code.UNAVAILABLE, "etcdserver: request timed out", Judgement.UNKNOWN),
        (Code.UNAVAILABLE, "etcdserver: server stopped", Judgement.UNKNOWN),
        (Code.UNAVAILABLE, "Socket closed", Judgement.UNKNOWN),
        (Code.DEADLINE_EXCEEDED, "Deadline Exceeded", Judgement.UNKNOWN),
        (Code.UNKNOWN, "", Judgement.UNKNOWN),
        (Code.UNAUTHENTICATED, "etcdserver: invalid auth token", Judgement.LOGIN),
        (Code.INVALID_ARGUMENT, "etcdserver: revision of auth store is old", Judgement.LOGIN),
        (Code.INVALID_ARGUMENT, "etcdserver: user name is empty", Judgement.REFUSED),
        (Code.PERMISSION_DENIED, "etcdserver: permission denied", Judgement.REFUSED),
        (Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded", Judgement.REFUSED),
        (Code.NOT_FOUND, "etcdserver: requested lease not found", Judgement.REFUSED),
    ],
)
def test_judgement(code: Code, details: str, judgement: Judgement) -> None:
    assert judge(code, details) is judgement


def test_a_refusal_for_a_lease_has_its_own_type() -> None:
    error = refusal("revoke", "h:1", Code.NOT_FOUND, "etcdserver: requested lease not found")
    assert isinstance(error, LeaseNotFound)
    assert not isinstance(refusal("get", "h:1", Code.PERMISSION_DENIED, ""), LeaseNotFound)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fail(attempts: Attempts, address: str, details: str, code: Code = Code.UNAVAILABLE, *, writes: bool = True) -> None:
    attempts.failed(address, code, details, sent=True, writes=writes)


def test_the_deadline_is_divided_over_the_endpoints_and_the_rest_is_not_exceeded() -> None:
    clock = Clock()
    attempts = Attempts("get k", 6.0, 3, repeatable=True, clock=clock)
    assert attempts.share == 2.0
    clock.now += 5.5
    assert attempts.share == pytest.approx(0.5)


def test_giving_up_names_every_endpoint_with_its_last_cause() -> None:
    clock = Clock()
    attempts = Attempts("get k", 1.0, 2, repeatable=True, clock=clock)
    fail(attempts, "h:1", "etcdserver: no leader")
    fail(attempts, "h:2", "Socket closed", writes=False)
    clock.now += 1.0
    with pytest.raises(EtcdUnavailable) as caught:
        fail(attempts, "h:1", "failed to connect to all addresses")
    assert not isinstance(caught.value, Ambiguous)
    message = str(caught.value)
    assert "get k within 1 s" in message
    assert "h:1: failed to connect to all addresses" in message
    assert "h:2: Socket closed" in message
    assert "no leader" not in message


def test_a_write_in_doubt_that_cannot_be_repeated_is_ambiguous_at_once() -> None:
    attempts = Attempts("txn on k", 5.0, 2, repeatable=False, clock=Clock())
    fail(attempts, "h:1", "failed to connect to all addresses")
    with pytest.raises(Ambiguous):
        fail(attempts, "h:2", "Socket closed")


def test_a_repeatable_write_in_doubt_goes_on_and_ends_ambiguous() -> None:
    clock = Clock()
    attempts = Attempts("txn on k", 5.0, 2, repeatable=True, clock=clock)
    fail(attempts, "h:1", "Socket closed")
    assert attempts.in_doubt
    clock.now += 5.0
    with pytest.raises(Ambiguous):
        fail(attempts, "h:2", "etcdserver: no leader")


def test_a_login_that_failed_leaves_no_doubt() -> None:
    attempts = Attempts("txn on k", 5.0, 2, repeatable=False, clock=Clock())
    attempts.failed("h:1", Code.DEADLINE_EXCEEDED, "", sent=False, writes=True)
    assert not attempts.in_doubt


def test_a_final_answer_is_raised_at_once() -> None:
    attempts = Attempts("get k", 5.0, 3, repeatable=True, clock=Clock())
    with pytest.raises(EtcdRefused, match=r"h:1 refused get k: etcdserver: permission denied; grant"):
        fail(attempts, "h:1", "etcdserver: permission denied", Code.PERMISSION_DENIED)


def test_it_pauses_only_after_a_whole_round_and_longer_each_time() -> None:
    attempts = Attempts("get k", 5.0, 2, repeatable=True, clock=Clock())
    pauses = []
    for _ in range(6):
        fail(attempts, "h:1", "etcdserver: no leader")
        pauses.append(attempts.pause)
    assert pauses[0] == pauses[2] == pauses[4] == 0
    assert 0 < pauses[1] < pauses[3] < pauses[5]


def test_a_pause_ends_before_the_deadline() -> None:
    clock = Clock()
    attempts = Attempts("get k", 5.0, 1, repeatable=True, clock=clock)
    clock.now += 4.99
    fail(attempts, "h:1", "etcdserver: no leader")
    assert 0 <= attempts.pause <= 0.01
