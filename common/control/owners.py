"""The owner on record of a changefeed on a node, and its tombstone: how every handler of a stamped message is judged.

The rule is `common.epoch.admit`. Here is what it is asked with, and how a refusal is counted and answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hedgerow.common.epoch import NOBODY, Owner, Stamp, Verdict, admit, rejection
from hedgerow.common.metrics import rejected
from hedgerow.common.pb.v1 import model_pb2 as pb


@dataclass(eq=False, slots=True)
class OwnerRecord:
    """`owner` and `closed` only grow, and outlive every message that was sent before them: a record is never forgotten
    while the process lives. `closed`: the highest epoch that was closed here."""

    service: ClassVar[str] = ""  # for the log

    uid: str
    owner: Owner = NOBODY
    closed: int | None = None

    def admit(self, stamp: Stamp, *, may_take_over: bool) -> Verdict:
        return admit(self.owner, self.closed, stamp.owner, may_take_over=may_take_over)

    def judge(self, stamp: Stamp, *, may_take_over: bool, term: int = 0) -> pb.Rejection | None:
        """None where the request is to be obeyed."""
        verdict = self.admit(stamp, may_take_over=may_take_over)
        return None if verdict.admits else self.reject(stamp, verdict, term)

    def reject(self, stamp: Stamp, verdict: Verdict, term: int = 0) -> pb.Rejection:
        """The answer to a request that is not obeyed, counted and logged."""
        rejected(
            "rpc",
            verdict.name,
            service=self.service,
            uid=self.uid,
            epoch=stamp.epoch,
            node=stamp.node,
            term=stamp.term,
            current_epoch=self.owner.epoch,
            current_node=self.owner.node,
            closed=self.closed,
            current_term=term,
        )
        return self.rejection(verdict, term)

    def rejection(self, verdict: Verdict, term: int = 0) -> pb.Rejection:
        return rejection(verdict, self.owner, self.closed, term)

    def close(self, epoch: int) -> None:
        """Leaves the tombstone of `epoch`."""
        self.closed = max(self.closed or 0, epoch)

    def stamp(self, term: int = 0) -> pb.Stamp:
        """The owner on record, for responses."""
        return Stamp(self.uid, self.owner.epoch, self.owner.node, term).write()
