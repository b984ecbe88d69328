"""How an error travels: as a message that says who met it, and when."""

from __future__ import annotations

import time

from hedgerow.common.errors import HedgerowError
from hedgerow.common.pb.v1 import model_pb2 as pb

INTERNAL = "Internal"  # the code of what was not raised on purpose


def report_error(error: Exception, node: str, *, dispatcher: str = "", at: float | None = None) -> pb.ChangefeedError:
    """`node`, and `dispatcher` if it is one's, met it `at` seconds since 1970: now where it is None, unknown where it
    is 0. One that Hedgerow did not raise on purpose is a defect: a retry may help, and the node's log has the
    traceback."""
    report = pb.ChangefeedError(code=INTERNAL, retriable=True, node=node, dispatcher=dispatcher)
    if isinstance(error, HedgerowError):
        # An owner that lost its ownership is replaced by another, so that is no reason to stop the changefeed.
        report.code, report.message, report.retriable = error.code, str(error), error.retriable
    else:
        report.message = f"node {node} met an unexpected {type(error).__name__}: {error}; see its log"
    if at is None:
        at = time.time()
    if at:
        report.at.FromMicroseconds(int(at * 1_000_000))
    return report
