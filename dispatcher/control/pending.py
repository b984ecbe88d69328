"""The schedule requests of one changefeed on one node that are not done yet, and what a takeover does with them.

A create is in flight until the dispatcher has claimed its progress row (or is broken), a remove until its lane has
stopped writing for it. A new owner does not know what its predecessor asked for: creates that are still in flight are
dropped, so that the new owner finds a hole and places the dispatcher itself; removes of dispatchers that still exist
are told to it, so that it can wait for them. Pure: no I/O, no clock.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from hedgerow.common.epoch import Owner
from hedgerow.dispatcher.table import Placement


class RequestKind(enum.Enum):
    CREATE = "create"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Request:
    kind: RequestKind
    placement: Placement
    owner: Owner


class PendingRequests:
    """Requests in flight, at most one per dispatcher: a later request for the same dispatcher replaces the earlier."""

    def __init__(self) -> None:
        self._requests: dict[str, Request] = {}

    def add(self, kind: RequestKind, placement: Placement, owner: Owner, existing: Collection[str]) -> bool:
        """Notes a request. False: a remove of a dispatcher that is not there, which is done already."""
        if kind is RequestKind.REMOVE and placement.dispatcher not in existing:
            self._requests.pop(placement.dispatcher, None)
            return False
        self._requests[placement.dispatcher] = Request(kind, placement, owner)
        return True

    def in_flight(self, kind: RequestKind) -> list[Request]:
        return [request for request in self._requests.values() if request.kind is kind]

    def finish(self, kind: RequestKind, dispatchers: Iterable[str]) -> None:
        """These dispatchers' requests of this kind are done. One of the other kind stays."""
        for dispatcher in dispatchers:
            request = self._requests.get(dispatcher)
            if request is not None and request.kind is kind:
                del self._requests[dispatcher]

    def take_over(self, owner: Owner, existing: Collection[str]) -> tuple[list[Placement], list[Placement]]:
        """What the new owner inherits: (creates that are dropped, removes that it has to wait for)."""
        dropped: list[Placement] = []
        removing: list[Placement] = []
        for dispatcher, request in list(self._requests.items()):
            if request.kind is RequestKind.REMOVE:
                if dispatcher in existing:
                    removing.append(request.placement)
                else:
                    del self._requests[dispatcher]
            elif request.owner != owner:
                dropped.append(request.placement)
                del self._requests[dispatcher]
        return dropped, removing
