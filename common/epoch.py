"""Who may act for a changefeed: the one rule that every handler of a stamped message asks.

Epochs are handed out by the coordinator, strictly increasing per changefeed, durable in etcd before a message carries
one. An owner is the pair (epoch, node): the same epoch from two nodes is a contradiction and never both are obeyed.
Nothing here does I/O, so a reviewer can check the protocol's heart by reading this file.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from hedgerow.common.pb.v1 import model_pb2 as pb


class Verdict(enum.Enum):
    """What `admit` says of a request."""

    ACCEPT = pb.ACCEPT
    STALE = pb.STALE
    FOREIGN = pb.FOREIGN
    TAKEOVER = pb.TAKEOVER
    AHEAD = pb.AHEAD

    @property
    def admits(self) -> bool:
        """Whether the request is to be obeyed; a TAKEOVER validates first, then changes the owner, then acts."""
        return self in (Verdict.ACCEPT, Verdict.TAKEOVER)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who is obeyed. Epoch 0 with an empty node: nobody has spoken yet."""

    epoch: int = 0
    node: str = ""


NOBODY = Owner()


@dataclass(frozen=True, slots=True)
class Stamp:
    """The mark on a message: whose changefeed, which owner speaks, and the coordinator's term where it does."""

    uid: str
    epoch: int
    node: str
    term: int = 0

    @property
    def owner(self) -> Owner:
        return Owner(self.epoch, self.node)

    @classmethod
    def read(cls, message: pb.Stamp) -> Stamp:
        return cls(message.uid, message.epoch, message.node, message.term)

    def write(self) -> pb.Stamp:
        return pb.Stamp(uid=self.uid, epoch=self.epoch, node=self.node, term=self.term)


def admit(current: Owner, closed: int | None, request: Owner, *, may_take_over: bool) -> Verdict:
    """Judge a request against the owner on record.

    `closed` is the tombstone: the highest epoch that was closed here, None where none was (epoch 0 can be closed too).
    `may_take_over` is true for Bootstrap, Close, AddMaintainer and RemoveMaintainer, false for everything else and for
    every response.
    """
    if request.epoch == 0:
        untouched = current.epoch == 0 and closed is None
        return Verdict.ACCEPT if untouched and current.node in ("", request.node) else Verdict.STALE
    if request.epoch < current.epoch or (closed is not None and request.epoch <= closed):
        return Verdict.STALE
    if request.epoch == current.epoch:
        return Verdict.ACCEPT if request.node == current.node else Verdict.FOREIGN
    return Verdict.TAKEOVER if may_take_over else Verdict.AHEAD


def rejection(verdict: Verdict, current: Owner, closed: int | None, term: int = 0) -> pb.Rejection:
    """The answer to a request that is not obeyed: the verdict, and who is obeyed instead."""
    return pb.Rejection(
        verdict=verdict.value,
        current=pb.Owner(epoch=current.epoch, node=current.node),
        closed=closed or 0,
        term=term,
    )
