"""Routing, with what a user has to know of transactions that are left out, or could be."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from hedgerow.common.binlog.skips import way_past
from hedgerow.common.errors import UnsupportedEvent
from hedgerow.dispatcher.spec import Spec
from hedgerow.dispatcher.stream.intake import Event
from hedgerow.dispatcher.stream.router import Router
from hedgerow.dispatcher.stream.undo import RolledBack, Undone

log = structlog.get_logger()


def route(router: Router, changefeed: str, events: Sequence[Event], at: int, transactions: int, size: int) -> int:
    """As Router.route. Tells of transactions that were left out, and how to leave out the one that cannot be read."""
    tracker = router.tracker
    try:
        at = router.route(events, at, transactions, size)
    except UnsupportedEvent as error:
        gtid, file, offset = tracker.announcement()
        if error.place is not None and not offset:
            file, offset = error.place
        if not offset:
            raise
        raise UnsupportedEvent(f"{error}. {way_past(changefeed, gtid, file, offset)}") from error
    if tracker.skipped:
        for transaction in tracker.skipped:
            log.warning("transaction-left-out", changefeed=changefeed, transaction=transaction)
        tracker.skipped.clear()
    return at


def learn(undone: Undone, spec: Spec, found: RolledBack, gtid: str) -> None:
    """As Undone.learn, of the transaction `gtid`."""
    try:
        undone.learn(spec.source, found)
    except UnsupportedEvent as error:
        file, offset, _ = found.marker.rsplit(":", 2)
        raise UnsupportedEvent(f"{error}. {way_past(spec.name, gtid, file, int(offset))}") from error
