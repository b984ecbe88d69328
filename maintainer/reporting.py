"""How a maintainer's errors look in its report, and which one is shown. Pure, but for the clock given to it."""

from __future__ import annotations

import time
from collections.abc import Iterable

from hedgerow.common.errors import HedgerowError
from hedgerow.common.pb.v1 import model_pb2 as pb


def report_error(error: Exception, node: str) -> pb.ChangefeedError:
    """An error of the maintainer itself. One that Hedgerow did not raise on purpose is a defect: a retry may help, and
    the node's log has the traceback."""
    if isinstance(error, HedgerowError):
        # An owner that lost its ownership is replaced by another, so that is no reason to stop the changefeed.
        report = pb.ChangefeedError(code=error.code, message=str(error), retriable=error.retriable, node=node)
    else:
        message = f"the maintainer met an unexpected {type(error).__name__}: {error}; see the log of node {node}"
        report = pb.ChangefeedError(code="Internal", message=message, retriable=True, node=node)
    report.at.FromNanoseconds(time.time_ns())
    return report


def as_retriable(error: pb.ChangefeedError) -> pb.ChangefeedError:
    """The same error, to be shown as one that stops nothing."""
    shown = pb.ChangefeedError()
    shown.CopyFrom(error)
    shown.retriable = True
    return shown


def worst(errors: Iterable[pb.ChangefeedError]) -> pb.ChangefeedError | None:
    """One that a retry does not fix before one that it may; the first of equals."""
    return min(errors, key=lambda error: error.retriable, default=None)
