"""An etcd with one election, the nodes' keys, and the changefeeds' keys: every write is a guarded transaction.

It mirrors coordinator/store.py: a write compares the election key's create revision and the mod revisions of what was
read. It also checks invariant 1 on every write that goes through: epochs only grow, and each belongs to one owner.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hedgerow.common.errors import TermLost
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.changefeed import Change, Changefeed, Revisions


@dataclass(slots=True)
class Etcd:
    revision: int = 10
    term: int = 0  # create revision of the leader's election key
    nodes: dict[str, pb.Liveness] = field(default_factory=dict)
    changefeeds: dict[str, Changefeed] = field(default_factory=dict)
    owners: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)  # (uid, epoch): node and role
    highest: dict[str, int] = field(default_factory=dict)  # uid: epoch
    reached: dict[str, int] = field(default_factory=dict)  # the same, and an operator does not lower it
    history: dict[str, list[Changefeed]] = field(default_factory=dict)  # name: for an operator who sets it back

    def elect(self) -> int:
        self.revision += 1
        self.term = self.revision
        return self.term

    def write(
        self, term: int, before: Changefeed, change: Change, *, compares: bool = True, has_term: bool = True
    ) -> bool:
        """Whether it was written. Raises TermLost. The switches are for defects."""
        if has_term and term != self.term:
            raise TermLost(f"term {term} is over")
        found = self.changefeeds.get(before.name)
        if compares and (found is None or found.revisions != before.revisions):
            return False
        assert term == self.term, f"a coordinator of term {term} wrote in term {self.term}"
        self.revision += 1
        if change.delete:
            self.changefeeds.pop(before.name, None)
        else:
            self._put(_after(found or before, change, self.revision))
        return True

    def create(self, term: int, changefeed: Changefeed) -> bool:
        if term != self.term:
            raise TermLost(f"term {term} is over")
        if changefeed.name in self.changefeeds:
            return False
        self.revision += 1
        self._put(_after(changefeed, Change(changefeed.spec, changefeed.ownership, changefeed.status), self.revision))
        return True

    def set_back(self, name: str, former: Changefeed) -> None:
        """An operator restores older keys: what it hands out from then on was handed out before."""
        self.revision += 1
        changefeed = self.changefeeds[name]
        self.changefeeds[name] = _after(changefeed, Change(ownership=former.ownership), self.revision)
        self.highest[changefeed.uid] = former.epoch
        for epoch in range(former.epoch, self.reached[changefeed.uid] + 1):
            self.owners.pop((changefeed.uid, epoch), None)
        self.owners[changefeed.uid, former.epoch] = (former.ownership.node, former.ownership.role)

    def _put(self, changefeed: Changefeed) -> None:
        owner = (changefeed.ownership.node, changefeed.ownership.role)
        known = self.owners.setdefault((changefeed.uid, changefeed.epoch), owner)
        assert known == owner, (
            f"epoch {changefeed.epoch} of {changefeed.uid} was given to {known} and is given to {owner}"
        )
        assert changefeed.epoch >= self.highest.get(changefeed.uid, 0), (
            f"the epoch of {changefeed.uid} went back to {changefeed.epoch}"
        )
        self.highest[changefeed.uid] = changefeed.epoch
        self.reached[changefeed.uid] = max(changefeed.epoch, self.reached.get(changefeed.uid, 0))
        self.changefeeds[changefeed.name] = changefeed
        self.history.setdefault(changefeed.name, []).append(changefeed)


def _after(changefeed: Changefeed, change: Change, revision: int) -> Changefeed:
    revisions = changefeed.revisions
    return Changefeed(
        change.spec or changefeed.spec,
        change.ownership or changefeed.ownership,
        change.status or changefeed.status,
        Revisions(
            revisions.spec if change.spec is None else revision,
            revisions.ownership if change.ownership is None else revision,
            revisions.status if change.status is None else revision,
        ),
    )
