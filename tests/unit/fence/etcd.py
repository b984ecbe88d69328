"""An etcd with one election, the nodes' keys, and the changefeeds' keys: every write is a guarded transaction.

It mirrors coordinator/store.py: a write compares the election key's create revision and the mod revisions of what was
read. It also checks invariant 1 on every write that goes through: epochs only grow, and each belongs to one owner.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hedgerow.common.errors import TermLost
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator.changefeed import Change, Feed, Revisions


@dataclass(slots=True)
class Etcd:
    revision: int = 10
    term: int = 0  # create revision of the leader's election key
    nodes: dict[str, pb.Liveness] = field(default_factory=dict)
    feeds: dict[str, Feed] = field(default_factory=dict)
    owners: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)  # (uid, epoch): node and role
    highest: dict[str, int] = field(default_factory=dict)  # uid: epoch
    reached: dict[str, int] = field(default_factory=dict)  # the same, and an operator does not lower it
    history: dict[str, list[Feed]] = field(default_factory=dict)  # name: for an operator who sets it back

    def elect(self) -> int:
        self.revision += 1
        self.term = self.revision
        return self.term

    def write(self, term: int, before: Feed, change: Change, *, compares: bool = True, has_term: bool = True) -> bool:
        """Whether it was written. Raises TermLost. The switches are for defects."""
        if has_term and term != self.term:
            raise TermLost(f"term {term} is over")
        found = self.feeds.get(before.name)
        if compares and (found is None or found.revisions != before.revisions):
            return False
        assert term == self.term, f"a coordinator of term {term} wrote in term {self.term}"
        self.revision += 1
        if change.delete:
            self.feeds.pop(before.name, None)
        else:
            self._put(_after(found or before, change, self.revision))
        return True

    def create(self, term: int, feed: Feed) -> bool:
        if term != self.term:
            raise TermLost(f"term {term} is over")
        if feed.name in self.feeds:
            return False
        self.revision += 1
        self._put(_after(feed, Change(feed.spec, feed.ownership, feed.status), self.revision))
        return True

    def set_back(self, name: str, former: Feed) -> None:
        """An operator restores older keys: what it hands out from then on was handed out before."""
        self.revision += 1
        feed = self.feeds[name]
        self.feeds[name] = _after(feed, Change(ownership=former.ownership), self.revision)
        self.highest[feed.uid] = former.epoch
        for epoch in range(former.epoch, self.reached[feed.uid] + 1):
            self.owners.pop((feed.uid, epoch), None)
        self.owners[feed.uid, former.epoch] = (former.ownership.node, former.ownership.role)

    def _put(self, feed: Feed) -> None:
        owner = (feed.ownership.node, feed.ownership.role)
        known = self.owners.setdefault((feed.uid, feed.epoch), owner)
        assert known == owner, f"epoch {feed.epoch} of {feed.uid} was given to {known} and is given to {owner}"
        assert feed.epoch >= self.highest.get(feed.uid, 0), f"the epoch of {feed.uid} went back to {feed.epoch}"
        self.highest[feed.uid] = feed.epoch
        self.reached[feed.uid] = max(feed.epoch, self.reached.get(feed.uid, 0))
        self.feeds[feed.name] = feed
        self.history.setdefault(feed.name, []).append(feed)


def _after(feed: Feed, change: Change, revision: int) -> Feed:
    revisions = feed.revisions
    return Feed(
        change.spec or feed.spec,
        change.ownership or feed.ownership,
        change.status or feed.status,
        Revisions(
            revisions.spec if change.spec is None else revision,
            revisions.ownership if change.ownership is None else revision,
            revisions.status if change.status is None else revision,
        ),
    )
