"""A session's validity: a pure function of times of the local clock."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from hedgerow.common.etcd.session import Validity


def test_it_ends_before_the_ttl_counted_from_when_the_keepalive_was_sent() -> None:
    validity = Validity(sent=100.0, ttl=10)
    assert validity.remaining(107.9) > 0
    assert validity.remaining(108.0) <= 0
    validity.renew(sent=103.0, ttl=10, now=107.0)
    assert validity.remaining(110.9) > 0
    assert validity.remaining(111.0) <= 0


def test_an_acknowledgement_after_the_end_changes_nothing() -> None:
    validity = Validity(sent=0.0, ttl=10)
    validity.renew(sent=8.5, ttl=10, now=8.6)
    assert validity.remaining(8.6) <= 0


def test_a_late_acknowledgement_of_an_early_keepalive_does_not_shorten_it() -> None:
    validity = Validity(sent=0.0, ttl=10)
    validity.renew(sent=5.0, ttl=10, now=6.0)
    validity.renew(sent=3.0, ttl=10, now=6.5)
    assert validity.remaining(12.9) > 0


def test_an_ended_session_stays_ended() -> None:
    validity = Validity(sent=0.0, ttl=10)
    validity.end()
    validity.renew(sent=1.0, ttl=10, now=1.0)
    assert validity.remaining(1.0) <= 0


steps = st.lists(st.tuples(st.floats(0, 9), st.floats(0, 3), st.booleans()), max_size=30)


@given(steps)
def test_never_valid_later_than_etcd_keeps_the_lease_and_never_valid_again(
    steps: list[tuple[float, float, bool]],
) -> None:
    ttl = 5.0
    validity = Validity(0.0, ttl)
    now, lease_end, ended = 0.0, ttl, False
    for wait, travel, acknowledged in steps:
        sent = now + wait
        now = sent + travel
        ended |= validity.remaining(sent) <= 0
        if acknowledged and not ended and sent < lease_end:
            lease_end = sent + ttl  # at the earliest: etcd may receive it later, not sooner
            ended |= validity.remaining(now) <= 0
            validity.renew(sent, ttl, now)
        valid = validity.remaining(now) > 0
        assert not (valid and ended)
        assert not valid or now < lease_end
        ended |= not valid
