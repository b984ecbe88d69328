"""Which of a maintainer's errors is shown, and as what. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from hedgerow.common.pb.v1 import model_pb2 as pb


def as_retriable(error: pb.ChangefeedError) -> pb.ChangefeedError:
    """The same error, to be shown as one that stops nothing."""
    shown = pb.ChangefeedError()
    shown.CopyFrom(error)
    shown.retriable = True
    return shown


def worst(errors: Iterable[pb.ChangefeedError]) -> pb.ChangefeedError | None:
    """One that a retry does not fix before one that it may; the first of equals."""
    return min(errors, key=lambda error: error.retriable, default=None)
