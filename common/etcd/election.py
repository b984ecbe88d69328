"""Election: which node coordinates, and writes that succeed only while it is this one.

A candidate is a key `<prefix><lease in hex>` under the candidate's session; its value is the node id. The leader is the
candidate whose key was created first, and its *term* is that create revision: terms grow, and no two leaders share one.
A leader's write compares its key's create revision in the same transaction, so a deposed leader cannot write, however
late it finds out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hedgerow.common.errors import HedgerowError, SessionLost, TermLost
from hedgerow.common.etcd.client import Etcd
from hedgerow.common.etcd.errors import LeaseNotFound
from hedgerow.common.etcd.mirror import Mirror
from hedgerow.common.etcd.session import Session
from hedgerow.common.etcd.values import (
    Compare,
    Delete,
    KeyValue,
    Operation,
    Put,
    Snapshot,
    TxnResult,
    absent,
    created_at,
)

_WITHDRAW = 2.0  # seconds


def leader(snapshot: Snapshot, election: str) -> KeyValue | None:
    """The leader's key in a snapshot that covers the keys under `election`; None while there is no candidate."""
    candidates = [item for key, item in snapshot.items.items() if key.startswith(election)]
    return min(candidates, key=lambda item: item.create_revision, default=None)


@dataclass(frozen=True, slots=True)
class Leadership:
    """What the leader writes through."""

    etcd: Etcd
    session: Session
    key: str
    term: int

    @property
    def guard(self) -> Compare:
        """Holds while this is the leader."""
        return created_at(self.key, self.term)

    async def txn(
        self, compares: Sequence[Compare], operations: Sequence[Operation], *, timeout: float | None = None
    ) -> TxnResult:
        """Etcd.txn under the guard. Raises TermLost where the guard does not hold, SessionLost, and as Etcd.txn."""
        self.session.check()
        result = await self.etcd.txn([self.guard, *compares], operations, timeout=timeout)
        if not result.succeeded and not self.guard.holds(result.found[self.key]):
            raise TermLost(f"term {self.term} is over: its election key {self.key} is gone")
        return result


class Election:
    """One node's candidacy. `mirror` covers the keys under `prefix`, which ends in a slash."""

    def __init__(self, etcd: Etcd, session: Session, mirror: Mirror, prefix: str, node: str) -> None:
        self._etcd = etcd
        self._session = session
        self._mirror = mirror
        self._prefix = prefix
        self._node = node
        self._key = f"{prefix}{session.lease:x}"

    def leader(self) -> KeyValue | None:
        """As far as the mirror knows: its value is the node id, its create revision the term."""
        return leader(self._mirror.snapshot, self._prefix)

    async def campaign(self) -> Leadership:
        """Stands for election and returns when elected. Raises SessionLost, EtcdUnavailable, EtcdRefused.

        Cancelled or failed, the candidacy is withdrawn; where etcd does not confirm that, it may stand until the
        session ends, and the next campaign of this session continues it. So campaign again after EtcdUnavailable.
        """
        standing = asyncio.create_task(self._stand())
        try:
            # Shielded: who cancels it must still learn which key to withdraw.
            term = await asyncio.shield(standing)
            await self._elected(term)
        except BaseException:
            with contextlib.suppress(HedgerowError):
                await self._withdraw(await standing)
            raise
        return Leadership(self._etcd, self._session, self._key, term)

    async def over(self, leadership: Leadership) -> None:
        """Returns when the leadership is over: the session is lost, the election key is gone, or the mirror ended."""
        with contextlib.suppress(HedgerowError):
            await self._mirror_or_lost(lambda snapshot: not leadership.guard.holds(snapshot.items.get(self._key)))

    async def resign(self, leadership: Leadership) -> None:
        """Lets the next candidate lead, at once. Raises EtcdUnavailable."""
        await self._withdraw(leadership.term)

    async def _stand(self) -> int:
        """Creates the election key, or finds the one of an earlier campaign of this session. Its create revision."""
        self._session.check()
        put = Put(self._key, self._node.encode(), self._session.lease)
        try:
            result = await self._etcd.txn([absent(self._key)], [put])
        except LeaseNotFound:
            self._session.declare_lost("etcd does not know its lease")
            self._session.check()
            raise
        if result.succeeded:
            return result.revision
        found = result.found[self._key]
        assert found is not None, "the only compare was that there is no such key"
        return found.create_revision

    async def _elected(self, term: int) -> None:
        def decided(snapshot: Snapshot) -> bool:
            first = leader(snapshot, self._prefix)
            elected = first is not None and first.create_revision == term
            return elected or (snapshot.revision >= term and self._key not in snapshot.items)

        await self._mirror_or_lost(decided)
        self._session.check()
        if self._key not in self._mirror.snapshot.items:
            raise SessionLost(f"the election key {self._key} is gone")

    async def _mirror_or_lost(self, condition: Callable[[Snapshot], bool]) -> None:
        """Returns when the condition holds for the mirror, or the session is lost."""
        seen = asyncio.create_task(self._mirror.until(condition))
        lost = asyncio.create_task(self._session.lost.wait())
        try:
            await asyncio.wait((seen, lost), return_when=asyncio.FIRST_COMPLETED)
            if seen.done():
                seen.result()
        finally:
            seen.cancel()
            lost.cancel()
            await asyncio.gather(seen, lost, return_exceptions=True)

    async def _withdraw(self, term: int) -> None:
        await self._etcd.txn([created_at(self._key, term)], [Delete(self._key)], timeout=_WITHDRAW)
