"""An error as a message."""

from __future__ import annotations

import time

from hedgerow.common.errors import SinkRefused, SinkUnavailable
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.common.reporting import report_error


def test_policy_comes_from_the_error() -> None:
    refused = report_error(SinkRefused("no"), "n1", dispatcher="s.a", at=12.5)
    expected = pb.ChangefeedError(code="SinkRefused", message="no", retriable=False, node="n1", dispatcher="s.a")
    expected.at.FromMilliseconds(12_500)
    assert refused == expected
    assert report_error(SinkUnavailable("no"), "n1").retriable


def test_what_was_not_raised_on_purpose_is_a_defect_that_a_retry_may_help_with() -> None:
    report = report_error(KeyError("x"), "n1")
    assert (report.code, report.retriable) == ("Internal", True)
    assert report.message == "node n1 met an unexpected KeyError: 'x'; see its log"


def test_the_time_is_now_or_given_or_unknown() -> None:
    before = time.time_ns() // 1000
    assert before <= report_error(SinkRefused("no"), "n1").at.ToMicroseconds() <= time.time_ns() // 1000
    assert not report_error(SinkRefused("no"), "n1", at=0.0).HasField("at")
